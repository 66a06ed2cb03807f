//! `headstock extract`: a folder of images in, embeddings out.

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::Device;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::console::{Console, count, thousands};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::{End, backbone, to_stdout};
use crate::cli::{ExtractArgs, RunArgs};
use crate::dataset::{self, Dataset, Rejected};
use crate::embeddings::{Format, Provenance, Table, header_len_at_most};
use crate::engine::{Engine, Reference};
use crate::image::{DecodeOptions, Preprocess, is_candidate};
use crate::inception::{FEATURES, Network};
use crate::pipeline::{DecodeAhead, Embed, Journal, Loader, Start};
use crate::tensor_file::HEADER_LIMIT;
use crate::weights::hex;
use crate::whole_file::{with_suffix, write_whole};

pub(super) fn run(args: &ExtractArgs, console: Console) -> Result<End> {
    let mut dataset = dataset::list(&args.images.images, is_candidate)?;
    if let Some(limit) = args.limit {
        dataset.limit(limit.get());
    }
    if args.dry_run {
        to_stdout(|out| describe(&dataset, out))?;
        return Ok(End::Done);
    }
    let output = Output::new(args, &dataset)?;
    if let Some(threads) = args.run.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global()?;
    }
    let weights = backbone::weights(&args.backbone)?;
    let preset = args.images.preprocess.unwrap_or_else(|| backbone::default_preset(weights.variant()));
    let preprocess = preset.preprocess();
    let options = DecodeOptions { background: args.images.background, max_pixels: args.images.max_pixels };
    let device = args.run.device.open()?;
    let provenance = Provenance {
        weights: weights.sha256().to_owned(),
        variant: weights.variant().to_string(),
        preprocess: preprocess_json(&preprocess, &options)?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };

    let start = match (args.resume, args.restart) {
        (true, _) => Start::Resume,
        (_, true) => Start::Restart,
        _ => Start::Fresh,
    };
    let of = description(&dataset, &provenance, &options, &device, &output);
    let mut journal = Journal::open(&output.partial(), &of, FEATURES, output.shard_rows, start)?;
    let done = journal.candidates();

    let engine = Reference::new(Network::new(weights.variant()), &weights, &device)?;
    drop(weights);
    let batch_size = batch_size(&args.run, &device);
    greet(console, &dataset, done, &provenance, &device, batch_size);

    let interrupt = Interrupt::listen()?;
    let mut progress = Progress::new(console, dataset.candidates.len(), done);
    let loader = Loader { root: dataset.root.clone(), options, preprocess };
    let ahead = 2 * batch_size.max(rayon::current_num_threads());
    let decoded = DecodeAhead::new(loader, &dataset.candidates, done, ahead);
    for batch in Embed::new(decoded, &engine as &dyn Engine, preprocess.normalise, batch_size) {
        let batch = batch?;
        let (candidates, rejected) = (batch.candidates, batch.rejected.len());
        journal.append(batch)?;
        progress.advance(candidates, rejected);
        if interrupt.is_wanted() {
            progress.finish();
            console.say(format_args!(
                "stopped after {} of {} images; the same command with --resume goes on",
                thousands(journal.candidates()),
                thousands(dataset.candidates.len())
            ));
            return Ok(End::Interrupted);
        }
    }
    progress.finish();
    conclude(args, console, &dataset, &provenance, journal, &output, &progress)
}

/// Writes the final files and says what came of it.
fn conclude(
    args: &ExtractArgs,
    console: Console,
    dataset: &Dataset,
    provenance: &Provenance,
    mut journal: Journal,
    output: &Output,
    progress: &Progress,
) -> Result<End> {
    let rejected = all_rejected(dataset, &journal);
    let rejected_path = with_suffix(&output.path, ".rejected.csv");
    if rejected.is_empty() {
        remove_if_there(&rejected_path)?;
    } else {
        write_whole(&rejected_path, |out| write_rejected(&rejected, out))?;
    }
    let rows = journal.rows();
    if rows == 0 {
        journal.remove()?;
        bail!(
            "none of the {} under {} could be read; the reasons are in {}",
            count(rejected.len(), "image", "images"),
            dataset.root.display(),
            rejected_path.display()
        );
    }
    output.write(dataset, provenance, &mut journal)?;
    journal.remove()?;

    console.say(format_args!(
        "{}: {} of {FEATURES} numbers, {:.1} images/s, {:.1} s",
        output.shown(rows),
        count(rows, "row", "rows"),
        progress.rate(),
        progress.elapsed().as_secs_f64(),
    ));
    if rejected.is_empty() {
        return Ok(End::Done);
    }
    console.say(format_args!(
        "{} could not be read; the reasons are in {}",
        count(rejected.len(), "file", "files"),
        rejected_path.display()
    ));
    Ok(if args.run.strict { End::Rejected } else { End::Done })
}

/// Where the rows go and in which shape.
struct Output {
    path: PathBuf,
    format: Format,
    shard_rows: Option<usize>,
}

impl Output {
    fn new(args: &ExtractArgs, dataset: &Dataset) -> Result<Self> {
        let path = args.out.clone();
        if path.is_dir() || path.file_name().is_none() {
            bail!("--out {} is a folder; give the name of a file", path.display());
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
            bail!("--out {}: the folder {} is not there", path.display(), folder.display());
        }
        if dataset.candidates.is_empty() && dataset.rejected.is_empty() {
            bail!(
                "no images under {}: looked for JPEG, PNG, WebP, GIF, BMP and TIFF files, by content",
                dataset.root.display()
            );
        }
        let format = args.format.or_else(|| Format::of(&path)).unwrap_or(Format::Safetensors);
        let shard_rows = args.shard_rows.map(std::num::NonZero::get);
        let in_one_file = &dataset.candidates[..shard_rows.unwrap_or(usize::MAX).min(dataset.candidates.len())];
        if format == Format::Safetensors && header_len_at_most(&dataset.classes, in_one_file) > HEADER_LIMIT {
            bail!(
                "the paths of {} do not fit the header of one safetensors file, which has room for {} bytes: \
                 use --shard-rows 500000, or less",
                count(in_one_file.len(), "image", "images"),
                thousands(HEADER_LIMIT)
            );
        }
        Ok(Self { path, format, shard_rows })
    }

    /// The folder of the unfinished run.
    fn partial(&self) -> PathBuf {
        with_suffix(&self.path, ".partial")
    }

    /// `out.safetensors`, or of shards `out-00000.safetensors`.
    fn shard_path(&self, shard: usize) -> PathBuf {
        if self.shard_rows.is_none() {
            return self.path.clone();
        }
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let extension = self.path.extension().map_or_else(String::new, |e| format!(".{}", e.to_string_lossy()));
        self.path.with_file_name(format!("{stem}-{shard:05}{extension}"))
    }

    fn write(&self, dataset: &Dataset, provenance: &Provenance, journal: &mut Journal) -> Result<()> {
        let mut rejected = journal.rejected().iter().map(|(candidate, _)| *candidate).peekable();
        let accepted: Vec<_> = dataset
            .candidates
            .iter()
            .enumerate()
            .filter(|(candidate, _)| rejected.next_if_eq(candidate).is_none())
            .map(|(_, image)| image)
            .collect();
        drop(rejected);
        let shards = journal.shards();
        for (shard, images) in accepted.chunks(self.shard_rows.unwrap_or(usize::MAX)).enumerate() {
            if journal.is_written(shard) {
                continue;
            }
            let raw = journal.shard_path(shard);
            let mut rows = BufReader::with_capacity(
                1 << 20,
                File::open(&raw).with_context(|| format!("cannot read {}", raw.display()))?,
            );
            let root = &dataset.root.to_string_lossy();
            let table =
                Table { provenance, classes: &dataset.classes, root, images: images.to_vec(), columns: FEATURES };
            self.format.write(&self.shard_path(shard), &table, &mut rows)?;
            journal.mark_written(shard)?;
        }
        // An earlier run may have left more shards than this one has: together they would be taken for one set.
        if self.shard_rows.is_some() {
            for shard in shards.. {
                if !remove_if_there(&self.shard_path(shard))? {
                    break;
                }
            }
        }
        Ok(())
    }

    fn shown(&self, rows: usize) -> String {
        match self.shard_rows.map(|shard_rows| rows.div_ceil(shard_rows)) {
            Some(shards) if shards > 1 => {
                format!("{} to {}", self.shard_path(0).display(), self.shard_path(shards - 1).display())
            }
            _ => self.shard_path(0).display().to_string(),
        }
    }
}

/// All that decides what the rows are, so that a run is resumed only as what it was.
fn description(
    dataset: &Dataset,
    provenance: &Provenance,
    options: &DecodeOptions,
    device: &Device,
    output: &Output,
) -> Value {
    let mut images = Sha256::new();
    for candidate in &dataset.candidates {
        images.update(candidate.path.as_bytes());
        images.update([0]);
    }
    json!({
        "images": hex(&images.finalize()),
        "weights": provenance.weights,
        "variant": provenance.variant,
        "preprocess": provenance.preprocess,
        "version": provenance.version,
        "max-pixels": options.max_pixels,
        "device": if device.is_cpu() { "cpu" } else if device.is_cuda() { "cuda" } else { "metal" },
        "shard-rows": output.shard_rows,
    })
}

/// The preprocessing as it stands in the files: the recipe, and what is under transparent images.
fn preprocess_json(preprocess: &Preprocess, options: &DecodeOptions) -> Result<String> {
    let mut json = serde_json::to_value(preprocess)?;
    json["background"] = json!(options.background);
    Ok(json.to_string())
}

fn batch_size(args: &RunArgs, device: &Device) -> usize {
    let by_device = if device.is_cpu() { (2 * rayon::current_num_threads()).max(8) } else { 32 };
    args.batch_size.map_or(by_device, std::num::NonZero::get)
}

fn greet(
    console: Console,
    dataset: &Dataset,
    done: usize,
    provenance: &Provenance,
    device: &Device,
    batch_size: usize,
) {
    let classes = match dataset.classes.len() {
        0 => String::new(),
        classes => format!(" in {}", count(classes, "class", "classes")),
    };
    let place = match device {
        Device::Cpu => count(rayon::current_num_threads(), "thread", "threads"),
        Device::Cuda(_) => "CUDA".to_owned(),
        Device::Metal(_) => "Metal".to_owned(),
    };
    console.say(format_args!(
        "{}{classes} under {}; Inception-v3 {} on {place}, {batch_size} at a time",
        count(dataset.candidates.len(), "image", "images"),
        dataset.root.display(),
        provenance.variant,
    ));
    if dataset.without_class() > 0 {
        console.say(format_args!(
            "{} beside the class folders, in no class: labelled -1",
            count(dataset.without_class(), "image lies", "images lie")
        ));
    }
    if done > 0 {
        console.say(format_args!("{} done before", count(done, "image", "images")));
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

/// What could not be listed and what could not be decoded, in the order of their paths.
fn all_rejected(dataset: &Dataset, journal: &Journal) -> Vec<Rejected> {
    let undecoded = journal.rejected().iter().map(|(candidate, reason)| Rejected {
        path: dataset.candidates[*candidate].path.clone(),
        reason: reason.clone(),
    });
    let mut rejected: Vec<Rejected> = dataset.rejected.iter().cloned().chain(undecoded).collect();
    rejected.sort_by(|a, b| a.path.cmp(&b.path));
    rejected
}

fn write_rejected(rejected: &[Rejected], out: &mut impl Write) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    out.write_record(["path", "reason"])?;
    for Rejected { path, reason } in rejected {
        out.write_record([path, reason])?;
    }
    out.flush()
}

/// Whether there was such a file.
fn remove_if_there(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
    }
}
