//! The shape of the problem, so that the solver need not find it out: a change of variables in which it is nearly round.
//!
//! The Hessian of each class is X' diag(p (1 - p)) X + alpha 1, and X'X spans many orders of magnitude: L-BFGS on the weights
//! as they are crawls. With the mean of p (1 - p) over the classes and fits in the place of each one's own
//! (Böhning's bound of 1992 puts the largest there can be), it is one matrix for all, L L', and in the variables V = L' W the
//! Hessian is near 1: five to twenty-five steps, whatever the penalty.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use rayon::prelude::*;

use super::Number;

/// Sides of the tiles that threads take.
const TILE: usize = 256;
const COLUMNS: usize = 16;
/// Columns of parameters that a thread takes: with fewer, most of the time goes into reading the triangle again.
const PARAMETERS: usize = 64;
/// Rows that are enough to know the shape of X'X.
const SEEN: usize = 1 << 12;
/// Rows that count by their own spread.
const DOUBTFUL: usize = 1 << 10;

/// X'X of rows [N, D]: [D, D], the lower triangle.
pub(super) fn gram<T: Number>(rows: MatRef<'_, T>) -> Mat<T> {
    let side = rows.ncols();
    let mut gram = Mat::zeros(side, side);
    gram.as_mut().par_col_chunks_mut(TILE).enumerate().for_each(|(j, columns)| {
        columns.par_row_chunks_mut(TILE).enumerate().filter(|&(i, _)| i >= j).for_each(|(i, mut tile)| {
            let left = rows.subcols(i * TILE, tile.nrows()).transpose();
            let right = rows.subcols(j * TILE, tile.ncols());
            if i == j {
                let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
                triangular::matmul(tile, lower, Accum::Replace, left, full, right, full, T::one(), Par::Seq);
            } else {
                faer::linalg::matmul::matmul(tile.as_mut(), Accum::Replace, left, right, T::one(), Par::Seq);
            }
        });
    });
    gram
}

/// The shape of the rows [N, D], for the Hessians of all penalties.
pub(super) struct Curvature<'a> {
    rows: MatRef<'a, f32>,
    /// X'X of them, or of every so-manieth of many, scaled to as many as there are.
    gram: Mat<f32>,
}

impl<'a> Curvature<'a> {
    pub(super) fn new(rows: MatRef<'a, f32>) -> Self {
        let count = rows.nrows();
        let some: Vec<usize> = (0..count).step_by(count.div_ceil(SEEN).max(1)).collect();
        let scale = (count as f32 / some.len() as f32).sqrt();
        Self { rows, gram: if some.len() == count { gram(rows) } else { weighted_gram(rows, &some, |_| scale) } }
    }

    /// The change of variables where the rows have these spreads `[N]` (means of p (1 - p) over the classes), under a
    /// penalty.
    ///
    /// The weaker the penalty, the fewer are the rows that are still in doubt, and the less the Hessian looks like X'X.
    /// So the rows of the largest spreads count by their own, the others by their mean.
    pub(super) fn preconditioner(&self, spreads: &[f32], alpha: f64) -> Preconditioner<f32> {
        let (count, side) = (self.rows.nrows(), self.rows.ncols());
        let total: f64 = spreads.iter().map(|&spread| f64::from(spread)).sum();
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_unstable_by(|&a, &b| spreads[b].total_cmp(&spreads[a]).then(a.cmp(&b)));
        let (doubtful, rest) = order.split_at(count.min(DOUBTFUL));
        let of_rest = rest.iter().map(|&row| f64::from(spreads[row])).sum::<f64>() / count as f64;
        let of_rest = of_rest as f32;
        let mut hessian = weighted_gram(self.rows, doubtful, |row| (spreads[row] - of_rest).max(0.0).sqrt());
        hessian.as_mut().par_col_chunks_mut(COLUMNS).enumerate().for_each(|(chunk, columns)| {
            for (j, column) in (chunk * COLUMNS..).zip(columns.col_iter_mut()) {
                column.iter_mut().enumerate().skip(j).for_each(|(i, h)| *h += of_rest * self.gram[(i, j)]);
            }
        });
        let trace: f64 = (0..side).map(|i| f64::from(hessian[(i, i)])).sum();
        // A small penalty drowns beside the largest directions: any positive matrix will do as a guide.
        let mut shift = alpha.max(trace * f32::ROUNDING);
        let intercept = total.sqrt().max(1e-3) as f32;
        while shift < f64::from(f32::MAX) {
            let mut shifted = hessian.clone();
            (0..side).for_each(|i| shifted[(i, i)] += shift as f32);
            if let Ok(factored) = shifted.llt(Side::Lower) {
                return Preconditioner { lower: factored.L().to_owned(), intercept };
            }
            shift *= 10.0;
        }
        // Beyond float32 there is no shape to be seen.
        Preconditioner { lower: Mat::identity(side, side), intercept }
    }
}

/// X'WX of some rows, of each one the square root of its weight being given: the lower triangle.
fn weighted_gram(rows: MatRef<'_, f32>, some: &[usize], root: impl Fn(usize) -> f32 + Sync) -> Mat<f32> {
    // Transposed, so that a row stays in one piece.
    let mut weighted = Mat::zeros(rows.ncols(), some.len());
    weighted.as_mut().par_col_chunks_mut(COLUMNS).enumerate().for_each(|(chunk, columns)| {
        for (&row, column) in some[chunk * COLUMNS..].iter().zip(columns.col_iter_mut()) {
            let root = root(row);
            column.iter_mut().zip(rows.row(row).iter()).for_each(|(to, &from)| *to = root * from);
        }
    });
    gram(weighted.as_ref().transpose())
}

/// Between weights W and the variables V = L' W that the solver sees. All are [D + 1, C], one column after the other.
pub(super) struct Preconditioner<T> {
    lower: Mat<T>,
    /// What the intercepts are multiplied by.
    intercept: T,
}

impl Preconditioner<f32> {
    /// The same for float64: it is a guide, and needs no more digits.
    pub(super) fn widened(&self) -> Preconditioner<f64> {
        let side = self.lower.nrows();
        let lower = Mat::from_fn(side, side, |i, j| f64::from(self.lower[(i, j)]));
        Preconditioner { lower, intercept: f64::from(self.intercept) }
    }
}

impl<T: Number> Preconditioner<T> {
    /// V of W.
    pub(super) fn variables(&self, weights: &[T]) -> Vec<T> {
        let side = self.lower.nrows();
        let mut variables = weights.to_vec();
        let weights = MatRef::from_column_major_slice(weights, side + 1, weights.len() / (side + 1));
        self.columns(&mut variables, |first, mut columns, intercepts| {
            let weights = weights.submatrix(0, first, side, columns.ncols());
            let (upper, full) = (BlockStructure::TriangularUpper, BlockStructure::Rectangular);
            let transpose = self.lower.transpose();
            triangular::matmul(
                columns.as_mut(),
                full,
                Accum::Replace,
                transpose,
                upper,
                weights,
                full,
                T::one(),
                Par::Seq,
            );
            scale(intercepts, self.intercept);
        });
        variables
    }

    /// W of V.
    pub(super) fn weights(&self, variables: &[T]) -> Vec<T> {
        let mut weights = variables.to_vec();
        self.columns(&mut weights, |_, columns, intercepts| {
            solve_upper_triangular_in_place(self.lower.transpose(), columns, Par::Seq);
            scale(intercepts, T::one() / self.intercept);
        });
        weights
    }

    /// The gradient with respect to V of the gradient with respect to W.
    pub(super) fn gradient(&self, mut gradient: Vec<T>) -> Vec<T> {
        self.columns(&mut gradient, |_, columns, intercepts| {
            solve_lower_triangular_in_place(self.lower.as_ref(), columns, Par::Seq);
            scale(intercepts, T::one() / self.intercept);
        });
        gradient
    }

    /// Calls `each` with some columns at a time: the position of their first one, [D, n] and their intercepts [1, n].
    fn columns(&self, all: &mut [T], each: impl Fn(usize, MatMut<'_, T>, MatMut<'_, T>) + Sync) {
        let side = self.lower.nrows();
        let count = all.len() / (side + 1);
        let all = MatMut::from_column_major_slice_mut(all, side + 1, count);
        all.par_col_chunks_mut(PARAMETERS).enumerate().for_each(|(chunk, columns)| {
            let (columns, intercepts) = columns.split_at_row_mut(side);
            each(chunk * PARAMETERS, columns, intercepts);
        });
    }
}

fn scale<T: Number>(numbers: MatMut<'_, T>, by: T) {
    numbers.col_iter_mut().for_each(|column| column.iter_mut().for_each(|number| *number *= by));
}
