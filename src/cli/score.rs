//! The flags of `headstock score`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::{BackboneArgs, ClassifierArgs, RunArgs, file, folder};
use crate::image::Preset;
use crate::scores::Format;

/// `headstock score`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("input").required(true).args(["images", "embeddings"])))]
pub struct ScoreArgs {
    /// Which classifier.
    #[command(flatten)]
    pub classifier: ClassifierArgs,

    /// The network's own classifier, in place of a head: the most probable of ImageNet's classes. --weights must hold it
    #[arg(long, group = "ClassifierArgs", requires = "images")]
    pub imagenet: bool,

    /// How images become the network's input, with --imagenet: tf, keras, torchvision, timm or fid [default: by the weights]
    #[arg(long, value_name = "PRESET", requires = "imagenet", conflicts_with_all = ["head", "model"])]
    pub preprocess: Option<Preset>,

    /// The folder of images
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub images: Option<PathBuf>,

    /// What `extract` wrote of the images, instead of running the network again
    #[arg(long, value_name = "FILE", value_parser = file,
        conflicts_with_all = ["weights", "variant", "onnx_output", "device", "engine", "precision", "batch_size", "max_pixels"])]
    pub embeddings: Option<PathBuf>,

    /// Where the scores go
    #[arg(long, short, value_name = "FILE", default_value = "scores.csv")]
    pub out: PathBuf,

    /// csv or jsonl [default: by the extension of --out]
    #[arg(long)]
    pub format: Option<Format>,

    /// Write only the K most probable classes of each image, the first one first [default: all; with --imagenet, 5]
    #[arg(long, value_name = "K")]
    pub top: Option<NonZeroUsize>,

    /// Call an image `unsure` where no class is so probable [default: the head's own, by class]
    #[arg(long, value_name = "P", value_parser = probability)]
    pub threshold: Option<f64>,

    /// Where the images lie in folders named as the head's classes, tell how good it is on them
    #[arg(long)]
    pub evaluate: bool,

    /// Write the numbers of --evaluate to this file as JSON too
    #[arg(long, value_name = "FILE", requires = "evaluate")]
    pub metrics: Option<PathBuf>,

    /// Lay the images out in this folder, a folder a class (links, or copies where links cannot be)
    #[arg(long, value_name = "DIR")]
    pub sort_into: Option<PathBuf>,

    /// Draw into this folder where in each image a linear head saw its class
    #[arg(long, value_name = "DIR", conflicts_with = "embeddings")]
    pub explain: Option<PathBuf>,

    /// Reject images of more pixels than this
    #[arg(long, value_name = "PIXELS", default_value_t = crate::image::DecodeOptions::default().max_pixels)]
    pub max_pixels: u64,

    /// Which network.
    #[command(flatten)]
    pub backbone: BackboneArgs,

    /// How to run.
    #[command(flatten)]
    pub run: RunArgs,
}

impl ScoreArgs {
    /// Classes that are written of each image; none where all are.
    #[must_use]
    pub fn top(&self) -> Option<usize> {
        /// As ImageNet's classifiers are judged.
        const OF_IMAGENET: usize = 5;
        self.top.map(NonZeroUsize::get).or(self.imagenet.then_some(OF_IMAGENET))
    }
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(p),
        _ => Err("give a number from 0 to 1".to_owned()),
    }
}
