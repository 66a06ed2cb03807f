//! The flags of every verb; those of the larger verbs have a file each.

mod classifier;
mod export;
mod fid;
mod finetune;
mod fit_head;
mod hardware;
mod report;
mod score;
mod weights;
mod weights_source;

pub use classifier::ClassifierArgs;
pub use export::{ExportArgs, ExportFormat};
pub use fid::{FidArgs, FidRunArgs, Recipe};
pub use finetune::{
    AugmentationArgs, BatchNormKind, CacheArgs, FinetuneArgs, FinetuneRunArgs, OptimizerKind, ScheduleKind,
    TrainingArgs,
};
pub use fit_head::{ClassWeight, DenseArgs, FitHeadArgs, HeadKind, LogisticArgs};
pub use hardware::HardwareArgs;
pub use report::ReportArgs;
pub use score::ScoreArgs;
pub use weights::{ConvertWeightsArgs, InspectWeightsArgs, WeightsCommand, WeightsDtype};
pub use weights_source::WeightsSource;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::embeddings::Format;
use crate::image::{Preset, parse_background};
use crate::inception::{FreezePoint, Variant};

/// A folder of images in, a classifier out.
#[derive(Debug, Parser)]
#[command(name = "headstock", version, about, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,

    /// Say nothing but errors
    #[arg(long, short, global = true, display_order = 900)]
    pub quiet: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Turn the images under a folder into Inception-v3 embeddings
    Extract(Box<ExtractArgs>),
    /// Fit a classifier on embeddings, and tell how good it is
    FitHead(Box<FitHeadArgs>),
    /// Train the last layers of the network together with a fitted head
    Finetune(Box<FinetuneArgs>),
    /// Put a fitted head to work on a folder of images
    Score(Box<ScoreArgs>),
    /// Show a head, and what it did, as one page that opens in any browser
    Report(Box<ReportArgs>),
    /// Write a classifier for other programs: ONNX, torchvision, or the head as JSON
    Export(Box<ExportArgs>),
    /// Tell how far apart two sets of images are: the Fréchet Inception Distance, and the kernel distance with --kid
    Fid(Box<FidArgs>),
    /// Look at the network, its filters, or a file of embeddings
    #[command(subcommand)]
    Inspect(Inspect),
    /// Look at a file of weights, whoever wrote it, or convert it
    #[command(subcommand)]
    Weights(WeightsCommand),
}

/// `headstock extract`.
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// Which images.
    #[command(flatten)]
    pub images: ImageArgs,

    /// Where the embeddings go
    #[arg(long, short, value_name = "FILE", default_value = "embeddings.safetensors")]
    pub out: PathBuf,

    /// safetensors, npy or csv [default: by the extension of --out]
    #[arg(long)]
    pub format: Option<Format>,

    /// Write numbered files of so many rows each: out-00000.safetensors, out-00001.safetensors, ...
    #[arg(long, value_name = "ROWS")]
    pub shard_rows: Option<NonZeroUsize>,

    /// Which network.
    #[command(flatten)]
    pub backbone: BackboneArgs,

    /// How to run.
    #[command(flatten)]
    pub run: RunArgs,

    /// Only say what would be read: classes and counts
    #[arg(long)]
    pub dry_run: bool,
}

/// Which images, and how they become pixels.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// The folder of images; its first level of sub-folders are the classes
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub images: PathBuf,

    /// How images become the network's input: tf, keras, torchvision, timm, fid (pytorch-fid's), torch-fidelity, clean-fid,
    /// imagenet or timm-imagenet [default: by the variant, or as a model was trained]
    #[arg(long, value_name = "PRESET")]
    pub preprocess: Option<Preset>,

    /// The colour under transparent images: white, black, #rrggbb or r,g,b [default: white, or as a model was trained]
    #[arg(long, value_name = "COLOUR", value_parser = parse_background)]
    pub background: Option<Background>,

    /// Reject images of more pixels than this
    #[arg(long, value_name = "PIXELS", default_value_t = crate::image::DecodeOptions::default().max_pixels)]
    pub max_pixels: u64,
}

/// Red, green, blue.
pub type Background = [u8; 3];

/// Which network.
#[derive(Clone, Debug, Args)]
pub struct BackboneArgs {
    /// The backbone's weights: a file (safetensors, PyTorch, TorchScript, Keras, ONNX, or a model), a name (`tf2015`, `torchvision`,
    /// `timm/tf_in1k`, `timm/tv_in1k`, `timm/tf_adv_in1k`, `timm/gluon_in1k`), or a place on the Hugging Face Hub,
    /// `hf:OWNER/REPO[@REVISION][:FILE]` [default: tf2015, inside the binary]
    #[arg(long, value_name = "WEIGHTS")]
    pub weights: Option<WeightsSource>,

    /// The network of --weights, where the file does not say: tf2015, keras or torchvision
    #[arg(long, requires = "weights")]
    pub variant: Option<Variant>,

    /// Of an ONNX file that is no Inception-v3, the value that is the embedding [default: its only output]
    #[arg(long, value_name = "NAME", requires = "weights", conflicts_with = "variant")]
    pub onnx_output: Option<String>,
}

/// How to run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// On what.
    #[command(flatten)]
    pub hardware: HardwareArgs,

    /// Images that go through the network at a time [default: by device and threads]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<NonZeroUsize>,

    /// Threads for decoding and for the network on the CPU [default: one a core]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// End with exit code 1 if any file could not be read
    #[arg(long)]
    pub strict: bool,

    /// Go on with a run that was stopped; without one, begin
    #[arg(long)]
    pub resume: bool,

    /// Throw away a run that was stopped, and begin again
    #[arg(long, conflicts_with = "resume")]
    pub restart: bool,

    /// Only the first so many images, in the order of their paths
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroUsize>,
}

/// `headstock inspect`.
#[derive(Debug, Subcommand)]
pub enum Inspect {
    /// The network's layers in Keras' order: index, block, kind, shape, parameters, frozen or not
    Layers(LayersArgs),
    /// The first layer's 32 filters as a picture
    Filters(FiltersArgs),
    /// What an embeddings file holds
    Embeddings(EmbeddingsArgs),
}

/// `headstock inspect layers`.
#[derive(Debug, Args)]
pub struct LayersArgs {
    /// tf2015, keras or torchvision
    #[arg(long, default_value = "tf2015")]
    pub variant: Variant,

    /// Where fine-tuning would start: a number of layers, a block (mixed5), or none
    #[arg(long, value_name = "N", default_value = "150")]
    pub freeze: FreezePoint,

    /// How the table is written
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    pub format: TableFormat,
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people.
    Text,
    /// For programs.
    Csv,
}

/// `headstock inspect filters`.
#[derive(Debug, Args)]
pub struct FiltersArgs {
    /// The picture, PNG
    #[arg(long, short, value_name = "FILE", default_value = "filters.png")]
    pub out: PathBuf,

    /// Which network.
    #[command(flatten)]
    pub backbone: BackboneArgs,
}

/// `headstock inspect embeddings`.
#[derive(Debug, Args)]
pub struct EmbeddingsArgs {
    /// A file that `extract` wrote
    #[arg(value_name = "FILE", value_parser = file)]
    pub file: PathBuf,
}

fn folder(text: &str) -> Result<PathBuf, String> {
    match Path::new(text).metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(text.into()),
        Ok(_) => Err("it is a file; give the folder that the images are in".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn file(text: &str) -> Result<PathBuf, String> {
    match Path::new(text).metadata() {
        Ok(metadata) if metadata.is_file() => Ok(text.into()),
        Ok(_) => Err("it is a folder; give a file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
