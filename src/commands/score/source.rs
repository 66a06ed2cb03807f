//! Where the rows come from that a head is put on: images through the network, or a file that `extract` wrote.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::cli::ScoreArgs;
use crate::commands::backbone::{self, Backbone, OfHead};
use crate::commands::classifier::Classifier;
use crate::commands::console::Console;
use crate::commands::hardware::Hardware;
use crate::commands::{image_run, provenance};
use crate::dataset::{self, Candidate, Dataset};
use crate::embeddings::EmbeddingsFile;
use crate::image::{DecodeOptions, is_candidate};
use crate::pipeline::{Batch, Loader};

/// Rows of a file that are read at a time.
const BLOCK: usize = 512;

/// Candidates, and the way to their rows.
pub(super) struct Source {
    /// What is scored; of embeddings, the images that they were made of.
    pub(super) dataset: Dataset,
    pub(super) rows: Rows,
}

/// The way to the rows.
pub(super) enum Rows {
    /// Images through the network.
    Network(Box<Network>),
    /// They are there already.
    File(Box<EmbeddingsFile>),
}

/// All that the network needs.
pub(super) struct Network {
    pub(super) backbone: Backbone,
    pub(super) hardware: Hardware,
    pub(super) loader: Loader,
    pub(super) batch_size: usize,
}

impl Source {
    /// Opens what the flags name, held to what the head was fitted on.
    pub(super) fn open(args: &ScoreArgs, classifier: &Classifier, console: Console) -> Result<Self> {
        let mut source = match (&args.images, &args.embeddings) {
            (Some(images), _) => Self::images(args, images, classifier, console)?,
            (None, Some(embeddings)) => Self::embeddings(embeddings, classifier)?,
            (None, None) => bail!("give --images or --embeddings"),
        };
        if let Some(limit) = args.run.limit {
            source.dataset.limit(limit.get());
        }
        Ok(source)
    }

    fn images(args: &ScoreArgs, images: &Path, classifier: &Classifier, console: Console) -> Result<Self> {
        let dataset = dataset::list(images, is_candidate)?;
        image_run::require_images(&dataset)?;
        let OfHead { backbone, preprocess, background } = backbone::of_head(&classifier.head, &classifier.backbone)?;
        let options = DecodeOptions { background, max_pixels: args.max_pixels };
        let hardware = Hardware::open(&args.run.hardware, console)?;
        let batch_size = hardware.batch_size(args.run.batch_size);
        let loader = Loader { root: dataset.root.clone(), options, preprocess };
        let network = Network { backbone, hardware, loader, batch_size };
        Ok(Self { dataset, rows: Rows::Network(Box::new(network)) })
    }

    fn embeddings(path: &Path, Classifier { head, remedy, .. }: &Classifier) -> Result<Self> {
        let file = EmbeddingsFile::open(path)?;
        let rows = format!("those of {}", path.display());
        provenance::require_same(&head.provenance, &file.provenance, &rows, remedy)?;
        backbone::require_features(head, file.columns, "the rows have")?;
        ensure!(!file.is_empty(), "{} holds no rows", path.display());
        Ok(Self { dataset: dataset_of(&file), rows: Rows::File(Box::new(file)) })
    }
}

/// The images that embeddings were made of, as if their folder had been listed.
fn dataset_of(file: &EmbeddingsFile) -> Dataset {
    let class = |row: usize| file.labels.as_ref().and_then(|labels| u32::try_from(labels[row]).ok());
    let candidate = |(row, path): (usize, &String)| Candidate { path: path.clone(), class: class(row) };
    Dataset {
        root: file.images.clone().unwrap_or_default().into(),
        classes: file.classes.clone(),
        candidates: file.paths.iter().enumerate().map(candidate).collect(),
        rejected: Vec::new(),
    }
}

/// The rows of a file from position `done` up to `end`, in blocks, each with its position.
pub(super) fn blocks(
    file: &mut EmbeddingsFile,
    done: usize,
    end: usize,
) -> impl Iterator<Item = Result<(usize, Batch)>> {
    (done..end).step_by(BLOCK).map(move |first| {
        let candidates = BLOCK.min(end - first);
        let rows = file.rows(first, candidates).context("the embeddings can no longer be read")?;
        Ok((first, Batch { candidates, rows, rejected: Vec::new() }))
    })
}
