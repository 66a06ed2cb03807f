//! Rows in the order of their folds: what a fit leaves out lies together, and its gradient passes over it.

use faer::MatRef;
use ndarray::{Array2, ArrayView2};

/// A dataset in the order of its folds.
pub(super) struct InFolds {
    /// Where each row was.
    order: Vec<usize>,
    /// [N, F], row-major.
    numbers: Vec<f32>,
    features: usize,
    pub(super) labels: Vec<usize>,
    pub(super) weights: Vec<f32>,
    pub(super) folds: Vec<usize>,
}

impl InFolds {
    /// Of rows [N, F] with labels, weights and folds `[N]`.
    pub(super) fn new(rows: ArrayView2<'_, f32>, labels: &[usize], weights: &[f32], folds: &[usize]) -> Self {
        let mut order: Vec<usize> = (0..folds.len()).collect();
        order.sort_by_key(|&row| folds[row]);
        let mut numbers = Vec::with_capacity(rows.len());
        for &row in &order {
            numbers.extend(rows.row(row));
        }
        Self {
            numbers,
            features: rows.ncols(),
            labels: order.iter().map(|&row| labels[row]).collect(),
            weights: order.iter().map(|&row| weights[row]).collect(),
            folds: order.iter().map(|&row| folds[row]).collect(),
            order,
        }
    }

    /// [N, F].
    pub(super) fn rows(&self) -> MatRef<'_, f32> {
        MatRef::from_row_major_slice(&self.numbers, self.order.len(), self.features)
    }

    /// How many folds there are.
    pub(super) fn count(&self) -> usize {
        self.folds.last().map_or(0, |&last| last + 1)
    }

    /// Numbers [N, K] of the rows, in the order in which the rows came.
    pub(super) fn back(&self, numbers: &Array2<f32>) -> Array2<f32> {
        let mut back = Array2::zeros(numbers.dim());
        self.order.iter().zip(numbers.rows()).for_each(|(&row, numbers)| back.row_mut(row).assign(&numbers));
        back
    }
}
