//! Probabilities that mean what they say, and decisions that are right as often as asked for.

use argmin::core::{CostFunction, Error, Executor, State};
use argmin::solver::brent::BrentRoot;
use ndarray::{ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use super::most_probable;

/// The widest that temperatures go: with few rows that are all right, or all wrong, there is no best one.
const WIDEST: f64 = 20.0;
/// By which factor a temperature that is near one is off, as a logarithm.
const BELIEVED: f64 = 0.25;
/// Rows whose sums are taken together.
const BLOCK: usize = 256;

/// The temperature by which logits [N, K] are to be divided so that their softmax gives the labels `[N]` the largest
/// probability: one number, which changes no decision (Guo et al., "On Calibration of Modern Neural Networks", 2017). The
/// logits are to be of rows that their head did not learn from.
#[must_use]
pub fn temperature<'a>(logits: ArrayView2<'a, f32>, labels: &'a [usize]) -> f64 {
    best_of(Slope { logits, labels, belief: 0.0 })
}

/// Likewise where rows are few, and the logits not far from calibrated: a temperature's logarithm is believed to lie about zero,
/// with a deviation of `BELIEVED`. Fifteen rows that are all right would otherwise have the largest temperature there is below 1, and the
/// sixteenth that is wrong cost ten times what it should. Many rows overrule the belief.
#[must_use]
pub fn temperature_near_one<'a>(logits: ArrayView2<'a, f32>, labels: &'a [usize]) -> f64 {
    best_of(Slope { logits, labels, belief: BELIEVED.powi(-2) })
}

fn best_of(slope: Slope<'_>) -> f64 {
    // The loss is convex in 1 / temperature: its slope rises.
    match (slope.at(1.0 / WIDEST), slope.at(WIDEST)) {
        // All logits of a row are the same: there is nothing to divide.
        (0.0, 0.0) => return 1.0,
        (slope, _) if slope >= 0.0 => return WIDEST,
        (_, slope) if slope <= 0.0 => return 1.0 / WIDEST,
        _ => {}
    }
    let solver = BrentRoot::new(1.0 / WIDEST, WIDEST, 1e-9);
    let run = Executor::new(slope, solver).configure(|state| state.param(1.0).max_iters(100)).ctrlc(false).run();
    run.ok().and_then(|result| result.state.get_best_param().copied()).map_or(1.0, f64::recip)
}

/// The slope of the loss over 1 / temperature.
struct Slope<'a> {
    logits: ArrayView2<'a, f32>,
    labels: &'a [usize],
    /// How much ln(temperature)^2 / 2 is added to the loss.
    belief: f64,
}

impl Slope<'_> {
    /// The sum over the rows of the mean logit under the softmax, less that of the label.
    fn at(&self, sharpness: f64) -> f64 {
        let of_row = |row: ArrayView1<'_, f32>, label: usize| {
            let top = row.iter().fold(f64::NEG_INFINITY, |top, &z| top.max(f64::from(z)));
            let (mut total, mut mean) = (0.0, 0.0);
            for &z in row {
                let p = (sharpness * (f64::from(z) - top)).exp();
                total += p;
                mean += p * f64::from(z);
            }
            mean / total - f64::from(row[label])
        };
        let blocks: Vec<_> = self.logits.axis_chunks_iter(Axis(0), BLOCK).zip(self.labels.chunks(BLOCK)).collect();
        let sums: Vec<f64> = blocks
            .into_par_iter()
            .map(|(rows, labels)| rows.rows().into_iter().zip(labels).map(|(row, &label)| of_row(row, label)).sum())
            .collect();
        sums.iter().sum::<f64>() + self.belief * sharpness.ln() / sharpness
    }
}

impl CostFunction for Slope<'_> {
    type Param = f64;
    type Output = f64;

    fn cost(&self, sharpness: &f64) -> Result<f64, Error> {
        Ok(self.at(*sharpness))
    }
}

/// For each class the lowest probability from which on at least `precision` of the decisions for it are right, by rows with
/// probabilities [N, K] and labels `[N]`; 1 for a class of which no such part is.
#[must_use]
pub fn thresholds(probabilities: ArrayView2<'_, f32>, labels: &[usize], precision: f64) -> Vec<f64> {
    let classes = probabilities.ncols();
    let mut decisions: Vec<Vec<(f32, bool)>> = vec![Vec::new(); classes];
    for (row, &label) in probabilities.rows().into_iter().zip(labels) {
        if let Some(class) = most_probable(row) {
            decisions[class].push((row[class], class == label));
        }
    }
    decisions.into_iter().map(|decisions| threshold(decisions, precision)).collect()
}

fn threshold(mut decisions: Vec<(f32, bool)>, precision: f64) -> f64 {
    decisions.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut right, mut lowest) = (0, 1.0);
    for (position, &(p, is_right)) in decisions.iter().enumerate() {
        right += usize::from(is_right);
        let is_last_of_equals = decisions.get(position + 1).is_none_or(|next| next.0 < p);
        if is_last_of_equals && right as f64 / (position + 1) as f64 >= precision {
            lowest = f64::from(p);
        }
    }
    lowest
}
