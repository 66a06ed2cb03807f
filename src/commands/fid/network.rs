//! The network that turns a folder of images into features, for both sides the same.

use std::sync::Arc;

use anyhow::Result;
use candle_core::Device;

use crate::cli::FidArgs;
use crate::commands::{backbone, image_run, provenance};
use crate::embeddings::Provenance;
use crate::engine::Engine;
use crate::image::{DecodeOptions, Preprocess};
use crate::inception::Network;

/// A network, and how images come to it.
pub(super) struct FeatureNetwork {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) device: Device,
    pub(super) batch_size: usize,
    pub(super) preprocess: Preprocess,
    pub(super) options: DecodeOptions,
    pub(super) provenance: Provenance,
}

impl FeatureNetwork {
    /// As the flags say.
    pub(super) fn open(args: &FidArgs) -> Result<Self> {
        let weights = backbone::weights(&args.backbone)?;
        let preprocess = args.recipe.preset().preprocess();
        let options = DecodeOptions { background: args.background, max_pixels: args.max_pixels };
        let provenance =
            provenance::of_run(weights.sha256(), weights.variant().to_string(), &preprocess, options.background)?;
        let device = args.run.device.open()?;
        let engine = args.run.engine.open(Network::new(weights.variant()), &weights, &device)?;
        let batch_size = args.run.batch_size.map_or_else(|| image_run::batch_size_of(&device), std::num::NonZero::get);
        Ok(Self { engine, device, batch_size, preprocess, options, provenance })
    }
}
