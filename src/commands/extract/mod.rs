//! `headstock extract`: a folder of images in, embeddings out.

mod output;

use std::io::{self, Write};

use anyhow::Result;
use serde_json::{Value, json};

use super::console::Console;
use super::hardware::Hardware;
use super::progress::Progress;
use super::rejected::RejectedList;
use super::{End, backbone, image_run, provenance, to_stdout};
use crate::cli::ExtractArgs;
use crate::counts::count;
use crate::dataset::{self, Dataset};
use crate::embeddings::Provenance;
use crate::image::{DecodeOptions, is_candidate};
use crate::pipeline::{Journal, Loader};
use output::Output;

pub(super) fn run(args: &ExtractArgs, console: Console) -> Result<End> {
    let mut dataset = dataset::list(&args.images.images, is_candidate)?;
    if let Some(limit) = args.run.limit {
        dataset.limit(limit.get());
    }
    if args.dry_run {
        to_stdout(|out| describe(&dataset, out))?;
        return Ok(End::Done);
    }
    let output = Output::new(args, &dataset)?;
    image_run::use_threads(args.run.threads)?;
    let backbone = backbone::open(&args.backbone)?;
    let (preprocess, background) = backbone.preprocess(&args.images)?;
    let options = DecodeOptions { background, max_pixels: args.images.max_pixels };
    let hardware = Hardware::open(&args.run.hardware, console)?;
    let provenance = provenance::of_run(backbone.sha256(), backbone.variant(), &preprocess, options.background)?;
    let columns = backbone.columns();

    let of = description(args, &dataset, &provenance, &hardware, &output);
    let start = image_run::start(&args.run);
    let mut journal = Journal::open(&output.partial(), &of, columns, output.shard_rows, start)?;

    let engine = backbone.engine(&hardware)?;
    let batch_size = hardware.batch_size(args.run.batch_size);
    greet(console, &dataset, &hardware.network_shown(&provenance.variant, batch_size));

    let loader = Loader { root: dataset.root.clone(), options, preprocess };
    let batches = image_run::through_network(&dataset, loader, engine, batch_size, journal.candidates());
    match image_run::into_journal(batches, &mut journal, dataset.candidates.len(), console)? {
        Some(progress) => conclude(args, console, &dataset, &provenance, journal, &output, &progress),
        None => Ok(End::Interrupted),
    }
}

/// Writes the final files and says what came of it.
fn conclude(
    args: &ExtractArgs,
    console: Console,
    dataset: &Dataset,
    provenance: &Provenance,
    journal: Journal,
    output: &Output,
    progress: &Progress,
) -> Result<End> {
    let rejected = RejectedList::write(&output.path, dataset, journal.rejected())?;
    let mut journal = rejected.require_rows(dataset, journal)?;
    let rows = journal.rows();
    let columns = journal.columns();
    output.write(dataset, provenance, &mut journal)?;
    journal.remove()?;

    console.say(format_args!(
        "{}: {} of {columns} numbers, {:.1} images/s, {:.1} s",
        output.shown(rows),
        count(rows, "row", "rows"),
        progress.rate(),
        progress.elapsed().as_secs_f64(),
    ));
    Ok(rejected.conclude(args.run.strict, console))
}

/// All that decides what the rows are, so that a run is resumed only as what it was.
fn description(
    args: &ExtractArgs,
    dataset: &Dataset,
    provenance: &Provenance,
    hardware: &Hardware,
    output: &Output,
) -> Value {
    json!({
        "images": image_run::fingerprint(dataset),
        "weights": provenance.weights,
        "variant": provenance.variant,
        "preprocess": provenance.preprocess,
        "version": provenance.version,
        "max-pixels": args.images.max_pixels,
        "device": hardware.kind(),
        "engine": args.run.hardware.engine.to_string(),
        "shard-rows": output.shard_rows,
    })
}

fn greet(console: Console, dataset: &Dataset, network: &str) {
    console.say(format_args!("{}; {network}", image_run::images_shown(dataset)));
    if dataset.without_class() > 0 {
        console.say(format_args!(
            "{} beside the class folders, in no class: labelled -1",
            count(dataset.without_class(), "image lies", "images lie")
        ));
    }
}

fn describe(dataset: &Dataset, out: &mut dyn Write) -> io::Result<()> {
    let width = dataset.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
    for (class, images) in dataset.classes.iter().zip(dataset.class_counts()) {
        writeln!(out, "{class:width$}  {}", count(images, "image", "images"))?;
    }
    if dataset.without_class() > 0 {
        writeln!(out, "{}", count(dataset.without_class(), "image in no class", "images in no class"))?;
    }
    for rejected in &dataset.rejected {
        writeln!(out, "rejected: {}: {}", rejected.path, rejected.reason)?;
    }
    let total = count(dataset.candidates.len(), "image", "images");
    match dataset.classes.len() {
        0 => writeln!(out, "{total} under {}, no classes", dataset.root.display()),
        n => writeln!(out, "{total} under {}, {}", dataset.root.display(), count(n, "class", "classes")),
    }
}
