//! The head with one hidden layer.

use ndarray::{Array2, ArrayView2};

use super::product::affine;

/// logits = relu(embeddings @ weight1^T + bias1) @ weight2^T + bias2.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// [H, F].
    pub weight1: Array2<f32>,
    /// `[H]`.
    pub bias1: Vec<f32>,
    /// [K, H].
    pub weight2: Array2<f32>,
    /// `[K]`.
    pub bias2: Vec<f32>,
}

impl Dense {
    /// Logits [B, K] of rows [B, F].
    #[must_use]
    pub fn logits(&self, rows: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut hidden = affine(rows, &self.weight1, &self.bias1);
        hidden.mapv_inplace(|x| x.max(0.0));
        affine(hidden.view(), &self.weight2, &self.bias2)
    }
}
