//! The precision-recall curves of the classes.

use super::curves::{GRID, Points};
use crate::metrics::precision_recall_curve;

/// The curve of a class: precision over recall, in steps, so that the area under it is the average precision.
pub(super) fn points(scores: &[f64], is_class: &[bool]) -> Option<Points> {
    let curve = precision_recall_curve(scores, is_class)?;
    let mut points = Vec::with_capacity(2 * curve.len());
    for step in curve.windows(2) {
        points.push((step[0].recall, step[1].precision));
        points.push((step[1].recall, step[1].precision));
    }
    Some(points)
}

/// The mean of such curves at equal recalls.
pub(super) fn mean(curves: &[&Points]) -> Points {
    let height = |curve: &Points, x: f64| {
        let after = curve.partition_point(|point| point.0 < x);
        curve.get(after).or_else(|| curve.last()).map_or(0.0, |point| point.1)
    };
    let at = |i: usize| {
        let x = i as f64 / GRID as f64;
        (x, curves.iter().map(|curve| height(curve, x)).sum::<f64>() / curves.len() as f64)
    };
    (0..=GRID).map(at).collect()
}
