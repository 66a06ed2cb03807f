//! What happened, step by step and epoch by epoch.

use serde::{Deserialize, Serialize};

/// A training so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What the watched rows said before the first step.
    pub start: Option<Validation>,
    /// Step by step.
    pub steps: Vec<StepRecord>,
    /// Epoch by epoch.
    pub epochs: Vec<EpochRecord>,
    /// The position in `epochs` of the lowest loss of the watched rows.
    pub best_epoch: Option<usize>,
}

/// What watched rows say of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Their mean cross-entropy, by their classes' weights.
    pub loss: f64,
    /// The part of them whose most probable class is theirs.
    pub accuracy: f64,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Counted from 1, through all epochs.
    pub step: usize,
    /// Counted from 1.
    pub epoch: usize,
    /// Of the step's images, before it.
    pub loss: f64,
    /// Its length.
    pub learning_rate: f64,
    /// The length of the gradient, before it was clipped.
    pub gradient_norm: f64,
}

/// One epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss of the images trained on, each with the weights of its step.
    pub train_loss: f64,
    /// What the watched rows say after it.
    pub validation_loss: Option<f64>,
    /// Likewise.
    pub validation_accuracy: Option<f64>,
}
