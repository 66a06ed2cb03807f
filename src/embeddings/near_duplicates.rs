//! Rows that are all but the same: copies, crops, re-saves and neighbouring frames of one picture.
//!
//! On both sides of a split they make a head look better than it is, as it is asked what it has been told.
//!
//! Unit vectors with a cosine of c are sqrt(2 - 2c) apart, and no projection takes them further: so pairs are first held
//! against that distance along a few principal axes, and only those that pass are multiplied out. Nothing is missed.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::PrincipalAxes;

/// From this cosine on two rows are near-duplicates.
pub const NEAR: f64 = 0.999;

/// Axes of the first look.
const AXES: usize = 32;
/// Rows of either side that are compared at a time.
const BLOCK: usize = 512;

/// Two rows, by position, and the cosine of the angle between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearDuplicate {
    /// On the left.
    pub left: usize,
    /// On the right.
    pub right: usize,
    /// At least [`NEAR`].
    pub cosine: f64,
}

/// For each row of `left` [N, F] that has near-duplicates in `right` [M, F] its nearest one, of the pairs that `counts` lets
/// pass; in order of their positions.
#[must_use]
pub fn near_duplicates(
    left: ArrayView2<'_, f32>,
    right: ArrayView2<'_, f32>,
    counts: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<NearDuplicate> {
    let (left_units, right_units) = (units(left), units(right));
    let axes = PrincipalAxes::of(left_units.view(), AXES);
    let (near_left, near_right) = (axes.coordinates(left_units.view()), axes.coordinates(right_units.view()));
    // Rounding of float32 must not lose a pair.
    let bound = (2.0 - 2.0 * NEAR) as f32 + 1e-5;
    let starts: Vec<usize> = (0..left.nrows()).step_by(BLOCK).collect();
    let of_block = |&start: &usize| {
        let mut nearest: Vec<Option<NearDuplicate>> = vec![None; BLOCK];
        let rows = near_left.slice(ndarray::s![start..(start + BLOCK).min(left.nrows()), ..]);
        for first in (0..right.nrows()).step_by(BLOCK) {
            let others = near_right.slice(ndarray::s![first..(first + BLOCK).min(right.nrows()), ..]);
            for (row, other) in closer_than(bound, rows, others) {
                let (left, right) = (start + row, first + other);
                if counts(left, right) {
                    let cosine = dot(left_units.row(left), right_units.row(right));
                    if cosine >= NEAR && nearest[row].is_none_or(|nearest| nearest.cosine < cosine) {
                        nearest[row] = Some(NearDuplicate { left, right, cosine });
                    }
                }
            }
        }
        nearest.into_iter().flatten().collect()
    };
    let found: Vec<Vec<NearDuplicate>> = starts.par_iter().map(of_block).collect();
    found.concat()
}

/// Pairs whose squared distance is at most `bound`.
fn closer_than(bound: f32, rows: ArrayView2<'_, f32>, others: ArrayView2<'_, f32>) -> Vec<(usize, usize)> {
    let square = |row: ArrayView1<'_, f32>| row.iter().map(|x| x * x).sum::<f32>();
    let rows_square: Vec<f32> = rows.rows().into_iter().map(square).collect();
    let others_square: Vec<f32> = others.rows().into_iter().map(square).collect();
    let (Some(a), Some(b)) = (rows.as_slice(), others.as_slice()) else { return Vec::new() };
    let a = MatRef::from_row_major_slice(a, rows.nrows(), rows.ncols());
    let b = MatRef::from_row_major_slice(b, others.nrows(), others.ncols());
    let mut products = Mat::zeros(rows.nrows(), others.nrows());
    matmul(products.as_mut(), Accum::Replace, a, b.transpose(), 1.0, Par::Seq);
    let mut close = Vec::new();
    for (other, column) in products.col_iter().enumerate() {
        for (row, product) in column.iter().enumerate() {
            if rows_square[row] + others_square[other] - 2.0 * product <= bound {
                close.push((row, other));
            }
        }
    }
    close
}

fn units(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut units = rows.as_standard_layout().into_owned();
    for mut row in units.rows_mut() {
        // In float64: the norm may be more, or less, than float32 holds. A row of zeros stays one, and is near to none.
        let norm = dot(row.view(), row.view()).sqrt().max(f64::MIN_POSITIVE);
        row.mapv_inplace(|x| (f64::from(x) / norm) as f32);
    }
    units
}

fn dot(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
