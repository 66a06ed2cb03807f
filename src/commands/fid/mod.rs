//! `headstock fid`: two sets of images in, how far apart they are out.
//!
//! ```text
//! folder of images ─▶ network ─▶ rows ─┬▶ Moments ─▶ Statistics ─▶ FID        each side; nothing is run before both sides are
//! embeddings ─────────▶ rows ──────────╯     rows kept ──────────▶ KID        known to be comparable
//! mu_sigma.npz ─────────────────────────────▶ Statistics
//! ```

mod network;
mod outcome;
mod set;
mod source;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::console::Console;
use super::interrupt::Interrupt;
use super::{End, image_run, provenance, to_stdout, write_json};
use crate::cli::FidArgs;
use crate::fid::{KernelDistance, StatisticsFile, Subsets, frechet_distance, kernel_distance};
use network::FeatureNetwork;
use outcome::Outcome;
use set::Set;
use source::Source;

/// Images of a set in one of KID's subsets unless the user says otherwise: torch-fidelity's number.
const SUBSET_SIZE: usize = 1000;

pub(super) fn run(args: &FidArgs, console: Console) -> Result<End> {
    let paths: Vec<&PathBuf> = [Some(&args.a), args.b.as_ref(), args.stats.as_ref()].into_iter().flatten().collect();
    require_places(args, &paths)?;
    image_run::use_threads(args.run.threads)?;
    let sources: Vec<Source> = paths.iter().map(|path| Source::open(path)).collect::<Result<_>>()?;
    require_kid(args, &sources)?;
    let network = sources.iter().any(Source::needs_network).then(|| FeatureNetwork::open(args, console)).transpose()?;
    require_comparable(&sources, network.as_ref())?;

    let interrupt = Interrupt::listen()?;
    let mut sets = Vec::with_capacity(sources.len());
    for source in sources {
        match source.read(network.as_ref(), args.kid, &interrupt, console)? {
            Some(set) => sets.push(set),
            None => return Ok(End::Interrupted),
        }
    }
    for set in &sets {
        set.warn(console);
    }
    if let Some(path) = &args.save_stats {
        let Set { statistics, origin, .. } = &sets[0];
        StatisticsFile { statistics: statistics.clone(), origin: origin.clone() }.write(path)?;
    }
    let outcome = Outcome { fid: fid(&sets)?, kid: kid(args, &sets, console)?, sets: &sets };
    if let Some(path) = &args.metrics {
        write_json(path, &outcome.json())?;
    }
    to_stdout(|out| outcome.print(out))?;
    if let Some(path) = &args.save_stats {
        console.say(format_args!("{}: the mean and the covariance of {}", path.display(), sets[0].name));
    }
    let rejected = sets.iter().any(|set| !set.rejected.is_empty());
    Ok(if args.run.strict && rejected { End::Rejected } else { End::Done })
}

/// An error before the work rather than after it.
fn require_places(args: &FidArgs, read: &[&PathBuf]) -> Result<()> {
    let read: Vec<_> = read.iter().map(|path| Some(path.as_path())).collect();
    let written = [("--metrics", args.metrics.as_ref()), ("--save-stats", args.save_stats.as_ref())];
    image_run::require_places(&read, &written)
}

/// Refuses a KID of what it cannot be told of, as far as is known before any work.
fn require_kid(args: &FidArgs, sources: &[Source]) -> Result<()> {
    if !args.kid {
        return Ok(());
    }
    ensure!(sources.len() == 2, "--kid needs two sets, and only {} is given", args.a.display());
    for source in sources {
        ensure!(
            !source.is_statistics(),
            "KID compares the features of single images, and {} holds only their mean and covariance; give the images, or what \
             `headstock extract` wrote of them",
            source.name()
        );
        if let (Some(size), Some(rows)) = (args.kid_subset_size, source.rows()) {
            ensure!(
                rows >= size as usize,
                "{} has {rows} images, and --kid-subset-size {size} takes more; give a smaller size",
                source.name()
            );
        }
    }
    Ok(())
}

/// Refuses sets whose features cannot be held against each other.
fn require_comparable(sources: &[Source], network: Option<&FeatureNetwork>) -> Result<()> {
    let [a, b] = sources else { return Ok(()) };
    if a.features() != b.features() {
        bail!("{} has {} features an image, and {} has {}", a.name(), a.features(), b.name(), b.features());
    }
    match (a.provenance(network), b.provenance(network)) {
        (Some(of_a), Some(of_b)) => provenance::require_comparable(
            (a.name(), of_a),
            (b.name(), of_b),
            "make both by the same --weights and --recipe (--preprocess of extract)",
        ),
        // Statistics by another program do not say.
        _ => Ok(()),
    }
}

fn fid(sets: &[Set]) -> Result<Option<f64>> {
    match sets {
        [a, b] => Ok(Some(frechet_distance(&a.statistics, &b.statistics)?)),
        _ => Ok(None),
    }
}

fn kid(args: &FidArgs, sets: &[Set], console: Console) -> Result<Option<(Subsets, KernelDistance)>> {
    let [Set { features: Some(a), .. }, Set { features: Some(b), .. }] = sets else { return Ok(None) };
    let smaller = a.nrows().min(b.nrows());
    let size = args.kid_subset_size.map_or(smaller.min(SUBSET_SIZE), |size| size as usize);
    if size == a.nrows() && size == b.nrows() {
        console.say(
            "warning: each of KID's subsets is all images of both sides, so its ± tells nothing; use --kid-subset-size",
        );
    }
    let subsets = Subsets { count: args.kid_subsets.get(), size, seed: args.seed };
    let distance = kernel_distance(a.view(), b.view(), &subsets)
        .with_context(|| format!("KID of {} and {} cannot be told", sets[0].name, sets[1].name))?;
    Ok(Some((subsets, distance)))
}
