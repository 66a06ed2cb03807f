//! The network that turns a folder of images into features, for both sides the same.

use std::sync::Arc;

use anyhow::Result;

use crate::cli::FidArgs;
use crate::commands::console::Console;
use crate::commands::hardware::Hardware;
use crate::commands::{backbone, provenance};
use crate::embeddings::Provenance;
use crate::engine::Engine;
use crate::image::{DecodeOptions, Preprocess};
use crate::inception::Network;

/// A network, and how images come to it.
pub(super) struct FeatureNetwork {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) hardware: Hardware,
    pub(super) batch_size: usize,
    pub(super) preprocess: Preprocess,
    pub(super) options: DecodeOptions,
    pub(super) provenance: Provenance,
}

impl FeatureNetwork {
    /// As the flags say.
    pub(super) fn open(args: &FidArgs, console: Console) -> Result<Self> {
        let weights = backbone::weights(&args.backbone)?;
        let preprocess = args.recipe.preset().preprocess();
        let options = DecodeOptions { background: args.background, max_pixels: args.max_pixels };
        let provenance =
            provenance::of_run(weights.sha256(), weights.variant().to_string(), &preprocess, options.background)?;
        let hardware = Hardware::open(&args.run.hardware, console)?;
        let engine = hardware.engine(Network::new(weights.variant()), &weights)?;
        let batch_size = hardware.batch_size(args.run.batch_size);
        Ok(Self { engine, hardware, batch_size, preprocess, options, provenance })
    }
}
