//! One curve a class in one chart, readable for two classes and for a hundred.
//!
//! Few classes have a hue and a dash each, and a legend. Of many, all are drawn thin and grey, the mean of them strong, the
//! worst ones in hues; any other is brought forward by picking it on the page.

use serde::Serialize;

use super::super::known::Known;
use super::super::map::STYLES;
use super::super::numbers::decimal;
use super::{Plot, part_ticks, precision_recall, roc};

/// Steps of the grid that a mean is taken on.
pub(super) const GRID: usize = 100;
/// Of many classes so many are shown in hues.
const WORST: usize = 4;

/// Points of a curve, from the left to the right.
pub(super) type Points = Vec<(f64, f64)>;

/// Which curve.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Roc,
    PrecisionRecall,
}

/// A chart and its legend.
#[derive(Debug, Serialize)]
pub(in super::super) struct Chart {
    svg: String,
    legend: Vec<Entry>,
    is_many: bool,
}

/// A line of a legend.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    /// The area under its curve.
    area: String,
    /// The style of its line.
    line: String,
}

/// A class's curve.
struct Curve<'a> {
    class: usize,
    name: &'a str,
    area: f64,
    points: Points,
}

/// The chart; none where no class has a curve.
pub(in super::super) fn chart(kind: Kind, known: &Known<'_>) -> Option<Chart> {
    let mut curves = curves(kind, known);
    if curves.is_empty() {
        return None;
    }
    let mut plot = Plot::new([400.0, 372.0], [52.0, 10.0, 390.0, 322.0], [0.0, 1.0], [0.0, 1.0]);
    plot.x_ticks(&part_ticks());
    plot.y_ticks(&part_ticks());
    let (x_name, y_name) = match kind {
        Kind::Roc => ("false positive rate", "true positive rate"),
        Kind::PrecisionRecall => ("recall", "precision"),
    };
    plot.axis_names(x_name, y_name);
    if kind == Kind::Roc {
        plot.line("guess", &[(0.0, 0.0), (1.0, 1.0)]);
    }
    let is_many = known.metrics.classes.len() > STYLES;
    let mean_area = curves.iter().map(|curve| curve.area).sum::<f64>() / curves.len() as f64;
    let mut legend = Vec::new();
    if is_many {
        let all: Vec<&Points> = curves.iter().map(|curve| &curve.points).collect();
        let mean = match kind {
            Kind::Roc => roc::mean(&all),
            Kind::PrecisionRecall => precision_recall::mean(&all),
        };
        for curve in &curves {
            plot.line(&format!("curve thin c{}", curve.class), &curve.points);
        }
        let name = format!("mean of {} classes", curves.len());
        legend.push(Entry { name, area: decimal(mean_area), line: "mean".to_owned() });
        curves.sort_by(|a, b| a.area.total_cmp(&b.area).then(a.class.cmp(&b.class)));
        curves.truncate(WORST);
        draw(&mut plot, &mut legend, &curves, |place, _| place);
        plot.line("curve mean", &mean);
    } else {
        draw(&mut plot, &mut legend, &curves, |_, class| class);
    }
    let described = match kind {
        Kind::Roc => format!("ROC curves, mean area {}", decimal(mean_area)),
        Kind::PrecisionRecall => format!("Precision-recall curves, mean area {}", decimal(mean_area)),
    };
    Some(Chart { svg: plot.finish(&described), legend, is_many })
}

/// Draws curves in hues; `hue` is told a curve's place and its class.
fn draw(plot: &mut Plot, legend: &mut Vec<Entry>, curves: &[Curve<'_>], hue: fn(usize, usize) -> usize) {
    for (place, curve) in curves.iter().enumerate() {
        let line = format!("k{}", hue(place, curve.class) % STYLES);
        plot.line(&format!("curve {line}"), &curve.points);
        legend.push(Entry { name: curve.name.to_owned(), area: decimal(curve.area), line });
    }
}

/// The curves of the classes that have one.
fn curves<'a>(kind: Kind, known: &'a Known<'_>) -> Vec<Curve<'a>> {
    let classes = known.metrics.classes.iter().enumerate();
    let curve = |(class, metrics): (usize, &'a crate::metrics::ClassMetrics)| {
        let scores: Vec<f64> = known.rows.iter().map(|row| f64::from(row.probabilities[class])).collect();
        let is_class: Vec<bool> = known.rows.iter().map(|row| row.label == class).collect();
        let (points, area) = match kind {
            Kind::Roc => (roc::points(&scores, &is_class)?, metrics.roc_auc?),
            Kind::PrecisionRecall => (precision_recall::points(&scores, &is_class)?, metrics.average_precision?),
        };
        Some(Curve { class, name: &metrics.class, area, points })
    };
    classes.filter_map(curve).collect()
}
