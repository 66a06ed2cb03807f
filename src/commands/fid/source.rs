//! What a set is given as, told apart by content, and how each becomes statistics.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use ndarray::Array2;

use super::network::FeatureNetwork;
use super::set::Set;
use crate::commands::console::Console;
use crate::commands::interrupt::Interrupt;
use crate::commands::progress::Progress;
use crate::commands::{image_run, rejected};
use crate::counts::{count, thousands};
use crate::dataset::{self, Dataset};
use crate::embeddings::{EmbeddingsFile, Provenance};
use crate::fid::{Moments, Origin, StatisticsFile};
use crate::image::is_candidate;
use crate::inception::FEATURES;
use crate::pipeline::Loader;

/// A set, opened but not yet read.
pub(super) struct Source {
    name: String,
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Folder(Dataset),
    Embeddings(Box<EmbeddingsFile>),
    Statistics(Box<StatisticsFile>),
}

impl Source {
    /// A folder of images, a zip that holds statistics, or a file of embeddings.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let metadata = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
        let kind = if metadata.is_dir() {
            let dataset = dataset::list(path, is_candidate)?;
            image_run::require_images(&dataset)?;
            Kind::Folder(dataset)
        } else if is_zip(path)? {
            Kind::Statistics(Box::new(StatisticsFile::read(path)?))
        } else {
            Kind::Embeddings(Box::new(EmbeddingsFile::open(path)?))
        };
        Ok(Self { name: path.display().to_string(), path: path.to_owned(), kind })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn needs_network(&self) -> bool {
        matches!(self.kind, Kind::Folder(_))
    }

    pub(super) const fn is_statistics(&self) -> bool {
        matches!(self.kind, Kind::Statistics(_))
    }

    /// The number of images, where it is known before they are read.
    pub(super) fn rows(&self) -> Option<usize> {
        match &self.kind {
            Kind::Folder(_) => None,
            Kind::Embeddings(file) => Some(file.len()),
            Kind::Statistics(file) => file.origin.as_ref().map(|origin| origin.rows),
        }
    }

    /// Numbers an image.
    pub(super) fn features(&self) -> usize {
        match &self.kind {
            Kind::Folder(_) => FEATURES,
            Kind::Embeddings(file) => file.columns,
            Kind::Statistics(file) => file.statistics.features(),
        }
    }

    /// By what the features are made, where that is known.
    pub(super) fn provenance<'a>(&'a self, network: Option<&'a FeatureNetwork>) -> Option<&'a Provenance> {
        match &self.kind {
            Kind::Folder(_) => network.map(|network| &network.provenance),
            Kind::Embeddings(file) => Some(&file.provenance),
            Kind::Statistics(file) => file.origin.as_ref().map(|origin| &origin.provenance),
        }
    }

    /// Reads it, with the rows themselves where they are wanted. None where the user stopped the run.
    pub(super) fn read(
        self,
        network: Option<&FeatureNetwork>,
        keep_rows: bool,
        interrupt: &Interrupt,
        console: Console,
    ) -> Result<Option<Set>> {
        let (name, columns) = (self.name.clone(), self.features());
        let mut moments = Moments::new(columns);
        let mut kept = Vec::new();
        let mut take = |rows: &[f32]| {
            moments.push(rows);
            if keep_rows {
                kept.extend_from_slice(rows);
            }
        };
        let (provenance, rejected) = match self.kind {
            Kind::Statistics(file) => {
                let StatisticsFile { statistics, origin } = *file;
                return Ok(Some(Set { name, statistics, origin, features: None, rejected: Vec::new() }));
            }
            Kind::Embeddings(mut file) => {
                file.for_each_row(take).with_context(|| format!("cannot read {}", self.path.display()))?;
                (file.provenance, Vec::new())
            }
            Kind::Folder(dataset) => {
                let network = network.context("a folder of images needs the network")?;
                match through_network(&dataset, network, &mut take, interrupt, console)? {
                    Some(undecoded) => (network.provenance.clone(), rejected::all(&dataset, &undecoded)),
                    None => return Ok(None),
                }
            }
        };
        for file in &rejected {
            console.say(format_args!("skipped {}: {}", self.path.join(&file.path).display(), file.reason));
        }
        let rows = moments.rows();
        let statistics = moments.finish().with_context(|| format!("{name} is no set that can be compared"))?;
        let features = keep_rows.then(|| Array2::from_shape_vec((rows, columns), kept)).transpose()?;
        let origin = Some(Origin { rows, provenance });
        Ok(Some(Set { name, statistics, origin, features, rejected }))
    }
}

/// Rows of all images that can be read, in the order of their paths; gives back the others, by position, and why. None where the
/// user stopped the run.
fn through_network(
    dataset: &Dataset,
    network: &FeatureNetwork,
    take: &mut impl FnMut(&[f32]),
    interrupt: &Interrupt,
    console: Console,
) -> Result<Option<Vec<(usize, String)>>> {
    let FeatureNetwork { engine, hardware, batch_size, preprocess, options, provenance } = network;
    let shown = hardware.network_shown(&provenance.variant, *batch_size);
    console.say(format_args!("{}; {shown}", image_run::images_shown(dataset)));
    let loader = Loader { root: dataset.root.clone(), options: *options, preprocess: *preprocess };
    let batches = image_run::through_network(dataset, loader, Arc::clone(engine), *batch_size, 0);
    let total = dataset.candidates.len();
    let (mut done, mut undecoded) = (0, Vec::new());
    let each = |batch: crate::pipeline::Batch| {
        take(&batch.rows);
        undecoded.extend(batch.rejected.into_iter().map(|(candidate, reason)| (done + candidate, reason)));
        done += batch.candidates;
        Ok(())
    };
    let progress = image_run::each_batch(batches, Progress::new(console, total, 0), interrupt, each)?;
    if progress.is_none() {
        console.say(format_args!(
            "stopped after {} of {}, of which nothing is kept; `headstock extract` goes on where it was stopped, and fid takes what \
             it writes",
            thousands(done),
            count(total, "image", "images")
        ));
    }
    Ok(progress.map(|_| undecoded))
}

fn is_zip(path: &Path) -> Result<bool> {
    let mut start = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read(&mut start));
    let read = read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(start[..read] == *b"PK")
}
