//! Where classes differ from their mean: the rows of the class itself.
//!
//! With a hundred classes a row gives each of the others a curvature of about one part in a hundred, and its own class
//! twenty times as much. In the variables in which the mean Hessian is 1, that of class k is 1 + U U', a column of U being a
//! row of the class times the root of what it has above the mean. Few columns, so a factor F F' of it is cheap:
//!
//! U'U = C C', Z = U C'^-1 is orthonormal, M M' = 1 + C'C, and F = 1 + Z (M - 1) Z'.

use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Accum, ColMut, Mat, MatRef, Par, Side};
use rayon::prelude::*;

use super::Number;

/// Below so many classes the mean is near enough to each of them.
const CLASSES: usize = 8;
/// Rows of a class that are looked at, and numbers that may be kept for all classes.
const ROWS: usize = 256;
const NUMBERS: usize = 1 << 26;

/// The factor F of one class.
#[derive(Clone)]
pub(super) struct Spike<T> {
    /// Z, [D, m].
    basis: Mat<T>,
    /// M, [m, m], lower.
    factor: Mat<T>,
}

/// The factors of all K classes, none for a class without any. Rows [N, D] with labels `[N]`, the curvature that each has for
/// its own class above the mean `[N]`, and the lower factor [D, D] of the mean Hessian.
pub(super) fn spikes(
    rows: MatRef<'_, f32>,
    labels: &[usize],
    heights: &[f32],
    lower: MatRef<'_, f32>,
    classes: usize,
) -> Vec<Option<Spike<f32>>> {
    if classes < CLASSES {
        return vec![None; classes];
    }
    let most = ROWS.min(NUMBERS / (classes * rows.ncols()).max(1));
    let mut of_class = vec![Vec::new(); classes];
    (0..rows.nrows()).filter(|&row| heights[row] > 0.0).for_each(|row| of_class[labels[row]].push(row));
    let one = |mut own: Vec<usize>| {
        own.sort_unstable_by(|&a, &b| heights[b].total_cmp(&heights[a]).then(a.cmp(&b)));
        own.truncate(most);
        Spike::new(rows, &own, heights, lower)
    };
    of_class.into_par_iter().map(one).collect()
}

impl Spike<f32> {
    fn new(rows: MatRef<'_, f32>, own: &[usize], heights: &[f32], lower: MatRef<'_, f32>) -> Option<Self> {
        if own.is_empty() {
            return None;
        }
        let (side, count) = (rows.ncols(), own.len());
        let mut basis = Mat::from_fn(side, count, |feature, row| heights[own[row]].sqrt() * rows[(own[row], feature)]);
        solve_lower_triangular_in_place(lower, basis.as_mut(), Par::Seq);
        let mut products = Mat::zeros(count, count);
        matmul(products.as_mut(), Accum::Replace, basis.as_ref().transpose(), basis.as_ref(), 1.0, Par::Seq);
        // Rows that equal each other have no lower factor without it.
        let jitter = 1e-5 * (0..count).map(|i| products[(i, i)]).fold(f32::MIN_POSITIVE, f32::max);
        (0..count).for_each(|i| products[(i, i)] += jitter);
        let inner = products.llt(Side::Lower).ok()?.L().to_owned();
        // Z = U C'^-1, which is Z' = C^-1 U'.
        solve_lower_triangular_in_place(inner.as_ref(), basis.as_mut().transpose_mut(), Par::Seq);
        let mut outer = Mat::identity(count, count);
        matmul(outer.as_mut(), Accum::Add, inner.as_ref().transpose(), inner.as_ref(), 1.0, Par::Seq);
        let factor = outer.llt(Side::Lower).ok()?.L().to_owned();
        Some(Self { basis, factor })
    }

    /// The same in float64.
    pub(super) fn widened(&self) -> Spike<f64> {
        let widened = |of: &Mat<f32>| Mat::from_fn(of.nrows(), of.ncols(), |i, j| f64::from(of[(i, j)]));
        Spike { basis: widened(&self.basis), factor: widened(&self.factor) }
    }
}

impl<T: Number> Spike<T> {
    /// Multiplies `[D]` by F'.
    pub(super) fn variables(&self, column: ColMut<'_, T>) {
        self.with(column, |inner| {
            let before = inner.clone();
            matmul(inner.as_mut(), Accum::Replace, self.factor.as_ref().transpose(), before, T::one(), Par::Seq);
        });
    }

    /// Multiplies `[D]` by F'^-1.
    pub(super) fn weights(&self, column: ColMut<'_, T>) {
        self.with(column, |inner| {
            solve_upper_triangular_in_place(self.factor.as_ref().transpose(), inner.as_mut(), Par::Seq);
        });
    }

    /// Multiplies `[D]` by F^-1.
    pub(super) fn gradient(&self, column: ColMut<'_, T>) {
        self.with(column, |inner| {
            solve_lower_triangular_in_place(self.factor.as_ref(), inner.as_mut(), Par::Seq);
        });
    }

    /// Adds Z (A - 1) Z' x to x, A being what `inner` does to a matrix of one column.
    fn with(&self, column: ColMut<'_, T>, inner: impl Fn(&mut Mat<T>)) {
        let mut column = column.as_mat_mut();
        let mut seen = Mat::zeros(self.basis.ncols(), 1);
        matmul(seen.as_mut(), Accum::Replace, self.basis.as_ref().transpose(), column.as_ref(), T::one(), Par::Seq);
        let mut moved = seen.clone();
        inner(&mut moved);
        moved -= &seen;
        matmul(column.as_mut(), Accum::Add, self.basis.as_ref(), moved.as_ref(), T::one(), Par::Seq);
    }
}
