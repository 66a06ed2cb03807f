//! The flags of `headstock finetune`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::fit_head::{ClassWeight, part, positive};
use super::{BackboneArgs, HardwareArgs, file, folder};
use crate::finetune::Precision;
use crate::image::Augmentation;
use crate::inception::FreezePoint;

/// `headstock finetune`.
#[derive(Debug, Args)]
pub struct FinetuneArgs {
    /// The folder of images; its first level of sub-folders are the head's classes
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub images: PathBuf,

    /// What `fit-head` wrote: training starts from it
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub head: PathBuf,

    /// Where the network and its head go
    #[arg(long, short, value_name = "FILE", default_value = "model.safetensors")]
    pub out: PathBuf,

    /// The first layers that stay as they are: a number of layers in Keras' order, a block (mixed5), or none
    #[arg(long, value_name = "N", default_value = "150")]
    pub freeze: FreezePoint,

    /// Where the head holds out no rows of its own: the part of each class that is held out, to tell how good the model is
    /// [default: 0.2]
    #[arg(long, value_name = "PART", value_parser = part)]
    pub validation: Option<f64>,

    /// Write all numbers to this file as JSON too
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,

    /// Decides the order of the images and their views
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Reject images of more pixels than this
    #[arg(long, value_name = "PIXELS", default_value_t = crate::image::DecodeOptions::default().max_pixels)]
    pub max_pixels: u64,

    /// Which network.
    #[command(flatten)]
    pub backbone: BackboneArgs,

    /// How it is trained.
    #[command(flatten, next_help_heading = "Training")]
    pub training: TrainingArgs,

    /// How images are changed.
    #[command(flatten, next_help_heading = "Augmentation")]
    pub augmentation: AugmentationArgs,

    /// What the frozen layers said.
    #[command(flatten, next_help_heading = "Cache of the frozen layers' activations")]
    pub cache: CacheArgs,

    /// How to run.
    #[command(flatten, next_help_heading = "Run")]
    pub run: FinetuneRunArgs,
}

/// How it is trained.
#[derive(Debug, Args)]
pub struct TrainingArgs {
    /// Passes over the images, at most
    #[arg(long, value_name = "N", default_value = "10")]
    pub epochs: NonZeroUsize,

    /// Images that go through the network together
    #[arg(long, value_name = "N", default_value = "8")]
    pub batch_size: NonZeroUsize,

    /// Batches whose gradients are added up for one step
    #[arg(long, value_name = "N", default_value = "1")]
    pub accumulate: NonZeroUsize,

    /// How gradients move the weights
    #[arg(long, value_enum, default_value_t = OptimizerKind::Sgd)]
    pub optimizer: OptimizerKind,

    /// The length of a step
    #[arg(long, value_name = "RATE", default_value_t = 1e-4, value_parser = positive)]
    pub learning_rate: f64,

    /// What SGD keeps of its velocity
    #[arg(long, value_name = "PART", default_value_t = 0.9, value_parser = part)]
    pub momentum: f64,

    /// How fast kernels and the head's weights are drawn to zero; betas, gammas and biases are not
    #[arg(long, value_name = "RATE", default_value_t = 0.0, value_parser = from_zero)]
    pub weight_decay: f64,

    /// What becomes of the learning rate
    #[arg(long, value_enum, default_value_t = ScheduleKind::Constant)]
    pub schedule: ScheduleKind,

    /// Steps over which the learning rate rises
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub warmup_steps: usize,

    /// Shorten gradients that are longer than this
    #[arg(long, value_name = "NORM", value_parser = positive)]
    pub clip_norm: Option<f64>,

    /// The part of each target that is spread over all classes
    #[arg(long, value_name = "PART", default_value_t = 0.0, value_parser = part)]
    pub label_smoothing: f64,

    /// How much a class counts
    #[arg(long, value_enum, default_value_t = ClassWeight::None)]
    pub class_weight: ClassWeight,

    /// Whether batch norm keeps the statistics it came with, or takes each batch's
    #[arg(long, value_enum, default_value_t = BatchNormKind::Frozen)]
    pub batch_norm: BatchNormKind,

    /// Epochs without a better loss of the watched images, after which training ends
    #[arg(long, value_name = "N", default_value = "3")]
    pub patience: NonZeroUsize,
}

/// Which optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Adam with decoupled weight decay.
    Adamw,
}

/// What becomes of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScheduleKind {
    /// It stays.
    Constant,
    /// It falls to nothing along half a cosine.
    Cosine,
}

/// What batch norm divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BatchNormKind {
    /// The statistics that it came with.
    Frozen,
    /// Those of each batch, of which it keeps a running mean.
    Train,
}

/// How images are changed.
#[derive(Debug, Args)]
pub struct AugmentationArgs {
    /// Train on changed images too: crop, flip, color, with commas between them
    #[arg(long, value_name = "WAY,...", value_delimiter = ',')]
    pub augment: Vec<Augmentation>,

    /// Views of each image, the plain one among them; an epoch sees one
    #[arg(long, value_name = "V", default_value = "4", requires = "augment")]
    pub augment_views: NonZeroUsize,
}

/// Where the frozen layers' activations are kept.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// Keep them in this folder, for later runs too [default: beside --out, until the end]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,

    /// Keep none where they would be larger, and compute them again each epoch: 500MB, 10GB, 0 for never
    #[arg(long, value_name = "SIZE", default_value = "10GB", value_parser = bytes)]
    pub cache_limit: u64,

    /// f32, as they are, or f16, in half the room
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub cache_precision: Precision,
}

/// How to run.
#[derive(Debug, Args)]
pub struct FinetuneRunArgs {
    /// On what; engine and precision are those of the frozen layers.
    #[command(flatten)]
    pub hardware: HardwareArgs,

    /// Threads for decoding and for the network on the CPU [default: one a core]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// Keep a checkpoint every so many steps, beside the one after each epoch
    #[arg(long, value_name = "N", default_value = "200")]
    pub checkpoint_steps: NonZeroUsize,

    /// End with exit code 1 if any file could not be read
    #[arg(long)]
    pub strict: bool,

    /// Go on with a run that was stopped; without one, begin
    #[arg(long)]
    pub resume: bool,

    /// Throw away a run that was stopped, and begin again
    #[arg(long, conflicts_with = "resume")]
    pub restart: bool,
}

/// A number from 0 on.
fn from_zero(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number >= 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("give a number from 0 on".to_owned()),
    }
}

/// `500MB`, `10GB`, `1.5GiB`, or bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: f64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err("give a size such as 500MB or 10GB".to_owned()),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number >= 0.0 && number.is_finite() => Ok((number * factor) as u64),
        _ => Err("give a size such as 500MB or 10GB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        let cases =
            [("0", 0), ("12", 12), ("500MB", 500_000_000), ("1.5GiB", 1_610_612_736), ("10 gb", 10_000_000_000)];
        for (text, size) in cases {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "GB", "-1", "1XB", "nan", "1e400"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
