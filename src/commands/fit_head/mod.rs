//! `headstock fit-head`: embeddings in, a head and honest numbers out.
//!
//! ```text
//! embeddings ─▶ Labelled ─▶ split ─▶ learnt from: scaler, folds ─▶ logistic or dense ─▶ Learnt (model, out of fold)
//!                             │                                                          │ temperature
//!                             └────▶ held out (or the test file's, or out of fold) ─▶ metrics ─▶ Head
//! ```

mod dense;
mod duplicates;
mod held_out;
mod labelled;
mod learn;
mod logistic;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use ndarray::Array2;
use serde_json::{Value, json};

use super::console::Console;
use super::{End, image_run, to_stdout, write_json};
use crate::cli::{ClassWeight, FitHeadArgs, HeadKind};
use crate::counts::count;
use crate::dataset::{stratified_folds, stratified_part};
use crate::head::{Head, Scaler, softmax, temperature, thresholds};
use duplicates::Duplicates;
use held_out::Look;
use labelled::Labelled;
use learn::Lesson;

/// What is held out unless the user says otherwise.
const VALIDATION: f64 = 0.2;
/// The rows that are looked at where none are held out.
const OUT_OF_FOLD: &str = "out of fold";

pub(super) fn run(args: &FitHeadArgs, console: Console) -> Result<End> {
    image_run::use_threads(args.threads)?;
    require_places(args)?;
    let all = Labelled::read(&args.embeddings, console)?;
    all.require_classes()?;
    let test = args.test.as_ref().map(|path| Labelled::read_test(path, &all, console)).transpose()?;
    let part = args.validation.unwrap_or(if test.is_some() { 0.0 } else { VALIDATION });
    let (learnt_from, held_out) = stratified_part(&all.labels, part, args.seed);
    ensure!(
        part == 0.0 || test.is_some() || !held_out.is_empty(),
        "--validation {part} of classes this small is not one image; use --validation 0, which tells by k-fold"
    );
    let mut lesson = lesson(args, &all, &learnt_from, console)?;
    let (set, looked_at) = match test {
        Some(test) => ("test", test),
        None if held_out.is_empty() => (OUT_OF_FOLD, all.some(&learnt_from)),
        None => ("validation", all.some(&held_out)),
    };
    let by_fold = set == OUT_OF_FOLD;
    let duplicates = Duplicates::find(&all, &learnt_from, &looked_at, by_fold.then_some(&lesson.folds));
    let scaler = Scaler::fit(lesson.rows.view());
    lesson.rows = scaler.transform(lesson.rows.view());

    let learnt = match args.head {
        HeadKind::Logistic => logistic::learn(&lesson, &args.logistic, console)?,
        HeadKind::Dense => dense::learn(&lesson, args, console)?,
    };
    let temperature = temperature(learnt.out_of_fold.view(), &lesson.labels);
    let mut head = Head {
        classes: all.classes.clone(),
        model: learnt.model.fold_scaler(&scaler).fold_temperature(temperature),
        temperature,
        thresholds: None,
        provenance: all.provenance.clone(),
        fit: Value::Null,
        held_out: None,
    };
    let out_of_fold = learnt.out_of_fold.mapv(|logit| (f64::from(logit) / temperature) as f32);

    if let Some(precision) = args.target_precision {
        // Not on a test's rows, which are there to judge.
        head.thresholds = Some(if set == "validation" {
            thresholds(head.probabilities(looked_at.rows.view()).view(), &looked_at.labels, precision)
        } else {
            thresholds(softmax(out_of_fold.clone()).view(), &lesson.labels, precision)
        });
    }
    let logits = if by_fold { out_of_fold } else { head.logits(looked_at.rows.view()) };
    let look = Look::at(set, &looked_at, logits, temperature);
    head.fit = learnt.fit;
    head.fit["rows"] = json!(lesson.labels.len());
    head.fit["folds"] = json!(lesson.fold_count());
    head.fit["seed"] = json!(args.seed);
    head.fit["validation"] = json!(part);
    head.fit["class_weight"] = json!(if lesson.weights.is_some() { "balanced" } else { "none" });
    head.fit["target_precision"] = json!(args.target_precision);
    head.fit["calibration_error_before"] = json!(look.before.calibration_error);
    head.fit["log_loss_before"] = json!(look.before.log_loss);
    head.held_out = Some(look.kept(&lesson, &scaler));
    head.write(&args.out)?;
    if let Some(path) = &args.metrics {
        write_metrics(path, &head, &look, &duplicates)?;
    }
    duplicates.warn(console);
    to_stdout(|out| look.print(&head, &args.out, out))?;
    Ok(End::Done)
}

/// What is learnt from, its rows still as they are.
fn lesson(args: &FitHeadArgs, all: &Labelled, learnt_from: &[usize], console: Console) -> Result<Lesson> {
    let some = all.some(learnt_from);
    let counts = some.class_counts();
    let smallest = counts.iter().copied().min().unwrap_or_default();
    let folds = (args.folds as usize).min(smallest);
    ensure!(
        folds >= 2,
        "the class '{}' has {} to learn from, and k-fold needs two: add images, or lower --validation",
        some.classes[counts.iter().position(|&count| count == smallest).unwrap_or_default()],
        count(smallest, "image", "images")
    );
    if folds < args.folds as usize {
        console.say(format_args!("the smallest class has {smallest} images to learn from: {folds} folds"));
    }
    // Another stream of randomness than the split's: with the same one the folds would begin with its neighbours.
    let fold_of = stratified_folds(&some.labels, folds, args.seed.wrapping_add(1));
    let weights = (args.class_weight == ClassWeight::Balanced).then(|| some.balanced_weights());
    Ok(Lesson { rows: some.rows, labels: some.labels, classes: all.classes.len(), folds: fold_of, weights })
}

/// An error before the work rather than after it: what is written has a place, and it is no other file's.
fn require_places(args: &FitHeadArgs) -> Result<()> {
    let read = [Some(args.embeddings.as_path()), args.test.as_deref()];
    image_run::require_places(&read, &[("--out", Some(&args.out)), ("--metrics", args.metrics.as_ref())])
}

/// All numbers as JSON: the metrics, and beside them how they came about.
fn write_metrics(path: &Path, head: &Head, look: &Look<'_>, duplicates: &Duplicates) -> Result<()> {
    let mut all = serde_json::to_value(&look.metrics)?;
    all["set"] = json!(look.set);
    all["temperature"] = json!(head.temperature);
    all["calibration_error_before"] = json!(look.before.calibration_error);
    all["log_loss_before"] = json!(look.before.log_loss);
    all["thresholds"] = json!(head.thresholds);
    all["fit"] = head.fit.clone();
    all["near_duplicates"] = duplicates.json();
    write_json(path, &all).context("the head is written, its numbers are not")
}

/// Probabilities in float64, as metrics take them.
fn wide(probabilities: &Array2<f32>) -> Array2<f64> {
    probabilities.mapv(f64::from)
}
