//! From a dataset to its fit: the folds choose the penalty, and the fit on all rows is polished.

use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array1, Array2, ArrayBase, Axis, Data, Ix2};

use super::in_folds::InFolds;
use super::minimise::{Stop, minimise, penalise};
use super::objective::Objective;
use super::span::Span;
use super::walk::walk;
use super::{Alphas, LogisticError, LogisticValidParams};

/// At the end, in float32 and then in float64.
const FINAL: Stop = Stop { gap: 1e-6, settled: f64::INFINITY, iterations: 200, steep: 0.0 };
const POLISH: Stop = Stop { gap: 1e-10, settled: f64::INFINITY, iterations: 500, steep: 0.0 };
/// Squares of larger numbers float32 cannot add up.
const LARGEST: f32 = 1e15;
/// From which gap on, as part of the loss, a fit has not converged.
const CONVERGED: f64 = 1e-4;

/// A fitted logistic regression.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// [K, F], for standardised rows.
    pub weight: Array2<f64>,
    /// `[K]`.
    pub bias: Array1<f64>,
    /// The penalty.
    pub alpha: f64,
    /// What was minimised, at the end: weighted loss of all rows and the penalty.
    pub loss: f64,
    /// How far above its minimum `loss` is at most, as part of it: the cost is alpha-convex in the weights, so |gradient|^2 /
    /// (2 alpha). Intercepts have no penalty, and go by the mean curvature: with a rare class it may be a few times more.
    pub gap: f64,
    /// Logits [N, K] of each row by the fit that did not see its fold, with the same penalty.
    pub out_of_fold: Array2<f32>,
    /// All penalties that were tried, from strong to weak.
    pub path: Vec<PathPoint>,
}

/// A penalty that was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathPoint {
    /// The penalty.
    pub alpha: f64,
    /// Mean weighted log loss of the rows in the fit that did not see their fold.
    pub log_loss: f64,
    /// Passes over the rows that it took.
    pub passes: usize,
}

impl Fitted {
    /// Whether the loss is within 1e-4 of its minimum.
    #[must_use]
    pub fn has_converged(&self) -> bool {
        self.gap <= CONVERGED
    }
}

impl<D: Data<Elem = f32>> Fit<ArrayBase<D, Ix2>, Array1<usize>, LogisticError> for LogisticValidParams {
    type Object = Fitted;

    /// Fits standardised records [N, F] with targets `[N]` below K, weights `[N]` where there are any.
    ///
    /// # Errors
    /// Where the dataset's parts do not belong together or hold numbers that are none.
    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, Array1<usize>>) -> Result<Fitted, LogisticError> {
        let records = dataset.records().view();
        let labels = dataset.targets().to_vec();
        let ones = vec![1.0; records.nrows()];
        let weights = dataset.weights().unwrap_or(&ones);
        self.fits_together(&records, &labels, weights)?;
        let dataset = InFolds::new(records, &labels, weights, &self.folds);

        let (rows, count) = (dataset.rows(), dataset.count());
        let span = Span::new(rows);
        let InFolds { labels, weights, folds, .. } = &dataset;
        let on = |rows, fits| Objective { rows, labels, weights, folds, fits, classes: self.classes };
        let all = count..count + 1;
        let place = span.as_ref().map_or(rows, Span::coordinates);

        let objective = on(place, 0..count);
        let alphas = self.alphas.descending(rows.nrows());
        let (best, path) = walk(&objective, &alphas).ok_or(LogisticError::Alpha(f64::NAN))?;
        let out_of_fold = dataset.back(&objective.held_out_logits(&best.weights));

        // The fits without a fold have shown the penalty, and their mean is near the fit on all rows.
        let start = mean_of_fits(&best.weights, count);
        let objective = on(place, all.clone());
        let near = minimise(&objective, &best.guide, best.alpha, &start, FINAL).weights;
        let near: Vec<f64> = near.into_iter().map(f64::from).collect();
        let polished = minimise(&objective, &best.guide.widened(), best.alpha, &near, POLISH);
        let parameters = match &span {
            Some(span) => span.back(&polished.weights),
            None => polished.weights,
        };
        let (loss, gap) = certify(&on(rows, all), &parameters, best.alpha);

        let features = rows.ncols();
        let columns = Array2::from_shape_vec((self.classes, features + 1), parameters).unwrap_or_default();
        let (weight, bias) = columns.view().split_at(Axis(1), features);
        let bias = bias.iter().copied().collect();
        Ok(Fitted { weight: weight.to_owned(), bias, alpha: best.alpha, loss, gap, out_of_fold, path })
    }
}

impl LogisticValidParams {
    fn fits_together(
        &self,
        records: &ndarray::ArrayView2<'_, f32>,
        labels: &[usize],
        weights: &[f32],
    ) -> Result<(), LogisticError> {
        let rows = records.nrows();
        let lengths = [("labels", labels.len()), ("weights", weights.len()), ("folds", self.folds.len())];
        if let Some((what, found)) = lengths.into_iter().find(|&(_, found)| found != rows) {
            return Err(LogisticError::Shape { what, found, wanted: rows });
        }
        if let Some(&label) = labels.iter().find(|&&label| label >= self.classes) {
            return Err(LogisticError::Shape { what: "a label", found: label, wanted: self.classes });
        }
        if let Some((row, &weight)) = weights.iter().enumerate().find(|(_, weight)| !(0.0..=LARGEST).contains(*weight))
        {
            return Err(LogisticError::Weight(row, weight));
        }
        let row = |(row, numbers): (usize, ndarray::ArrayView1<'_, f32>)| {
            let wrong = numbers.iter().find(|x| !(-LARGEST..=LARGEST).contains(*x))?;
            Some(if wrong.is_finite() { LogisticError::Large(row) } else { LogisticError::NotFinite(row) })
        };
        records.rows().into_iter().enumerate().find_map(row).map_or(Ok(()), Err)
    }
}

impl Alphas {
    /// From strong to weak. The strongest grows with the rows, as the loss it is held against does.
    fn descending(&self, rows: usize) -> Vec<f64> {
        match self {
            Self::HalfDecades => {
                let top = (rows as f64).log10().ceil().max(4.0) as i32;
                (0..=2 * (top + 4)).map(|half| 10_f64.powf(f64::from(top) - f64::from(half) / 2.0)).collect()
            }
            Self::Listed(alphas) => {
                let mut alphas = alphas.clone();
                alphas.sort_by(|a, b| b.total_cmp(a));
                alphas.dedup();
                alphas
            }
        }
    }
}

/// The mean of the parameters of all fits.
fn mean_of_fits(parameters: &[f32], fits: usize) -> Vec<f32> {
    let of_fit = parameters.len() / fits;
    let sum = |i: usize| (0..fits).map(|fit| parameters[fit * of_fit + i]).sum::<f32>();
    (0..of_fit).map(|i| sum(i) / fits as f32).collect()
}

/// The loss with its penalty at `parameters` [F + 1, K], and its distance to the minimum at most, as part of it.
fn certify(objective: &Objective<'_>, parameters: &[f64], alpha: f64) -> (f64, f64) {
    let mut value = objective.value::<f64>(parameters);
    let loss = value.loss + penalise(&mut value.gradient, parameters, objective.parameters(), alpha);
    let (mut weights, mut intercepts) = (0.0, 0.0);
    for column in value.gradient.chunks_exact(objective.parameters()) {
        let (of_weights, of_intercept) = column.split_at(column.len() - 1);
        weights += of_weights.iter().map(|x| x * x).sum::<f64>();
        intercepts += of_intercept[0].powi(2);
    }
    // Intercepts have no penalty: their curvature is that of the loss itself.
    let curvature: f64 = value.spreads.iter().map(|&spread| f64::from(spread)).sum();
    (loss, (weights / (2.0 * alpha) + intercepts / (2.0 * curvature.max(f64::MIN_POSITIVE))) / loss)
}
