//! The head that training starts from, and the one that it has to beat.
//!
//! ```text
//! penalty  strong ◀─────────────────────────────── weak
//!              soft ◀─────── ×√10, ×√10, ... ─── rival
//!   training starts here                         the given head's penalty: what has to be beaten
//! ```
//!
//! A head remembers the rows it was fitted on: on those its loss is lower than on others, and training, which changes the features
//! under it, could only seem to make things worse. So rows that it learnt from can neither say when to stop nor whether anything was won.
//! A linear head is therefore fitted once more, with the penalty that was found for it, on the images that are trained on, without
//! those that are watched: the **rival**. A dense head has a part of its own that it was only stopped by, and that part is watched.
//!
//! For the same reason the rival would be a poor start. With fewer rows than features it knows its rows by heart, its loss on them is all
//! but nothing, and so is the gradient: the network has nothing to learn. So training starts from a **soft** head, fitted with the strongest
//! penalty that costs new rows next to nothing (the idea of the one-standard-error rule: Breiman et al. 1984). Where the rival
//! is as uncertain of its own rows as of new ones, as with many of them, the two are one.

use anyhow::Result;
use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array1, Array2, ArrayView2};

use super::job::Job;
use super::split::Split;
use crate::dataset::stratified_folds;
use crate::finetune::CrossEntropy;
use crate::head::logistic::{Alphas, LogisticParams};
use crate::head::{Head, Linear, Model, Scaler};

/// Folds of a fit whose penalty is known: as few as there can be.
const FOLDS: usize = 2;
/// How much stronger each penalty is than the one before, and how many are tried.
const STRONGER: f64 = 3.162_277_660_168_379_5;
const TRIED: usize = 8;
/// How much larger the loss of new rows may be by the soft head than by the rival.
const COST: f64 = 1.1;

/// Heads that were fitted again.
pub(super) struct Fitted {
    /// By the given head's penalty: what has to be beaten.
    pub(super) rival: Model,
    /// What training starts from.
    pub(super) soft: Model,
    /// The penalty of the soft one.
    pub(super) alpha: f64,
}

/// The penalty of a head that can be fitted again; none where its file does not say, or too few rows are left.
pub(super) fn penalty(head: &Head, split: &Split) -> Option<f64> {
    let of_class = |class| split.train.labels.iter().filter(|&&label| label == class).count();
    let smallest = (0..head.classes.len()).map(of_class).min().unwrap_or_default();
    let is_linear = matches!(head.model, Model::Linear(_)) && head.fit["head"] == "logistic";
    let alpha = head.fit["alpha"].as_f64().filter(|alpha| (1e-20..1e20).contains(alpha));
    alpha.filter(|_| is_linear && !split.watch.is_empty() && smallest >= FOLDS)
}

/// Fits heads on the features [N, 2048] of the images that are trained on, from this penalty on.
pub(super) fn fit_again(job: &Job, split: &Split, features: &Array2<f32>, alpha: f64) -> Result<Fitted> {
    let (labels, classes) = (&split.train.labels, job.head.classes.len());
    let class_weights =
        if job.head.fit["class_weight"] == "balanced" { balanced(labels, classes) } else { vec![1.0; classes] };
    let loss = CrossEntropy { class_weights, smoothing: 0.0 };
    let scaler = Scaler::fit(features.view());
    let rows = scaler.transform(features.view());
    let fit = |alpha| fit(rows.view(), labels, &loss, alpha);
    let (rival, of_new_rows) = fit(alpha)?;
    let (mut soft, mut soft_alpha) = (rival.clone(), alpha);
    for _ in 0..TRIED {
        let knows_its_rows = loss.mean(soft.logits(rows.view()).view(), labels) < of_new_rows;
        let (softer, of_new_rows_now) = fit(soft_alpha * STRONGER)?;
        if !knows_its_rows || of_new_rows_now > COST * of_new_rows {
            break;
        }
        (soft, soft_alpha) = (softer, soft_alpha * STRONGER);
    }
    let raw = |linear: Linear| Model::Linear(linear).fold_scaler(&scaler);
    Ok(Fitted { rival: raw(rival).fold_temperature(job.head.temperature), soft: raw(soft), alpha: soft_alpha })
}

/// A fit on standardised rows, and the loss of rows that are new to such a one.
fn fit(rows: ArrayView2<'_, f32>, labels: &[usize], loss: &CrossEntropy, alpha: f64) -> Result<(Linear, f64)> {
    let weights: Vec<f32> = labels.iter().map(|&label| loss.class_weights[label] as f32).collect();
    let dataset = DatasetBase::new(rows, Array1::from(labels.to_vec())).with_weights(Array1::from(weights));
    let folds = stratified_folds(labels, FOLDS, 0);
    let params = LogisticParams::new(loss.class_weights.len(), folds).alphas(Alphas::Listed(vec![alpha]));
    let fitted = params.fit(&dataset)?;
    let linear = Linear {
        weight: fitted.weight.mapv(|weight| weight as f32),
        bias: fitted.bias.iter().map(|&bias| bias as f32).collect(),
    };
    Ok((linear, loss.mean(fitted.out_of_fold.view(), labels)))
}

/// What a row of each class has to count so that each class counts the same, and all rows together as many as they are.
pub(super) fn balanced(labels: &[usize], classes: usize) -> Vec<f64> {
    let mut counts = vec![0_usize; classes];
    for &label in labels {
        counts[label] += 1;
    }
    counts.iter().map(|&count| labels.len() as f64 / (classes * count.max(1)) as f64).collect()
}
