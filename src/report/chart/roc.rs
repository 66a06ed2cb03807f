//! The ROC curves of the classes.

use super::curves::{GRID, Points};
use crate::metrics::roc_curve;

/// The curve of a class: true positive rate over false positive rate.
pub(super) fn points(scores: &[f64], is_class: &[bool]) -> Option<Points> {
    let curve = roc_curve(scores, is_class)?;
    Some(curve.iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect())
}

/// The mean of curves at equal false positive rates, straight lines between their points.
pub(super) fn mean(curves: &[&Points]) -> Points {
    let height = |curve: &Points, x: f64| {
        let after = curve.partition_point(|point| point.0 <= x);
        match (curve[after - 1], curve.get(after)) {
            (before, Some(&next)) => before.1 + (next.1 - before.1) * (x - before.0) / (next.0 - before.0),
            (last, None) => last.1,
        }
    };
    let at = |i: usize| {
        let x = i as f64 / GRID as f64;
        (x, curves.iter().map(|curve| height(curve, x)).sum::<f64>() / curves.len() as f64)
    };
    std::iter::once((0.0, 0.0)).chain((0..=GRID).map(at)).collect()
}
