//! The head with one hidden layer, the classic of transfer learning: Dense(1024, ReLU), softmax, RMSprop.
//!
//! ```text
//! Samples ─▶ batches, shuffled ─▶ Trainer: loss, gradients, RmsProp ─▶ Dense, an epoch each
//!                                                                        │
//! Samples to watch ─────────────────────────────▶ loss of each epoch ─▶ the best one's
//! ```
//!
//! `fit` is the loop over epochs, `trainer` one step of it on candle tensors, `rmsprop` how a step moves the weights,
//! `init` where they start. A trained [`Dense`] is plain arrays: no tensor of candle's leaves this folder.

mod fit;
mod init;
mod rmsprop;
mod samples;
mod trainer;

pub use fit::{DenseError, DenseParams, Epoch, Training, Validation};
pub use rmsprop::RmsProp;
pub use samples::{Batch, Samples, SamplesError};
pub use trainer::{Dropout, Trainer};

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::fold;
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

    /// The head that takes rows as they are, of one that takes (row - mean) / scale, both `[F]`.
    #[must_use]
    pub fn fold_scaler(mut self, mean: ArrayView1<'_, f64>, scale: ArrayView1<'_, f64>) -> Self {
        fold::scaler(&mut self.weight1, &mut self.bias1, mean, scale);
        self
    }

    /// The head whose logits are this one's, divided by a temperature above 0.
    #[must_use]
    pub fn fold_temperature(mut self, temperature: f64) -> Self {
        fold::temperature(&mut self.weight2, &mut self.bias2, temperature);
        self
    }

    /// Whether no number is infinite or none at all.
    fn is_finite(&self) -> bool {
        let matrices = self.weight1.iter().chain(&self.weight2);
        matrices.chain(&self.bias1).chain(&self.bias2).all(|number| number.is_finite())
    }
}
