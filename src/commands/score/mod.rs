//! `headstock score`: a head put to work on a folder of images, or on embeddings of them.
//!
//! ```text
//! --images ──▶ network ─┐
//!                       ├▶ rows [B, F] ─▶ judge: probabilities [B, K] ─▶ Journal ─▶ Results ─┬▶ scores file
//! --embeddings ─────────┘        └▶ Explainer                                                   ├▶ evaluate
//!                                                                                               └▶ sort_into
//! ```

mod evaluate;
mod explain;
mod judge;
mod results;
mod sort_into;
mod source;

use std::path::Path;

#[cfg(feature = "onnx")]
use anyhow::bail;
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::activation_maps::{self, ActivationMaps};
use super::backbone::{self, Backbone};
use super::classifier::Classifier;
use super::console::Console;
use super::hardware::Hardware;
use super::out_folder::OutFolder;
use super::progress::Progress;
use super::rejected::RejectedList;
use super::{End, image_run};
use crate::cli::ScoreArgs;
use crate::counts::{count, thousands};
use crate::dataset::Dataset;
use crate::embeddings::EmbeddingsFile;
use crate::head::Head;
use crate::pipeline::Journal;
use crate::scores::Format;
use crate::whole_file::with_suffix;
use evaluate::Labels;
use explain::Explainer;
use results::Results;
use sort_into::SortInto;
use source::{Network, Rows, Source};

pub(super) fn run(args: &ScoreArgs, console: Console) -> Result<End> {
    image_run::require_place("--out", &args.out)?;
    image_run::use_threads(args.run.threads)?;
    let classifier = if args.imagenet {
        Classifier::of_imagenet(&args.backbone, args.preprocess)?
    } else {
        Classifier::open(&args.classifier, &args.backbone)?
    };
    judge::require_telling_names(&classifier, args)?;
    let source = Source::open(args, &classifier, console)?;
    let extras = Extras::new(args, &source.dataset, &classifier.head)?;

    let of = description(args, &source, &classifier);
    let start = image_run::start(&args.run);
    let classes = classifier.head.classes.len();
    let mut journal = Journal::open(&with_suffix(&args.out, ".partial"), &of, classes, None, start)?;
    greet(args, console, &source, &classifier);
    let head = classifier.head;

    let Source { dataset, rows } = source;
    let progress = match rows {
        Rows::Network(network) => score_images(*network, &dataset, &head, &extras, &mut journal, console),
        Rows::File(file) => score_rows(*file, &dataset, &head, &mut journal, console),
    };
    match progress? {
        Some(progress) => conclude(args, console, &dataset, &head, journal, &extras, &progress),
        None => Ok(End::Interrupted),
    }
}

/// What is wanted beside the scores. All that can be refused is refused here, before any work.
struct Extras {
    evaluate: Option<Labels>,
    sort_into: Option<SortInto>,
    explain: Option<OutFolder>,
}

impl Extras {
    fn new(args: &ScoreArgs, dataset: &Dataset, head: &Head) -> Result<Self> {
        let explain = |folder: &Path| {
            backbone::require_inception(head).context("--explain draws what an Inception-v3 saw")?;
            activation_maps::linear(head).context("--explain draws activation maps")?;
            OutFolder::new("--explain", folder, &dataset.root)
        };
        Ok(Self {
            evaluate: args.evaluate.then(|| Labels::new(dataset, head)).transpose()?,
            sort_into: args.sort_into.as_deref().map(|to| SortInto::new(to, args, dataset, head)).transpose()?,
            explain: args.explain.as_deref().map(explain).transpose()?,
        })
    }
}

/// Images through the network, once: where maps are drawn, up to the last of them, whose means are the features.
fn score_images(
    network: Network,
    dataset: &Dataset,
    head: &Head,
    extras: &Extras,
    journal: &mut Journal,
    console: Console,
) -> Result<Option<Progress>> {
    let Network { backbone, hardware, loader, batch_size } = network;
    let (engine, explainer) = match (backbone, &extras.explain) {
        (backbone, None) => (backbone.engine(&hardware)?, None),
        (Backbone::Inception(weights), Some(folder)) => {
            let (maps, nodes) = ActivationMaps::new(head, weights.variant(), loader.preprocess)?;
            let explainer = Explainer::new(maps, loader.clone(), dataset, folder, console);
            (hardware.engine(nodes, &weights)?, Some(explainer))
        }
        #[cfg(feature = "onnx")]
        (Backbone::Graph(_), Some(_)) => bail!("--explain draws what an Inception-v3 saw, and this is another network"),
    };
    let mut first = journal.candidates();
    let rows = image_run::through_network(dataset, loader, engine, batch_size, first);
    let batches = rows.map(|batch| {
        let judged = match &explainer {
            Some(explainer) => explainer.judge(head, batch?, first)?,
            None => judge::judge(head, batch?, first)?,
        };
        first += judged.candidates;
        Ok(judged)
    });
    image_run::into_journal(batches, journal, dataset.candidates.len(), console)
}

/// Rows that are there already.
fn score_rows(
    mut file: EmbeddingsFile,
    dataset: &Dataset,
    head: &Head,
    journal: &mut Journal,
    console: Console,
) -> Result<Option<Progress>> {
    let total = dataset.candidates.len();
    let rows = source::blocks(&mut file, journal.candidates(), total);
    let batches = rows.map(|block| {
        let (first, batch) = block?;
        judge::judge(head, batch, first)
    });
    image_run::into_journal(batches, journal, total, console)
}

/// Writes the final files and says what came of it.
fn conclude(
    args: &ScoreArgs,
    console: Console,
    dataset: &Dataset,
    head: &Head,
    journal: Journal,
    extras: &Extras,
    progress: &Progress,
) -> Result<End> {
    let rejected = RejectedList::write(&args.out, dataset, journal.rejected())?;
    let journal = rejected.require_rows(dataset, journal)?;
    let results = Results { head, threshold: args.threshold, dataset, journal: &journal };

    let mut unsure = 0;
    let scores = results.scores()?.map(|result| {
        let (_, score) = result?;
        unsure += usize::from(score.class.is_none());
        Ok(score)
    });
    let format = args.format.or_else(|| Format::of(&args.out)).unwrap_or(Format::Csv);
    format.write(&args.out, &head.classes, args.top(), scores)?;
    let measure = |labels| evaluate::measure(&results, labels, args.metrics.as_deref(), console);
    let metrics = extras.evaluate.as_ref().map(measure).transpose()?;
    if let Some(sort_into) = &extras.sort_into {
        sort_into.lay_out(&results, console)?;
    }
    let rows = journal.rows();
    journal.remove()?;

    if let Some(metrics) = &metrics {
        evaluate::print(metrics)?;
    }
    let may_be_unsure = args.threshold.is_some() || head.thresholds.is_some();
    let unsure = if may_be_unsure { format!(", {} unsure", thousands(unsure)) } else { String::new() };
    console.say(format_args!(
        "{}: {}{unsure}, {:.1} images/s, {:.1} s",
        args.out.display(),
        count(rows, "image", "images"),
        progress.rate(),
        progress.elapsed().as_secs_f64(),
    ));
    Ok(rejected.conclude(args.run.strict, console))
}

/// All that decides the results, so that a run is resumed only as what it was.
fn description(args: &ScoreArgs, source: &Source, classifier: &Classifier) -> Value {
    let Classifier { head, sha256, .. } = classifier;
    let explain = args.explain.as_ref().map(|folder| folder.to_string_lossy());
    json!({
        "head": sha256,
        "images": image_run::fingerprint(&source.dataset),
        "weights": head.provenance.weights,
        "variant": head.provenance.variant,
        "preprocess": head.provenance.preprocess,
        "version": env!("CARGO_PKG_VERSION"),
        "max-pixels": args.max_pixels,
        "device": match &source.rows {
            Rows::Network(network) => network.hardware.kind(),
            Rows::File(_) => Hardware::CPU.to_owned(),
        },
        "engine": args.run.hardware.engine.to_string(),
        "input": if args.images.is_some() { "images" } else { "embeddings" },
        "threshold": args.threshold,
        "explain": explain,
    })
}

fn greet(args: &ScoreArgs, console: Console, source: &Source, Classifier { head, path, .. }: &Classifier) {
    let classes = format!("{} of {}", count(head.classes.len(), "class", "classes"), path.display());
    match &source.rows {
        Rows::Network(network) => console.say(format_args!(
            "{}; {classes}; {}",
            image_run::images_shown(&source.dataset),
            network.hardware.network_shown(&head.provenance.variant, network.batch_size)
        )),
        Rows::File(_) => {
            let from = args.embeddings.as_deref().unwrap_or(Path::new("")).display();
            console.say(format_args!("{} of {from}; {classes}", count(source.dataset.candidates.len(), "row", "rows")));
        }
    }
}
