//! How training went, step by step and epoch by epoch: what is recorded, and the table of it.
//!
//! ```text
//! trainer ─▶ Step, Epoch ─▶ History ─┬▶ CSV            for programs
//!                                    ├▶ report::curves  a picture, for people
//!                                    └▶ JSON            in a checkpoint, in a model's `fit`
//! ```
//!
//! All numbers are finite: training stops at the first that is not, and does not record it.

mod csv;

use serde::{Deserialize, Serialize};

/// All of one training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What the validation rows told before the first step.
    pub start: Option<Validation>,
    /// In order.
    pub steps: Vec<Step>,
    /// Those that ended, in order.
    pub epochs: Vec<Epoch>,
    /// The number of the epoch whose weights were kept, from 1 on; 0 where those of the start were. None until that is known.
    pub best_epoch: Option<usize>,
}

/// One change of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its number, from 1 on, over all epochs.
    pub step: usize,
    /// The number of its epoch, from 1 on.
    pub epoch: usize,
    /// The mean loss of its images, before the change.
    pub loss: f64,
    /// What the change was scaled by.
    pub learning_rate: f64,
}

/// One pass over the images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1 on.
    pub epoch: usize,
    /// The mean loss of its images, each before the step that it was part of.
    pub train_loss: f64,
    /// What the validation rows told at its end.
    pub validation: Option<Validation>,
}

/// What rows that are not trained on tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// The part of the rows whose most probable class is theirs.
    pub accuracy: f64,
}
