//! The head of logistic regression.

use ndarray::{Array2, ArrayView2};

use super::product::affine;

/// logits = embeddings @ weight^T + bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// [K, F].
    pub weight: Array2<f32>,
    /// `[K]`.
    pub bias: Vec<f32>,
}

impl Linear {
    /// Logits [B, K] of rows [B, F].
    #[must_use]
    pub fn logits(&self, rows: ArrayView2<'_, f32>) -> Array2<f32> {
        affine(rows, &self.weight, &self.bias)
    }
}
