//! The flags that say which network, read.

use anyhow::{Context, Result};

use crate::cli::BackboneArgs;
use crate::image::Preset;
use crate::inception::Variant;
use crate::weights::Weights;

/// The weights that the flags ask for.
pub(super) fn weights(args: &BackboneArgs) -> Result<Weights> {
    match &args.weights {
        Some(path) => Weights::from_file(path, args.variant)
            .with_context(|| format!("{} cannot be used as weights", path.display())),
        None => Ok(Weights::embedded()?),
    }
}

/// The preprocessing that a variant was trained with.
pub(super) const fn default_preset(variant: Variant) -> Preset {
    match variant {
        Variant::Tf2015 => Preset::Tf,
        Variant::Keras => Preset::Keras,
        Variant::Torchvision => Preset::Torchvision,
    }
}
