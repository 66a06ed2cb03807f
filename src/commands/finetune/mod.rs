//! `headstock finetune`: images and a fitted head in, a network and a head that were trained together out.
//!
//! ```text
//! head, images ─▶ Job ─▶ Fill: frozen part over all images, cache ─▶ Split ─▶ start: head on clean rows ─▶ Trainer ─▶ Outcome
//!                                                                                                            │  ▲
//!                                                                                                         checkpoint
//! ```

mod boundary;
mod estimate;
mod job;
mod outcome;
mod partial;
mod split;
mod start;
mod watcher;

use anyhow::{Context, Result};
use ndarray::Array2;

use super::console::Console;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::rejected::RejectedList;
use super::{End, image_run};
use crate::cli::{ClassWeight, FinetuneArgs};
use crate::counts::count;
use crate::engine::trainable::open_trainable;
use crate::finetune::{CrossEntropy, Ending, TrainableHead, Trainer};
use crate::history::Validation;
use boundary::{Boundary, Fill, Stopped};
use job::Job;
use outcome::Outcome;
use partial::Partial;
use watcher::Watcher;

pub(super) fn run(args: &FinetuneArgs, console: Console) -> Result<End> {
    image_run::use_threads(args.run.threads)?;
    job::require_places(args)?;
    let job = Job::new(args, console)?;
    let of = job.of_training(args)?;
    let partial = Partial::open(args, console)?;
    let interrupt = Interrupt::listen()?;
    console.say(format_args!(
        "{}; {}",
        image_run::images_shown(&job.dataset),
        job.hardware.network_shown(&job.weights.variant().to_string(), job.params.batch_size.get())
    ));

    let fill = Fill { job: &job, args, partial: &partial, interrupt: &interrupt, console };
    let boundary = match fill.run()? {
        Ok(boundary) => boundary,
        Err(Stopped) => return Ok(End::Interrupted),
    };
    let rejected = RejectedList::write(&args.out, &job.dataset, &boundary.rejected)?;
    console.say(boundary.split.shown());

    let mut trainer = trainer(&job, args, &boundary, console)?;
    let frozen = look_at_frozen(&job, &mut trainer, &boundary)?;
    let checkpoint = partial.checkpoint();
    if checkpoint.exists() {
        trainer.restore(&checkpoint, &of)?;
    } else {
        begin(&job, &mut trainer, &boundary, console)?;
    }
    tell_start(trainer.history().start, console);

    let rows = boundary.split.train.len();
    let steps_of_epoch = job.params.steps_of_epoch(rows);
    let before = trainer.position();
    let done =
        before.epoch * rows + (before.step * job.params.batch_size.get() * job.params.accumulate.get()).min(rows);
    let mut watcher = Watcher {
        progress: Progress::new(console, job.params.epochs.get() * rows, done),
        interrupt,
        checkpoint,
        checkpoint_steps: args.run.checkpoint_steps,
        of,
        steps: steps_of_epoch * job.params.epochs.get(),
    };
    let Boundary { source, split, .. } = &boundary;
    let ending = trainer.run(source.as_ref(), &job.views, &split.train, &split.watch, &mut watcher)?;
    watcher.progress.finish();
    match ending {
        Ending::Stopped => {
            console.say(format_args!(
                "stopped after {}; the same command with --resume goes on",
                count(trainer.history().steps.len(), "step", "steps")
            ));
            return Ok(End::Interrupted);
        }
        Ending::Diverged { step } => console.say(format_args!(
            "warning: at step {step} the loss or its gradient is no number any more: training ends, and the best weights before it \
             stand. Lower --learning-rate (now {}), or give --clip-norm",
            job.params.learning_rate
        )),
        Ending::Done => {}
    }
    let outcome = Outcome::of(&job, args, &mut trainer, &boundary, &frozen)?;
    outcome.write(&job, args, trainer.history())?;
    drop(boundary);
    partial.remove()?;
    outcome.print(args)?;
    Ok(rejected.conclude(args.run.strict, console))
}

/// A network and a head as they were given.
fn trainer(job: &Job, args: &FinetuneArgs, boundary: &Boundary, console: Console) -> Result<Trainer> {
    let network = open_trainable(
        &job.network,
        &job.weights,
        &args.freeze,
        job.batch_norm,
        job.hardware.device(),
        job.hardware.precision(),
    )?;
    estimate::tell(job, network.as_ref(), console)?;
    let classes = job.head.classes.len();
    let class_weights = match args.training.class_weight {
        ClassWeight::None => vec![1.0; classes],
        ClassWeight::Balanced => start::balanced(&boundary.split.train.labels, classes),
    };
    let loss = CrossEntropy { class_weights, smoothing: args.training.label_smoothing };
    Ok(Trainer::new(network, TrainableHead::new(&job.head.model), loss, job.params.clone()))
}

/// What the frozen head says of what is held out: probabilities [M, K]. The network still is as it was given.
fn look_at_frozen(job: &Job, trainer: &mut Trainer, boundary: &Boundary) -> Result<Array2<f32>> {
    let held_out = &boundary.split.held_out.candidates;
    let features = trainer.features(boundary.source.as_ref(), held_out, &mut |_| ())?;
    Ok(job.head.probabilities(features.view()))
}

/// Brings the head to where training starts, and looks at what has to be beaten.
fn begin(job: &Job, trainer: &mut Trainer, boundary: &Boundary, console: Console) -> Result<()> {
    let Boundary { source, split, .. } = boundary;
    let Some(alpha) = start::penalty(&job.head, split) else {
        trainer.look_at_start(source.as_ref(), &split.watch)?;
        return Ok(());
    };
    let features = trainer.features(source.as_ref(), &split.train.candidates, &mut |_| ())?;
    let fitted = start::fit_again(job, split, &features, alpha).context("the head cannot be fitted again")?;
    console.say(format_args!(
        "the head is fitted again without the {}, so that they are new to it (alpha {alpha:.3}); training starts from alpha {:.3}",
        count(split.watch.len(), "image that is watched", "images that are watched"),
        fitted.alpha
    ));
    trainer.start_from(TrainableHead::new(&fitted.rival));
    trainer.look_at_start(source.as_ref(), &split.watch)?;
    trainer.start_from(TrainableHead::new(&fitted.soft));
    Ok(())
}

fn tell_start(start: Option<Validation>, console: Console) {
    match start {
        Some(Validation { loss, accuracy }) => {
            console.say(format_args!("before the first step; watched: loss {loss:.4}, accuracy {accuracy:.4}"));
        }
        None => console.say("too few images to watch any: training does not stop early, and the last epoch stands"),
    }
}
