//! How good decisions are, in the field's usual numbers, held to scikit-learn's.
//!
//! ```text
//! labels `[N]` ──────────┐
//! probabilities [N, K] ┴─▶ Metrics ─▶ text, JSON, the head file, the report
//!                      ├─▶ roc_curve, precision_recall_curve: one class against the rest
//!                      └─▶ reliability: how sure against how right
//! two that decided on the same rows ─▶ McNemar: is one better, or was it luck?
//! ```

mod curves;
mod mcnemar;
mod measure;
mod ranking;
mod reliability;
mod text;

pub use curves::{PrecisionRecallPoint, RocPoint, precision_recall_curve, roc_curve};
pub use mcnemar::McNemar;
pub use reliability::{RELIABILITY_BINS, ReliabilityBin, reliability};

use serde::{Deserialize, Serialize};

/// What N rows with known classes tell about a classifier of K classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// N.
    pub rows: usize,
    /// The part of the rows whose most probable class is theirs.
    pub accuracy: f64,
    /// 95 % interval of the accuracy (Wilson's score interval).
    pub accuracy_interval: [f64; 2],
    /// Mean recall of the classes that occur.
    pub balanced_accuracy: f64,
    /// Mean F1 of the classes.
    pub macro_f1: f64,
    /// Mean of -ln of the probability of a row's own class.
    pub log_loss: f64,
    /// Mean over the classes of the area under the one-vs-rest ROC curve; none where a class does not occur.
    pub roc_auc: Option<f64>,
    /// Mean over the classes of the one-vs-rest average precision; none where a class does not occur.
    pub average_precision: Option<f64>,
    /// Expected calibration error of the most probable class: 15 bins of equal width.
    pub calibration_error: f64,
    /// One class each.
    pub classes: Vec<ClassMetrics>,
    /// `confusion[truth][predicted]`, counts.
    pub confusion: Vec<Vec<usize>>,
}

/// One class against the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Its name.
    pub class: String,
    /// How many rows are of it.
    pub support: usize,
    /// Of the rows that were called it, the part that is.
    pub precision: f64,
    /// Of the rows that are it, the part that was called so.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Area under its ROC curve; none where all rows or none are of it.
    pub roc_auc: Option<f64>,
    /// Average precision; none where no row is of it.
    pub average_precision: Option<f64>,
}
