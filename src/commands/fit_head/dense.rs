//! `--head dense`.
//!
//! A head that stops early has seen the rows it stops by. So they are taken from the rows to learn from, never from those
//! that tell how good it is.

use anyhow::{Context, Result};
use ndarray::{Array2, Axis};
use serde_json::json;

use super::learn::{Learnt, Lesson};
use crate::cli::FitHeadArgs;
use crate::commands::console::Console;
use crate::counts::count;
use crate::dataset::stratified_part;
use crate::head::Model;
use crate::head::dense::{DenseParams, Samples, Training};

/// The part of the rows that training stops by.
const WATCHED: f64 = 0.15;

pub(super) fn learn(lesson: &Lesson, args: &FitHeadArgs, console: Console) -> Result<Learnt> {
    let params = DenseParams {
        hidden: args.dense.hidden,
        epochs: args.dense.epochs,
        batch_size: args.dense.batch_size,
        learning_rate: args.dense.learning_rate,
        dropout: args.dense.dropout,
        patience: args.dense.patience,
        seed: args.seed,
    };
    let mut out_of_fold = Array2::zeros((lesson.labels.len(), lesson.classes));
    let folds = lesson.fold_count();
    for fold in 0..folds {
        let (outside, inside): (Vec<usize>, Vec<usize>) =
            (0..lesson.labels.len()).partition(|&row| lesson.folds[row] != fold);
        let training = train(&params, lesson, &outside).with_context(|| format!("fold {} of {folds}", fold + 1))?;
        let logits = training.dense.logits(lesson.rows.select(Axis(0), &inside).view());
        inside.iter().zip(logits.rows()).for_each(|(&row, logits)| out_of_fold.row_mut(row).assign(&logits));
        console.say(format_args!("fold {} of {folds}: {}", fold + 1, told(&training)));
    }
    let all: Vec<usize> = (0..lesson.labels.len()).collect();
    let training = train(&params, lesson, &all)?;
    console.say(format_args!("dense head on {}: {}", count(all.len(), "image", "images"), told(&training)));
    let fit = json!({
        "head": "dense",
        "hidden": params.hidden,
        "epochs": params.epochs,
        "batch_size": params.batch_size,
        "learning_rate": params.learning_rate,
        "dropout": params.dropout,
        "patience": params.patience,
        "best_epoch": training.best_epoch + 1,
        "history": training.history,
    });
    Ok(Learnt { model: Model::Dense(training.dense), out_of_fold, fit })
}

/// Trains on some rows; a part of them is watched.
fn train(params: &DenseParams, lesson: &Lesson, rows: &[usize]) -> Result<Training> {
    let labels: Vec<usize> = rows.iter().map(|&row| lesson.labels[row]).collect();
    let (trained_on, watched) = stratified_part(&labels, WATCHED, params.seed.wrapping_add(2));
    let part =
        |positions: &[usize]| Part::new(lesson, &positions.iter().map(|&position| rows[position]).collect::<Vec<_>>());
    let (train, watch) = (part(&trained_on), part(&watched));
    let watch = (!watched.is_empty()).then(|| watch.samples());
    Ok(params.fit(train.samples(), watch, lesson.classes, &mut |_| {})?)
}

/// Some rows of a lesson.
struct Part {
    rows: Array2<f32>,
    labels: Vec<usize>,
    weights: Option<Vec<f32>>,
}

impl Part {
    fn new(lesson: &Lesson, positions: &[usize]) -> Self {
        let weights = lesson.weights.as_ref();
        Self {
            rows: lesson.rows.select(Axis(0), positions),
            labels: positions.iter().map(|&row| lesson.labels[row]).collect(),
            weights: weights.map(|weights| positions.iter().map(|&row| weights[row]).collect()),
        }
    }

    fn samples(&self) -> Samples<'_> {
        Samples { rows: self.rows.view(), labels: &self.labels, weights: self.weights.as_deref() }
    }
}

fn told(training: &Training) -> String {
    let best = training.history[training.best_epoch];
    let watched = best.validation.map_or_else(String::new, |validation| {
        format!(", loss {:.4} and accuracy {:.4} of rows not trained on", validation.loss, validation.accuracy)
    });
    let epochs = count(training.history.len(), "epoch", "epochs");
    format!("{epochs}, the best is number {}: loss {:.4}{watched}", training.best_epoch + 1, best.train_loss)
}
