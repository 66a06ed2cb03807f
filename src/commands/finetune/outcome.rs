//! What came of it: the trained network, or the one it started from, judged beside the frozen head by the same images.

use std::io::{self, Write};

use anyhow::{Context, Result};
use ndarray::{Array2, Axis};
use serde_json::{Value, json};

use super::boundary::Boundary;
use super::job::{self, Job};
use crate::cli::FinetuneArgs;
use crate::commands::{provenance, to_stdout, write_json};
use crate::counts::count;
use crate::embeddings::PrincipalAxes;
use crate::finetune::{Snapshot, Trainer};
use crate::head::{Head, HeldOut, Scaler, most_probable, softmax, temperature_near_one};
use crate::history::History;
use crate::metrics::{McNemar, Metrics};
use crate::model::ModelFile;
use crate::report::write_curves;
use crate::whole_file::with_suffix;

/// What is written and told.
pub(super) struct Outcome {
    head: Head,
    /// Names and numbers of the trained tensors; none where the start is kept.
    trained: Vec<(String, Vec<f32>)>,
    frozen: Metrics,
    model: Metrics,
    test: McNemar,
    /// Whether the frozen head has not learnt from what both are judged by.
    is_fair: bool,
    start_loss: Option<f64>,
    best: Option<Best>,
}

/// The best epoch, counted from 1, and the watched images' loss after it.
struct Best {
    epoch: usize,
    loss: Option<f64>,
}

impl Outcome {
    /// Sets the trainer to its best epoch, where that is better than the start, and judges it; `frozen` is what the given head says of
    /// what is held out [M, K].
    pub(super) fn of(
        job: &Job,
        args: &FinetuneArgs,
        trainer: &mut Trainer,
        boundary: &Boundary,
        frozen: &Array2<f32>,
    ) -> Result<Self> {
        let labels = &boundary.split.held_out.labels;
        let measure = |p: &Array2<f32>| Metrics::new(&job.head.classes, labels, p.mapv(f64::from).view());
        let history = trainer.history();
        let start_loss = history.start.map(|start| start.loss);
        let best = history
            .best_epoch
            .map(|epoch| Best { epoch, loss: history.epochs[epoch - 1].validation.map(|watched| watched.loss) });
        let is_better = match (&best, start_loss) {
            (None, _) => false,
            (Some(Best { loss: Some(loss), .. }), Some(start)) => *loss < start,
            (Some(_), _) => true,
        };
        let fit = fit(job, args, trainer.history(), boundary, is_better);
        let snapshot = if is_better { trainer.best().cloned() } else { None };
        let (head, tensors, probabilities) = match snapshot {
            Some(best) => {
                let tensors = named(trainer, &best);
                let (head, probabilities) = judged(job, trainer, boundary, &best)?;
                (head, tensors, probabilities)
            }
            None => (job.head.clone(), Vec::new(), frozen.clone()),
        };
        let (frozen_metrics, model) = (measure(frozen), measure(&probabilities));
        let right = |p: &Array2<f32>| -> Vec<bool> {
            p.rows().into_iter().zip(labels).map(|(row, label)| most_probable(row) == Some(*label)).collect()
        };
        let test = McNemar::new(right(frozen).into_iter().zip(right(&probabilities)));
        let mut head = Head { fit, ..head };
        if let Some(held_out) = &mut head.held_out
            && is_better
        {
            held_out.metrics = model.clone();
        }
        Ok(Self {
            head,
            trained: tensors,
            frozen: frozen_metrics,
            model,
            test,
            is_fair: boundary.split.is_fair,
            start_loss,
            best,
        })
    }

    /// Writes the model, the curves, and where they are asked for the numbers.
    pub(super) fn write(&self, job: &Job, args: &FinetuneArgs, history: &History) -> Result<()> {
        let weights =
            job.weights.with_tensors(self.trained.iter().map(|(name, numbers)| (name.as_str(), &**numbers)))?;
        let model = ModelFile { head: self.head.clone(), start_weights: job.weights.sha256().to_owned() };
        model.write(&weights, &args.out)?;
        let kept = if self.trained.is_empty() { Some(0) } else { history.best_epoch };
        let history = History { best_epoch: kept, ..history.clone() };
        history.write_csv(&with_suffix(&args.out, ".curves.csv"))?;
        write_curves(&history, &with_suffix(&args.out, ".curves.svg"))?;
        match &args.metrics {
            Some(path) => write_json(path, &self.json(&history)).context("the model is written, its numbers are not"),
            None => Ok(()),
        }
    }

    fn json(&self, history: &History) -> Value {
        json!({
            "set": "validation",
            "model": self.model,
            "frozen": self.frozen,
            "mcnemar": {
                "only_frozen_right": self.test.only_first,
                "only_model_right": self.test.only_second,
                "p_value": self.test.p_value,
            },
            "is_fair": self.is_fair,
            "keeps_start": self.trained.is_empty(),
            "temperature": self.head.temperature,
            "fit": self.head.fit,
            "history": history,
        })
    }

    /// The result, for people.
    pub(super) fn print(&self, args: &FinetuneArgs) -> Result<()> {
        to_stdout(|out| self.print_to(args, out))
    }

    fn print_to(&self, args: &FinetuneArgs, out: &mut dyn Write) -> io::Result<()> {
        let classes = count(self.head.classes.len(), "class", "classes");
        let rows = count(self.model.rows, "image", "images");
        writeln!(out, "{}: {classes}, judged by {rows} held out", args.out.display())?;
        if !self.is_fair {
            writeln!(out, "the frozen head may have learnt from them: it looks better than it is")?;
        }
        if self.trained.is_empty() {
            writeln!(
                out,
                "fine-tuning made it worse on the images watched: the model is the frozen network with its head"
            )?;
        }
        writeln!(out)?;
        writeln!(out, "                   frozen head  fine-tuned")?;
        let optional = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.4}"));
        let both =
            |number: fn(&Metrics) -> Option<f64>| [optional(number(&self.frozen)), optional(number(&self.model))];
        let lines: [(&str, [String; 2]); 7] = [
            ("accuracy", both(|m| Some(m.accuracy))),
            ("balanced accuracy", both(|m| Some(m.balanced_accuracy))),
            ("macro F1", both(|m| Some(m.macro_f1))),
            ("log loss", both(|m| Some(m.log_loss))),
            ("ROC AUC", both(|m| m.roc_auc)),
            ("average precision", both(|m| m.average_precision)),
            ("calibration error", both(|m| Some(m.calibration_error))),
        ];
        for (name, [frozen, model]) in lines {
            writeln!(out, "{name:17}  {frozen:>11}  {model:>10}")?;
        }
        writeln!(out)?;
        let p = self.test.p_value;
        let p = if p < 1e-3 { format!("{p:.1e}") } else { format!("{p:.4}") };
        writeln!(
            out,
            "{} only the fine-tuned model is right about, {} only the frozen head: p = {p} (McNemar's exact test)",
            count(self.test.only_second, "image", "images"),
            self.test.only_first
        )?;
        if let (Some(start), Some(Best { epoch, loss: Some(loss) })) = (self.start_loss, &self.best) {
            writeln!(out, "watched: loss {start:.4} before the first step, {loss:.4} after epoch {epoch}, the best")?;
        }
        if !self.trained.is_empty() {
            writeln!(
                out,
                "probabilities are calibrated by a temperature of {:.3}, on the images watched",
                self.head.temperature
            )?;
        }
        writeln!(out)?;
        write!(out, "{}", self.model)
    }
}

/// The trained tensors by name.
fn named(trainer: &Trainer, best: &Snapshot) -> Vec<(String, Vec<f32>)> {
    let network = trainer.network();
    let parameters = network.parameters().iter().map(|p| (p.name.clone(), best.parameters[p.range.clone()].to_vec()));
    let statistics = network.statistics().iter().map(|p| (p.name.clone(), best.statistics[p.range.clone()].to_vec()));
    parameters.chain(statistics).collect()
}

/// The best epoch's head, calibrated by what is watched, and what it says of what is held out [M, K].
fn judged(job: &Job, trainer: &mut Trainer, boundary: &Boundary, best: &Snapshot) -> Result<(Head, Array2<f32>)> {
    let Boundary { source, split, .. } = boundary;
    trainer.set(best)?;
    let watched = trainer.features(source.as_ref(), &split.watch.candidates, &mut |_| ())?;
    let held_out = trainer.features(source.as_ref(), &split.held_out.candidates, &mut |_| ())?;
    let model = trainer.head().model()?;
    let temperature = if split.watch.is_empty() {
        1.0
    } else {
        temperature_near_one(trainer.head().forward(watched.view())?.logits.view(), &split.watch.labels)
    };
    let views = &job.views.loader;
    let mut head = Head {
        classes: job.head.classes.clone(),
        model: model.fold_temperature(temperature),
        temperature,
        thresholds: None,
        provenance: provenance::of_run(
            job.weights.sha256(),
            job.weights.variant().to_string(),
            &views.preprocess,
            views.options.background,
        )?,
        fit: Value::Null,
        held_out: None,
    };
    let probabilities = softmax(head.logits(held_out.view()));
    let metrics = Metrics::new(&head.classes, &split.held_out.labels, probabilities.mapv(f64::from).view());
    // The axes are those of rows that training did not fit itself to.
    let looked_at = if split.watch.is_empty() { &held_out } else { &watched };
    let scaler = Scaler::fit(looked_at.view());
    let axes = PrincipalAxes::of(scaler.transform(looked_at.view()).view(), 2);
    let kept = HeldOut::kept(split.held_out.len(), head.classes.len());
    let path = |&row: &usize| job.dataset.candidates[split.held_out.candidates[row]].path.clone();
    head.held_out = Some(HeldOut {
        set: "validation".to_owned(),
        metrics,
        images: Some(job.dataset.root.to_string_lossy().into_owned()),
        paths: kept.iter().map(path).collect(),
        labels: kept.iter().map(|&row| split.held_out.labels[row]).collect(),
        probabilities: probabilities.select(Axis(0), &kept),
        map: axes.coordinates(scaler.transform(held_out.select(Axis(0), &kept).view()).view()),
    });
    Ok((head, probabilities))
}

/// How it was trained, for the file and the report.
fn fit(job: &Job, args: &FinetuneArgs, history: &History, boundary: &Boundary, is_better: bool) -> Value {
    let (split, params) = (&boundary.split, &job.params);
    let epochs: Vec<Value> = history
        .epochs
        .iter()
        .map(|epoch| json!({ "train_loss": epoch.train_loss, "validation": epoch.validation }))
        .collect();
    json!({
        "head": "fine-tuned",
        "keeps_start": !is_better,
        "freeze": args.freeze.to_string(),
        "rows": split.train.len(),
        "watched": split.watch.len(),
        "class_weight": job::class_weight(args),
        "epochs": params.epochs,
        "best_epoch": history.best_epoch,
        "batch_size": params.batch_size,
        "accumulate": params.accumulate,
        "optimizer": format!("{:?}", args.training.optimizer).to_lowercase(),
        "learning_rate": params.learning_rate,
        "momentum": args.training.momentum,
        "weight_decay": params.weight_decay,
        "schedule": format!("{:?}", args.training.schedule).to_lowercase(),
        "warmup_steps": params.warmup_steps,
        "clip_norm": params.clip_norm,
        "label_smoothing": args.training.label_smoothing,
        "batch_norm": format!("{:?}", args.training.batch_norm).to_lowercase(),
        "augment": job.views.augmentations,
        "augment_views": job.views.count,
        "patience": params.patience,
        "seed": params.seed,
        "start": history.start,
        "history": epochs,
        "started_from": job.head.fit,
    })
}
