//! Heads: small classifiers on top of embeddings, and the file that holds one.
//!
//! ```text
//! rows [B, 2048] ─▶ Linear or Dense ─▶ logits [B, K] ─▶ softmax ─▶ probabilities [B, K] ─▶ decision
//! ```
//!
//! Whatever was done to the rows while fitting (a scaler, a temperature) is folded into the weights: a head takes
//! embeddings as they are.

mod calibration;
pub mod dense;
mod file;
mod fold;
mod linear;
pub mod logistic;
mod product;
mod scaler;

pub use calibration::{temperature, temperature_near_one, thresholds};
pub use dense::Dense;
pub use file::FORMAT;
pub(crate) use file::HeadTensor;
pub use linear::Linear;
pub use scaler::Scaler;

use ndarray::{Array2, ArrayView1, ArrayView2};
use serde_json::Value;

use crate::embeddings::Provenance;
use crate::metrics::Metrics;

/// A fitted classifier of K classes, and what it was fitted on.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The names of the K classes.
    pub classes: Vec<String>,
    /// From embeddings to logits.
    pub model: Model,
    /// What the logits were divided by, so that the probabilities are calibrated; in the weights already.
    pub temperature: f64,
    /// For each class the probability below which it is not to be trusted, where a precision was asked for.
    pub thresholds: Option<Vec<f64>>,
    /// By what the embeddings were made.
    pub provenance: Provenance,
    /// How it was fitted, JSON: for people and for the report.
    pub fit: Value,
    /// What rows that it did not learn from tell.
    pub held_out: Option<HeldOut>,
}

/// From embeddings to logits.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// Logistic regression.
    Linear(Linear),
    /// One hidden layer.
    Dense(Dense),
}

/// Rows that the head did not learn from, and what it says of them.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// Which rows: `validation`, `test`, or `out of fold`.
    pub set: String,
    /// Of all of them.
    pub metrics: Metrics,
    /// The folder of their images, where it is known.
    pub images: Option<String>,
    /// Some of them or all, to look at: paths of the images,
    pub paths: Vec<String>,
    /// their classes,
    pub labels: Vec<usize>,
    /// what the head says [M, K],
    pub probabilities: Array2<f32>,
    /// and where they lie on the two principal axes of the training rows [M, 2].
    pub map: Array2<f32>,
}

impl HeldOut {
    /// Rows, and numbers of all of them, that are kept in a file for the report.
    const ROWS: usize = 10_000;
    const NUMBERS: usize = 2_000_000;

    /// Which of so many rows of K classes are kept: all, or of many every so-manieth.
    #[must_use]
    pub fn kept(rows: usize, classes: usize) -> Vec<usize> {
        let most = Self::ROWS.min(Self::NUMBERS / (classes + 2)).max(1);
        (0..rows).step_by(rows.div_ceil(most).max(1)).collect()
    }
}

impl Model {
    /// The model that takes rows as they are, of one that takes standardised ones.
    #[must_use]
    pub fn fold_scaler(self, scaler: &Scaler) -> Self {
        let (mean, scale) = (ArrayView1::from(&scaler.mean), ArrayView1::from(&scaler.scale));
        match self {
            Self::Linear(linear) => Self::Linear(linear.fold_scaler(mean, scale)),
            Self::Dense(dense) => Self::Dense(dense.fold_scaler(mean, scale)),
        }
    }

    /// The model whose logits are this one's, divided by a temperature above 0.
    #[must_use]
    pub fn fold_temperature(self, temperature: f64) -> Self {
        match self {
            Self::Linear(linear) => Self::Linear(linear.fold_temperature(temperature)),
            Self::Dense(dense) => Self::Dense(dense.fold_temperature(temperature)),
        }
    }
}

impl Head {
    /// Numbers in a row that it takes.
    #[must_use]
    pub fn features(&self) -> usize {
        match &self.model {
            Model::Linear(linear) => linear.weight.ncols(),
            Model::Dense(dense) => dense.weight1.ncols(),
        }
    }

    /// Logits [B, K] of rows [B, F]. A row's numbers do not depend on its neighbours, to the bit.
    #[must_use]
    pub fn logits(&self, rows: ArrayView2<'_, f32>) -> Array2<f32> {
        match &self.model {
            Model::Linear(linear) => linear.logits(rows),
            Model::Dense(dense) => dense.logits(rows),
        }
    }

    /// Probabilities [B, K] of rows [B, F]: the softmax of the logits, each row summing to 1.
    #[must_use]
    pub fn probabilities(&self, rows: ArrayView2<'_, f32>) -> Array2<f32> {
        softmax(self.logits(rows))
    }

    /// The class that is decided on: the most probable one, the first of equals. None where it is less probable than
    /// `threshold`, or, without one, than the head's own threshold for it.
    #[must_use]
    pub fn decide(&self, probabilities: ArrayView1<'_, f32>, threshold: Option<f64>) -> Option<usize> {
        let class = most_probable(probabilities)?;
        let own = || self.thresholds.as_ref().map_or(0.0, |thresholds| thresholds[class]);
        (f64::from(probabilities[class]) >= threshold.unwrap_or_else(own)).then_some(class)
    }
}

/// Probabilities [B, K] of logits [B, K], each row summing to 1.
#[must_use]
pub fn softmax(mut logits: Array2<f32>) -> Array2<f32> {
    for mut row in logits.rows_mut() {
        let largest = row.fold(f32::NEG_INFINITY, |largest, &logit| largest.max(logit));
        let sum: f64 = row.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
        row.mapv_inplace(|logit| (f64::from(logit - largest).exp() / sum) as f32);
    }
    logits
}

/// The position of the largest number, the first of equals; none where there is none.
#[must_use]
pub fn most_probable(probabilities: ArrayView1<'_, f32>) -> Option<usize> {
    let first = |best: Option<(usize, f32)>, (class, &p): (usize, &f32)| match best {
        Some((_, largest)) if largest >= p => best,
        _ => Some((class, p)),
    };
    probabilities.iter().enumerate().fold(None, first).map(|(class, _)| class)
}
