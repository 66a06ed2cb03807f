//! Mean and covariance of rows that come one after the other.
//!
//! ```text
//! rows ─▶ block of 256, its own mean taken off ─▶ product with itself ─▶ joined with the blocks before
//! ```
//!
//! A sum of squares minus a square of sums would lose what is small beside the mean. So each block is centred by its own
//! mean, and two sets are joined by Chan's formula (Chan et al. 1979): with d the difference of their means, the
//! scatter of both together is `S1 + S2 + d d' n1 n2 / (n1 + n2)`.
//!
//! The product is cut by what it writes, never over what is summed, and blocks are counted from the first row on: the same
//! bits for any number of threads, and however the rows come in.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::{Statistics, StatisticsError};

/// Rows that are taken together.
const BLOCK: usize = 256;
/// Columns of the scatter that a thread takes at a time.
const STRIP: usize = 128;

/// The number, the mean and the scatter of the rows so far. 8 F² bytes and a block, however many rows there are.
#[derive(Clone, Debug)]
pub struct Moments {
    rows: usize,
    /// `[F]`.
    mean: Vec<f64>,
    /// [F, F], the lower triangle: sums of products of deviations from the mean.
    scatter: Mat<f64>,
    /// Rows that fill no block yet.
    pending: Vec<f32>,
}

impl Moments {
    /// Of no rows yet, of `features` numbers each.
    #[must_use]
    pub fn new(features: usize) -> Self {
        Self { rows: 0, mean: vec![0.0; features], scatter: Mat::zeros(features, features), pending: Vec::new() }
    }

    /// The number of rows so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows + self.pending.len() / self.features().max(1)
    }

    fn features(&self) -> usize {
        self.mean.len()
    }

    /// Takes rows in, one after the other: any number of times F numbers.
    ///
    /// # Panics
    /// Where the last row is not whole.
    pub fn push(&mut self, mut rows: &[f32]) {
        let features = self.features();
        assert!(rows.len().is_multiple_of(features.max(1)), "a row that is not whole");
        while !rows.is_empty() {
            let room = BLOCK * features - self.pending.len();
            let (taken, rest) = rows.split_at(room.min(rows.len()));
            self.pending.extend_from_slice(taken);
            if self.pending.len() == BLOCK * features {
                self.join_pending();
            }
            rows = rest;
        }
    }

    /// Takes in all rows of another set. The sums are those of all rows together, but for rounding: which rows are in which
    /// set shows in the last bits.
    ///
    /// # Panics
    /// Where its rows are of another length.
    pub fn merge(&mut self, mut other: Self) {
        assert_eq!(self.features(), other.features(), "rows of another length");
        self.join_pending();
        other.join_pending();
        self.scatter += &other.scatter;
        self.join(other.rows, &other.mean, Mat::zeros(self.features(), 1));
    }

    /// Mean and covariance.
    ///
    /// # Errors
    /// Where there are fewer than two rows, or a number is not finite.
    pub fn finish(mut self) -> Result<Statistics, StatisticsError> {
        self.join_pending();
        if self.rows < 2 {
            return Err(StatisticsError::TooFew(self.rows));
        }
        if self.mean.iter().any(|mean| !mean.is_finite()) {
            return Err(StatisticsError::NotFinite);
        }
        let degrees = (self.rows - 1) as f64;
        let lower = self.scatter;
        let covariance = Mat::from_fn(lower.nrows(), lower.ncols(), |i, j| lower[(i.max(j), i.min(j))] / degrees);
        Ok(Statistics { mean: self.mean, covariance })
    }

    fn join_pending(&mut self) {
        let features = self.features();
        let rows = self.pending.len() / features.max(1);
        if rows == 0 {
            return;
        }
        let block = std::mem::take(&mut self.pending);
        let mut mean = vec![0.0; features];
        for row in block.chunks_exact(features) {
            mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        for sum in &mut mean {
            *sum /= rows as f64;
        }
        // A row a column, and one column more.
        let mut deviations = Mat::zeros(features, rows + 1);
        for (column, row) in deviations.col_iter_mut().zip(block.chunks_exact(features)) {
            column.iter_mut().zip(row).zip(&mean).for_each(|((d, &x), mean)| *d = f64::from(x) - mean);
        }
        self.join(rows, &mean, deviations);
    }

    /// Joins a set by its mean and its deviations from it, a column a row; the last column is free, for the difference of the
    /// means.
    fn join(&mut self, rows: usize, mean: &[f64], mut deviations: Mat<f64>) {
        if rows == 0 {
            return;
        }
        let (before, new) = (self.rows as f64, rows as f64);
        let all = before + new;
        let weight = (before * new / all).sqrt();
        let last = deviations.ncols() - 1;
        for ((deviation, own), other) in deviations.col_mut(last).iter_mut().zip(&mut self.mean).zip(mean) {
            let difference = other - *own;
            *deviation = difference * weight;
            *own += difference * (new / all);
        }
        self.rows += rows;
        add_square(self.scatter.as_mut(), deviations.as_ref());
    }
}

/// `scatter += d d'`, the lower triangle (and a little above it).
fn add_square(scatter: MatMut<'_, f64>, d: MatRef<'_, f64>) {
    scatter.par_col_chunks_mut(STRIP).enumerate().for_each(|(strip, columns)| {
        let first = strip * STRIP;
        let below = columns.subrows_mut(first, d.nrows() - first);
        let width = below.ncols();
        let (rows, own) = (d.subrows(first, d.nrows() - first), d.subrows(first, width));
        matmul(below, Accum::Add, rows, own.transpose(), 1.0, Par::Seq);
    });
}
