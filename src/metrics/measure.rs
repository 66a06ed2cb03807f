//! From labels and probabilities to [`Metrics`].

use ndarray::{ArrayView1, ArrayView2};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::ranking::{average_precision, roc_auc};
use super::reliability::reliability;
use super::{ClassMetrics, Metrics};

/// The normal distribution's quantile at 0.975.
const Z: f64 = 1.959_963_984_540_054;

impl Metrics {
    /// What `labels` `[N]`, positions in `classes` `[K]`, and `probabilities` [N, K] tell. Rows whose label is no class, or
    /// that lack one of the two, are left out. Of equal probabilities the first class is the predicted one. A number
    /// that divides by nothing is 0.
    #[must_use]
    pub fn new(classes: &[String], labels: &[usize], probabilities: ArrayView2<'_, f64>) -> Self {
        let count = classes.len().min(probabilities.ncols());
        let rows: Vec<(usize, ArrayView1<'_, f64>)> =
            labels.iter().copied().zip(probabilities.rows()).filter(|(label, _)| *label < count).collect();
        let mut confusion = vec![vec![0; count]; count];
        for &(label, row) in &rows {
            confusion[label][most_probable(row)] += 1;
        }
        let classes: Vec<ClassMetrics> = (0..count)
            .into_par_iter()
            .map(|class| of_class(class, classes[class].clone(), &rows, &confusion))
            .collect();
        let right: usize = (0..count).map(|class| confusion[class][class]).sum();
        let recalls: Vec<f64> = classes.iter().filter(|class| class.support > 0).map(|class| class.recall).collect();
        let mean_of = |number: fn(&ClassMetrics) -> Option<f64>| {
            let numbers: Option<Vec<f64>> = classes.iter().map(number).collect();
            numbers.filter(|numbers| !numbers.is_empty()).map(|numbers| mean(&numbers))
        };
        Self {
            rows: rows.len(),
            accuracy: ratio(right, rows.len()),
            accuracy_interval: wilson(right, rows.len()),
            balanced_accuracy: mean(&recalls),
            macro_f1: mean(&classes.iter().map(|class| class.f1).collect::<Vec<_>>()),
            log_loss: log_loss(&rows),
            roc_auc: mean_of(|class| class.roc_auc),
            average_precision: mean_of(|class| class.average_precision),
            calibration_error: calibration_error(&rows),
            classes,
            confusion,
        }
    }
}

fn of_class(
    class: usize,
    name: String,
    rows: &[(usize, ArrayView1<'_, f64>)],
    confusion: &[Vec<usize>],
) -> ClassMetrics {
    let right = confusion[class][class];
    let support = confusion[class].iter().sum();
    let called: usize = confusion.iter().map(|row| row[class]).sum();
    let scores: Vec<f64> = rows.iter().map(|(_, row)| row[class]).collect();
    let is_class: Vec<bool> = rows.iter().map(|&(label, _)| label == class).collect();
    ClassMetrics {
        class: name,
        support,
        precision: ratio(right, called),
        recall: ratio(right, support),
        f1: ratio(2 * right, called + support),
        roc_auc: roc_auc(&scores, &is_class),
        average_precision: average_precision(&scores, &is_class),
    }
}

/// The position of the largest number, the first of equals.
pub(super) fn most_probable(row: ArrayView1<'_, f64>) -> usize {
    let mut best = 0;
    for (class, &p) in row.iter().enumerate() {
        if p > row[best] {
            best = class;
        }
    }
    best
}

/// Wilson's score interval: unlike the normal approximation it stays in [0, 1] and has a width at 0 and 1.
fn wilson(right: usize, rows: usize) -> [f64; 2] {
    if rows == 0 {
        return [0.0, 1.0];
    }
    let (n, p) = (rows as f64, ratio(right, rows));
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // At 0 and 1 the ends meet the accuracy exactly, and rounding must not push them past it.
    [((centre - half) / scale).clamp(0.0, p), ((centre + half) / scale).clamp(p, 1.0)]
}

/// Probabilities are kept off 0 by the smallest step of a float64 at 1, as scikit-learn does, so that one row that is
/// surely wrong costs 36 and not infinity.
fn log_loss(rows: &[(usize, ArrayView1<'_, f64>)]) -> f64 {
    let losses: Vec<f64> =
        rows.iter().map(|(label, row)| -row[*label].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()).collect();
    mean(&losses)
}

/// The mean distance between how sure the head is and how often it is right, over bins of equal width, weighted by rows.
fn calibration_error(rows: &[(usize, ArrayView1<'_, f64>)]) -> f64 {
    let gaps: f64 = reliability(rows.iter().copied()).iter().map(|bin| (bin.sure - bin.right as f64).abs()).sum();
    if rows.is_empty() { 0.0 } else { gaps / rows.len() as f64 }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn mean(numbers: &[f64]) -> f64 {
    if numbers.is_empty() { 0.0 } else { numbers.iter().sum::<f64>() / numbers.len() as f64 }
}
