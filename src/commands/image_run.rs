//! What `extract` and `score` share: a run over many images, batch by batch into a journal, that may be stopped and goes on.
//!
//! ```text
//! images ─▶ through_network ─▶ batches of rows ─▶ into_journal ─▶ Journal, from which the final files are written
//! ```

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::console::Console;
use super::interrupt::Interrupt;
use super::progress::Progress;
use crate::cli::RunArgs;
use crate::counts::{count, thousands};
use crate::dataset::Dataset;
use crate::engine::Engine;
use crate::pipeline::{Batch, Embed, Journal, Loader, Start, decode_ahead};
use crate::weights::hex;

/// `--threads`, for all of the process.
pub(super) fn use_threads(threads: Option<NonZeroUsize>) -> Result<()> {
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global()?;
    }
    Ok(())
}

/// `--resume`, `--restart`.
pub(super) const fn start(args: &RunArgs) -> Start {
    match (args.resume, args.restart) {
        (true, _) => Start::Resume,
        (_, true) => Start::Restart,
        _ => Start::Fresh,
    }
}

/// Refuses what a flag such as `--out` names where no file can be written to it.
pub(super) fn require_place(flag: &str, path: &Path) -> Result<()> {
    if path.is_dir() || path.file_name().is_none() {
        bail!("{flag} {} is a folder; give the name of a file", path.display());
    }
    match path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => bail!("{flag} {}: the folder {} is not there", path.display(), folder.display()),
        None => Ok(()),
    }
}

/// Refuses what is written, by its flag, where there is no place for it, or where it is a file that the run reads or writes already.
pub(super) fn require_places(read: &[Option<&Path>], written: &[(&str, Option<&PathBuf>)]) -> Result<()> {
    let is_same = |a: &Path, b: &Path| a == b || same_file::is_same_file(a, b).unwrap_or(false);
    let mut taken: Vec<&Path> = read.iter().copied().flatten().collect();
    for &(flag, path) in written {
        let Some(path) = path else { continue };
        require_place(flag, path)?;
        ensure!(
            !taken.iter().any(|other| is_same(path, other)),
            "{flag} {} is a file that this run reads or writes already; give another name",
            path.display()
        );
        taken.push(path);
    }
    Ok(())
}

/// Refuses a folder without images.
pub(super) fn require_images(dataset: &Dataset) -> Result<()> {
    if dataset.candidates.is_empty() && dataset.rejected.is_empty() {
        bail!(
            "no images under {}: looked for JPEG, PNG, WebP, GIF, BMP and TIFF files, by content",
            dataset.root.display()
        );
    }
    Ok(())
}

/// What stands for all paths in a journal's description.
pub(super) fn fingerprint(dataset: &Dataset) -> String {
    let mut images = Sha256::new();
    for candidate in &dataset.candidates {
        images.update(candidate.path.as_bytes());
        images.update([0]);
    }
    hex(&images.finalize())
}

/// `120 images in 3 classes under data/guitars`.
pub(super) fn images_shown(dataset: &Dataset) -> String {
    let classes = match dataset.classes.len() {
        0 => String::new(),
        classes => format!(" in {}", count(classes, "class", "classes")),
    };
    format!("{}{classes} under {}", count(dataset.candidates.len(), "image", "images"), dataset.root.display())
}

/// The candidates from position `done` on, decoded ahead and run through the network; what it notes on the way is said.
pub(super) fn through_network(
    dataset: &Dataset,
    loader: Loader,
    engine: Arc<dyn Engine>,
    batch_size: usize,
    done: usize,
    console: Console,
) -> impl Iterator<Item = Result<Batch>> {
    let normalise = loader.preprocess.normalise;
    // No batch is larger than what is left, whatever was asked for: memory is taken by that number.
    let batch_size = batch_size.min(dataset.candidates.len().saturating_sub(done)).max(1);
    let ahead = 2 * (batch_size * engine.lanes()).max(rayon::current_num_threads());
    let decoded = decode_ahead(loader, &dataset.candidates, done, ahead);
    let noted = Arc::clone(&engine);
    console.say_notes(noted.as_ref());
    Embed::new(decoded, engine, normalise, batch_size).map(move |batch| {
        console.say_notes(noted.as_ref());
        Ok(batch?)
    })
}

/// Adds batch after batch to the journal and shows how far it is, up to the last of `total` candidates. The progress that
/// is given back tells how long it took; there is none where the user stopped the run.
pub(super) fn into_journal(
    batches: impl Iterator<Item = Result<Batch>>,
    journal: &mut Journal,
    total: usize,
    console: Console,
) -> Result<Option<Progress>> {
    let interrupt = Interrupt::listen()?;
    let before = journal.candidates();
    if before > 0 {
        console.say(format_args!("{} done before", count(before, "image", "images")));
    }
    let progress = Progress::new(console, total, before);
    let progress = each_batch(batches, progress, &interrupt, |batch| Ok(journal.append(batch)?))?;
    if progress.is_none() {
        console.say(format_args!(
            "stopped after {} of {} images; the same command with --resume goes on",
            thousands(journal.candidates()),
            thousands(total)
        ));
    }
    Ok(progress)
}

/// Calls `each` with batch after batch and shows how far it is. None where the user stopped the run.
pub(super) fn each_batch(
    batches: impl Iterator<Item = Result<Batch>>,
    mut progress: Progress,
    interrupt: &Interrupt,
    mut each: impl FnMut(Batch) -> Result<()>,
) -> Result<Option<Progress>> {
    for batch in batches {
        let batch = batch?;
        let (candidates, rejected) = (batch.candidates, batch.rejected.len());
        each(batch)?;
        progress.advance(candidates, rejected);
        if interrupt.is_wanted() {
            progress.finish();
            return Ok(None);
        }
    }
    progress.finish();
    Ok(Some(progress))
}
