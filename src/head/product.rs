//! Rows times weights, a row's result independent of its neighbours.

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};

/// Rows that are multiplied together. Always as many, the last ones filled up with zeros: the order of summation, and so
/// the bits of a row, are then the same whatever batch it comes in.
const BLOCK: usize = 64;

/// `rows` [B, F] times the transpose of `weight` [K, F], plus `bias` `[K]` (a slice of length K): [B, K].
pub(super) fn affine(rows: ArrayView2<'_, f32>, weight: &Array2<f32>, bias: &[f32]) -> Array2<f32> {
    let mut out = Array2::zeros((rows.nrows(), weight.nrows()));
    let blocks = out.axis_chunks_iter_mut(Axis(0), BLOCK);
    ndarray::parallel::prelude::IntoParallelIterator::into_par_iter(blocks).enumerate().for_each(|(block, mut out)| {
        let first = block * BLOCK;
        let here = out.nrows();
        let mut full = Array2::zeros((BLOCK, rows.ncols()));
        full.slice_mut(s![..here, ..]).assign(&rows.slice(s![first..first + here, ..]));
        let product = full.dot(&weight.t());
        out.assign(&product.slice(s![..here, ..]));
        for mut row in out.rows_mut() {
            row.iter_mut().zip(bias).for_each(|(logit, bias)| *logit += bias);
        }
    });
    out
}
