//! The head that training starts from.
//!
//! A head remembers the rows it was fitted on: on those its loss is lower than on others, and training, which changes the features
//! under it, could only seem to make things worse. So rows that it learnt from can neither say when to stop nor whether anything was won.
//! A linear head is therefore fitted once more, with the penalty that was found for it, on the images that are trained on, without
//! those that are watched. A dense head has a part of its own that it was only stopped by, and that part is watched.

use anyhow::Result;
use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array1, Array2};

use super::job::Job;
use super::split::Split;
use crate::dataset::stratified_folds;
use crate::head::logistic::{Alphas, LogisticParams};
use crate::head::{Head, Linear, Model, Scaler};

/// Folds of a fit whose penalty is known: as few as there can be.
const FOLDS: usize = 2;

/// The penalty of a head that can be fitted again; none where its file does not say, or too few rows are left.
pub(super) fn penalty(head: &Head, split: &Split) -> Option<f64> {
    let counts =
        (0..head.classes.len()).map(|class| split.train.labels.iter().filter(|&&label| label == class).count());
    let is_linear = matches!(head.model, Model::Linear(_)) && head.fit["head"] == "logistic";
    let alpha = head.fit["alpha"].as_f64().filter(|alpha| (1e-20..1e20).contains(alpha));
    alpha.filter(|_| is_linear && !split.watch.is_empty() && counts.min().unwrap_or_default() >= FOLDS)
}

/// A head like the job's, fitted with this penalty on the features [N, 2048] of the images that are trained on.
pub(super) fn fit_again(job: &Job, split: &Split, features: &Array2<f32>, alpha: f64) -> Result<Model> {
    let labels = &split.train.labels;
    let scaler = Scaler::fit(features.view());
    let rows = scaler.transform(features.view());
    let folds = stratified_folds(labels, FOLDS, 0);
    let mut dataset = DatasetBase::new(rows.view(), Array1::from(labels.clone()));
    if job.head.fit["class_weight"] == "balanced" {
        let weights = balanced(labels, job.head.classes.len());
        let weights: Vec<f32> = labels.iter().map(|&label| weights[label] as f32).collect();
        dataset = dataset.with_weights(Array1::from(weights));
    }
    let fitted =
        LogisticParams::new(job.head.classes.len(), folds).alphas(Alphas::Listed(vec![alpha])).fit(&dataset)?;
    let linear = Linear {
        weight: fitted.weight.mapv(|weight| weight as f32),
        bias: fitted.bias.iter().map(|&bias| bias as f32).collect(),
    };
    Ok(Model::Linear(linear).fold_scaler(&scaler).fold_temperature(job.head.temperature))
}

/// What a row of each class has to count so that each class counts the same, and all rows together as many as they are.
pub(super) fn balanced(labels: &[usize], classes: usize) -> Vec<f64> {
    let mut counts = vec![0_usize; classes];
    labels.iter().for_each(|&label| counts[label] += 1);
    counts.iter().map(|&count| labels.len() as f64 / (classes * count.max(1)) as f64).collect()
}
