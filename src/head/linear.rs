//! The head of logistic regression.

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::fold;
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

    /// The head that takes rows as they are, of one that takes (row - mean) / scale, both `[F]`.
    #[must_use]
    pub fn fold_scaler(mut self, mean: ArrayView1<'_, f64>, scale: ArrayView1<'_, f64>) -> Self {
        fold::scaler(&mut self.weight, &mut self.bias, mean, scale);
        self
    }

    /// The head whose logits are this one's, divided by a temperature above 0.
    #[must_use]
    pub fn fold_temperature(mut self, temperature: f64) -> Self {
        fold::temperature(&mut self.weight, &mut self.bias, temperature);
        self
    }
}
