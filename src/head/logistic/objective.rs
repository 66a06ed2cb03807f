//! The loss and its gradient, of all fits at once, in one pass over the rows.
//!
//! With k folds there are k fits of a penalty, each on all rows but a fold. They see the same rows, so they are one matrix
//! product: the C = k K columns of all fits stand beside each other, and each number of a row is loaded once for all of them.
//! (The fit on all rows, at the end, is one fit more, and alone.) With few classes that is what makes the product worth its memory traffic; and what a fit
//! says of its own fold comes for nothing.
//!
//! ```text
//! rows [N, D], some thousand at a time ─▶ logits [n, C] ─▶ residuals [n, C] ─▶ gradient [D + 1, C]
//!                  tiles of rows ──────────┘   (softmax)       └── tiles of features
//! ```
//!
//! Tiles are of fixed size and sums are taken in their order: the bits do not depend on the number of threads. Rows may come in
//! any order; in that of their folds the gradient of many classes is cheaper, for a fit's own fold adds nothing to it.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::Number;
use super::softmax::residual;

/// Rows in a tile of logits.
const ROWS: usize = 128;
/// Features and columns in a tile of the gradient, and rows that it takes at a time: rows lie 8 KiB apart, so that more of
/// them than these fall out of the cache before they are used again (measured: half as long again with thousands).
const FEATURES: usize = 256;
const COLUMNS: usize = 128;
const DEPTH: usize = 192;
/// Logits that are held at a time.
const LOGITS: usize = 1 << 21;

/// What is minimised, but for the penalty.
pub(super) struct Objective<'a> {
    /// [N, D].
    pub(super) rows: MatRef<'a, f32>,
    /// `[N]`, below K.
    pub(super) labels: &'a [usize],
    /// `[N]`, what each row counts.
    pub(super) weights: &'a [f32],
    /// `[N]`, the fold of each row.
    pub(super) folds: &'a [usize],
    /// Which fits: fit b learns from the rows that are not of fold b.
    pub(super) fits: Range<usize>,
    /// K.
    pub(super) classes: usize,
}

/// What the objective is at a point, sums over the fits.
#[derive(Clone, Debug)]
pub(super) struct Value<T> {
    /// Weighted loss of the rows that are learnt from.
    pub(super) loss: f64,
    /// Weighted loss of each row in the fit that does not learn from it.
    pub(super) held_out: f64,
    /// The mean of weight times p (1 - p) over the classes and fits, of each row `[N]`.
    pub(super) spreads: Vec<f32>,
    /// [D + 1, C], the last row that of the intercepts; one column after the other.
    pub(super) gradient: Vec<T>,
}

#[derive(Clone, Debug)]
struct Sums {
    loss: f64,
    held_out: f64,
    spreads: Vec<f32>,
    intercepts: Vec<f64>,
}

impl Objective<'_> {
    /// D + 1: the features and the intercept.
    pub(super) fn parameters(&self) -> usize {
        self.rows.ncols() + 1
    }

    /// C: the fits' classes.
    pub(super) fn columns(&self) -> usize {
        self.fits.len() * self.classes
    }

    /// The value at `point` [D + 1, C], one column after the other.
    pub(super) fn value<T: Number>(&self, point: &[T]) -> Value<T> {
        let (features, columns) = (self.rows.ncols(), self.columns());
        let point = MatRef::from_column_major_slice(point, features + 1, columns);
        let mut gradient = vec![T::zero(); (features + 1) * columns];
        let mut tiles = MatMut::from_column_major_slice_mut(&mut gradient, features + 1, columns);
        let mut total = Sums { loss: 0.0, held_out: 0.0, spreads: Vec::new(), intercepts: vec![0.0; columns] };
        let step = self.step();
        let mut logits = Mat::zeros(columns, step.min(self.rows.nrows()));
        for first in (0..self.rows.nrows()).step_by(step) {
            let count = step.min(self.rows.nrows() - first);
            let rows = self.rows.subrows(first, count);
            let mut logits = logits.as_mut().subcols_mut(0, count);
            let of_tile = |(tile, mut logits): (usize, MatMut<'_, T>)| {
                let rows = T::rows(rows.subrows(tile * ROWS, logits.ncols()));
                forward(point, rows.view(), logits.as_mut());
                self.residuals(first + tile * ROWS, logits)
            };
            let sums: Vec<Sums> = logits.as_mut().par_col_chunks_mut(ROWS).enumerate().map(of_tile).collect();
            for sums in sums {
                total.add(sums);
            }
            let residuals = Residuals { all: logits.as_ref().transpose(), folds: &self.folds[first..first + count] };
            let tiles = tiles.as_mut().subrows_mut(0, features);
            tiles.par_row_chunks_mut(FEATURES).enumerate().for_each(|(i, tiles)| {
                let rows = rows.subcols(i * FEATURES, tiles.nrows());
                let (whole, fits) = self.fits_of_tile();
                tiles.par_col_chunks_mut(whole).enumerate().for_each(|(group, tiles)| {
                    let alone = (fits == 1).then_some(self.fits.start + group);
                    tiles.par_col_chunks_mut(COLUMNS).enumerate().for_each(|(j, tile)| {
                        residuals.add_gradient(rows, group * whole + j * COLUMNS, alone, tile);
                    });
                });
            });
        }
        for (column, sum) in gradient.chunks_exact_mut(features + 1).zip(&total.intercepts) {
            column[features] = T::cast(*sum);
        }
        Value { loss: total.loss, held_out: total.held_out, spreads: total.spreads, gradient }
    }

    /// The logits [N, K] of each row in the fit that does not learn from it.
    pub(super) fn held_out_logits(&self, point: &[f32]) -> Array2<f32> {
        let columns = self.columns();
        let point = MatRef::from_column_major_slice(point, self.parameters(), columns);
        let mut out = Array2::zeros((self.rows.nrows(), self.classes));
        out.axis_chunks_iter_mut(Axis(0), ROWS).into_par_iter().enumerate().for_each(|(tile, mut out)| {
            let first = tile * ROWS;
            let mut logits = Mat::zeros(columns, out.nrows());
            forward(point, self.rows.subrows(first, out.nrows()), logits.as_mut());
            for (row, mut out) in out.rows_mut().into_iter().enumerate() {
                let start = (self.folds[first + row] - self.fits.start) * self.classes;
                out.iter_mut().enumerate().for_each(|(class, logit)| *logit = logits[(start + class, row)]);
            }
        });
        out
    }

    /// Turns the logits [C, n] of the rows from `first` on into residuals.
    fn residuals<T: Number>(&self, first: usize, logits: MatMut<'_, T>) -> Sums {
        let spreads = Vec::with_capacity(logits.ncols());
        let mut sums = Sums { loss: 0.0, held_out: 0.0, spreads, intercepts: vec![0.0; logits.nrows()] };
        for (row, logits) in (first..).zip(logits.col_iter_mut()) {
            let Some(logits) = logits.try_as_col_major_mut().map(faer::ColMut::as_slice_mut) else { continue };
            let weight = self.weights[row];
            let mut spread = 0.0;
            for (fit, logits) in self.fits.clone().zip(logits.chunks_exact_mut(self.classes)) {
                let of_row = residual(logits, self.labels[row]);
                if self.folds[row] == fit {
                    sums.held_out += f64::from(weight) * of_row.loss;
                    logits.fill(T::zero());
                } else {
                    sums.loss += f64::from(weight) * of_row.loss;
                    spread += f64::from(weight) * of_row.spread;
                    let weight = T::cast(weight);
                    for residual in logits {
                        *residual *= weight;
                    }
                }
            }
            sums.spreads.push((spread / self.columns() as f64) as f32);
            sums.intercepts.iter_mut().zip(logits).for_each(|(sum, residual)| *sum += (*residual).into());
        }
        sums
    }

    /// Columns of the gradient that belong to whole fits and are worth a tile, and how many fits' they are.
    fn fits_of_tile(&self) -> (usize, usize) {
        let fits = (COLUMNS / self.classes).max(1);
        (fits * self.classes, fits)
    }

    fn step(&self) -> usize {
        (LOGITS / self.columns()).clamp(4 * ROWS, 32 * ROWS).next_multiple_of(ROWS)
    }
}

/// Residuals [n, C] of some rows.
struct Residuals<'a, T> {
    all: MatRef<'a, T>,
    /// `[n]`, the fold of each row.
    folds: &'a [usize],
}

impl<T: Number> Residuals<'_, T> {
    /// Adds to a tile [f, c] of the gradient what the rows [n, f] say, c being the columns from `first` on. Where all of them are
    /// of the one fit `alone`, rows of its own fold, of which it learns nothing, are passed over where they lie together.
    fn add_gradient(&self, rows: MatRef<'_, f32>, first: usize, alone: Option<usize>, mut tile: MatMut<'_, T>) {
        let residuals = self.all.subcols(first, tile.ncols());
        for (block, folds) in self.folds.chunks(DEPTH).enumerate() {
            if alone.is_some_and(|fit| folds.iter().all(|&fold| fold == fit)) {
                continue;
            }
            let rows = T::rows(rows.subrows(block * DEPTH, folds.len()));
            let residuals = residuals.subrows(block * DEPTH, folds.len());
            matmul(tile.as_mut(), Accum::Add, rows.view().transpose(), residuals, T::one(), Par::Seq);
        }
    }
}

impl Sums {
    /// Adds those of the rows that follow.
    fn add(&mut self, other: Self) {
        self.loss += other.loss;
        self.held_out += other.held_out;
        self.spreads.extend(other.spreads);
        self.intercepts.iter_mut().zip(&other.intercepts).for_each(|(sum, other)| *sum += other);
    }
}

/// The logits [C, n] of rows [n, D] at `point` [D + 1, C].
fn forward<T: Number>(point: MatRef<'_, T>, rows: MatRef<'_, T>, mut logits: MatMut<'_, T>) {
    let features = rows.ncols();
    let weights = point.subrows(0, features).transpose();
    matmul(logits.as_mut(), Accum::Replace, weights, rows.transpose(), T::one(), Par::Seq);
    let intercepts = point.row(features);
    for logits in logits.col_iter_mut() {
        logits.iter_mut().zip(intercepts.iter()).for_each(|(logit, &intercept)| *logit += intercept);
    }
}
