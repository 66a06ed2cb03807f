//! The flags of `headstock export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{BackboneArgs, ClassifierArgs};

/// `headstock export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which classifier.
    #[command(flatten)]
    pub classifier: ClassifierArgs,

    /// In which format
    #[arg(long, value_enum)]
    pub to: ExportFormat,

    /// The file [default: by the format: model.onnx, model.pth or head.json]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Which network.
    #[command(flatten)]
    pub backbone: BackboneArgs,
}

/// What other programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Network and head as one graph: normalised images in, probabilities out.
    Onnx,
    /// A state dict for torchvision's `inception_v3`, the head as its last layer.
    Torchvision,
    /// The head alone, its numbers as text.
    HeadJson,
}
