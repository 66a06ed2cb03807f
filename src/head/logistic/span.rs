//! Fewer rows than features: the fit happens in the space that the rows span.
//!
//! A penalty on |w|^2 does not change under a rotation of the features, and weights outside the span of the rows would cost
//! and bring nothing. With X X' = L L', the N rows of L are the rows of X in an orthonormal basis of that span: logistic
//! regression on L, [N, N], is the one on X, [N, F], exactly, and v in the one is w = X' L'^-1 v in the other.

use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::solve_upper_triangular_in_place;
use faer::{Accum, Mat, MatRef, Par, Side};
use rayon::prelude::*;

use super::Number;
use super::curvature::gram;

/// Of the mean square of a row, what is added to the diagonal: rows that depend on each other (all do, once their mean is
/// taken away) leave nothing to divide by.
const JITTER: f64 = 1e-10;

/// Rows in the basis of their span, and the way back.
pub(super) struct Span<'a> {
    rows: MatRef<'a, f32>,
    lower: Mat<f64>,
    /// L', one row of L after the other.
    coordinates: Mat<f32>,
}

impl<'a> Span<'a> {
    /// Of rows [N, F]; none where it would not be smaller than they are.
    pub(super) fn new(rows: MatRef<'a, f32>) -> Option<Self> {
        let count = rows.nrows();
        if count >= rows.ncols() {
            return None;
        }
        let wide = f64::rows(rows);
        let mut products = gram(wide.view().transpose());
        let mean = (0..count).map(|i| products[(i, i)]).sum::<f64>() / count as f64;
        (0..count).for_each(|i| products[(i, i)] += JITTER * mean.max(1.0));
        let lower = products.llt(Side::Lower).ok()?.L().to_owned();
        let coordinates = Mat::from_fn(count, count, |j, i| lower[(i, j)] as f32);
        Some(Self { rows, lower, coordinates })
    }

    /// The rows in the basis: [N, N].
    pub(super) fn coordinates(&self) -> MatRef<'_, f32> {
        self.coordinates.as_ref().transpose()
    }

    /// Parameters [F + 1, C] for the rows as they were, of those [N + 1, C] for their coordinates.
    pub(super) fn back(&self, parameters: &[f64]) -> Vec<f64> {
        let (count, features) = (self.rows.nrows(), self.rows.ncols());
        let wide = f64::rows(self.rows);
        let mut out = vec![0.0; (features + 1) * (parameters.len() / (count + 1))];
        let columns = out.par_chunks_exact_mut(features + 1).zip(parameters.par_chunks_exact(count + 1));
        columns.for_each(|(out, parameters)| {
            let mut duals = parameters[..count].to_vec();
            solve_upper_triangular_in_place(
                self.lower.transpose(),
                faer::MatMut::from_column_major_slice_mut(&mut duals, count, 1),
                Par::Seq,
            );
            let duals = MatRef::from_column_major_slice(&duals, count, 1);
            let (weights, intercept) = out.split_at_mut(features);
            let weights = faer::MatMut::from_column_major_slice_mut(weights, features, 1);
            matmul(weights, Accum::Replace, wide.view().transpose(), duals, 1.0, Par::Seq);
            intercept[0] = parameters[count];
        });
        out
    }
}
