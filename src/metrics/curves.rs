//! One class against the rest, threshold by threshold: the curves that the areas of [`Metrics`](super::Metrics) lie
//! under.

use super::ranking::{Step, cumulative};

/// A point of the ROC curve: what calling every row the class that is scored at least `threshold` comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// Infinite at the first point, where nothing is called the class.
    pub threshold: f64,
    /// Of the rows of the rest, the part that is called the class.
    pub false_positive_rate: f64,
    /// Of the rows of the class, the part that is called it.
    pub true_positive_rate: f64,
}

/// A point of the precision-recall curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionRecallPoint {
    /// Infinite at the first point, where nothing is called the class.
    pub threshold: f64,
    /// Of the rows that are called the class, the part that is; 1 where none is called so.
    pub precision: f64,
    /// Of the rows of the class, the part that is called it.
    pub recall: f64,
}

/// The ROC curve from (0, 0) to (1, 1), a point for each distinct score, from the highest down: scikit-learn's
/// `roc_curve(drop_intermediate=False)`. `is_class` tells for each score whether its row is of the class. None where all
/// rows or none are of it.
#[must_use]
pub fn roc_curve(scores: &[f64], is_class: &[bool]) -> Option<Vec<RocPoint>> {
    let steps = cumulative(scores, is_class);
    let Step { ours, others, .. } = *steps.last()?;
    if ours == 0 || others == 0 {
        return None;
    }
    let start = Step { threshold: f64::INFINITY, ours: 0, others: 0 };
    let point = |step: Step| RocPoint {
        threshold: step.threshold,
        false_positive_rate: step.others as f64 / others as f64,
        true_positive_rate: step.ours as f64 / ours as f64,
    };
    Some(std::iter::once(start).chain(steps).map(point).collect())
}

/// The precision-recall curve from recall 0 to 1, a point for each distinct score, from the highest down: scikit-learn's
/// `precision_recall_curve`, backwards. None where no row is of the class.
#[must_use]
pub fn precision_recall_curve(scores: &[f64], is_class: &[bool]) -> Option<Vec<PrecisionRecallPoint>> {
    let steps = cumulative(scores, is_class);
    let all = steps.last().map(|step| step.ours).filter(|&ours| ours > 0)?;
    let start = PrecisionRecallPoint { threshold: f64::INFINITY, precision: 1.0, recall: 0.0 };
    let point = |step: Step| PrecisionRecallPoint {
        threshold: step.threshold,
        precision: step.ours as f64 / (step.ours + step.others) as f64,
        recall: step.ours as f64 / all as f64,
    };
    Some(std::iter::once(start).chain(steps.into_iter().map(point)).collect())
}
