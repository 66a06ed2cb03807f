//! What goes into either kind of head, and what comes out.

use ndarray::Array2;
use serde_json::Value;

use crate::head::Model;

/// Rows to learn from.
pub(super) struct Lesson {
    /// [N, F], standardised.
    pub(super) rows: Array2<f32>,
    /// `[N]`, below `classes`.
    pub(super) labels: Vec<usize>,
    /// K.
    pub(super) classes: usize,
    /// `[N]`, the fold of each row.
    pub(super) folds: Vec<usize>,
    /// `[N]`, what each row counts, where that is not the same for all.
    pub(super) weights: Option<Vec<f32>>,
}

impl Lesson {
    pub(super) fn fold_count(&self) -> usize {
        self.folds.iter().max().map_or(0, |&last| last + 1)
    }
}

/// What was learnt.
pub(super) struct Learnt {
    /// From standardised rows to logits.
    pub(super) model: Model,
    /// Logits [N, K] of each row, by a model that did not see its fold.
    pub(super) out_of_fold: Array2<f32>,
    /// How, for the head file and the report: an object.
    pub(super) fit: Value,
}
