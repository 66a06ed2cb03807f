//! The flags of `headstock weights`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{BackboneArgs, WeightsSource};
use crate::image::Preset;
use crate::inception::Variant;

/// `headstock weights`.
#[derive(Debug, Subcommand)]
pub enum WeightsCommand {
    /// What a file of weights holds: its kind, whose names, which variant, and what became of each tensor
    Inspect(InspectWeightsArgs),
    /// Write the weights of any file that is read as safetensors under torchvision's names
    Convert(ConvertWeightsArgs),
}

/// `headstock weights inspect`.
#[derive(Debug, Args)]
pub struct InspectWeightsArgs {
    /// A file, a name or a place on the Hub, as by --weights: safetensors, PyTorch (.pth, .pt, .ckpt, TorchScript), Keras (.keras,
    /// .weights.h5, .h5) or ONNX
    #[arg(value_name = "WEIGHTS")]
    pub source: WeightsSource,

    /// The network, where the file does not say: tf2015, keras or torchvision
    #[arg(long)]
    pub variant: Option<Variant>,
}

/// `headstock weights convert`.
#[derive(Debug, Args)]
pub struct ConvertWeightsArgs {
    /// What is read, as by --weights
    #[arg(value_name = "IN")]
    pub input: WeightsSource,

    /// What is written, safetensors
    #[arg(value_name = "OUT")]
    pub out: PathBuf,

    /// The network, where the file does not say: tf2015, keras or torchvision
    #[arg(long)]
    pub variant: Option<Variant>,

    /// The preprocessing to be written into the file, so that no later run has to be told: tf, keras, torchvision, timm or fid
    /// [default: the file's own, if it says]
    #[arg(long, value_name = "PRESET")]
    pub preprocess: Option<Preset>,

    /// f32, or f16, which halves the kernels and moves features by about 1e-3
    #[arg(long, value_enum, default_value_t = WeightsDtype::F32)]
    pub dtype: WeightsDtype,
}

/// How kernels are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightsDtype {
    /// float32.
    F32,
    /// float16; batch norm stays float32.
    F16,
}

impl ConvertWeightsArgs {
    /// The input as the flags of a network.
    #[must_use]
    pub fn backbone(&self) -> BackboneArgs {
        BackboneArgs { weights: Some(self.input.clone()), variant: self.variant, onnx_output: None }
    }
}
