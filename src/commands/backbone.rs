//! The network: by the flags that say which, and as a head needs it.

use anyhow::{Context, Result, ensure};

use super::provenance;
use crate::cli::{BackboneArgs, Background, ImageArgs};
use crate::head::Head;
use crate::image::{Preprocess, Preset};
use crate::inception::{FEATURES, Variant};
use crate::weights::Weights;

/// The colour under transparent images where nothing says another.
pub(super) const WHITE: Background = [255; 3];

/// The weights that the flags ask for.
pub(super) fn weights(args: &BackboneArgs) -> Result<Weights> {
    match &args.weights {
        Some(path) => Weights::from_file(path, args.variant)
            .with_context(|| format!("{} cannot be used as weights", path.display())),
        None => Ok(Weights::embedded()?),
    }
}

/// The preprocessing, and the colour under transparent images, that the flags ask for; where they do not say, as the weights were
/// trained.
pub(super) fn preprocess(args: &ImageArgs, weights: &Weights) -> Result<(Preprocess, Background)> {
    preprocess_of(args.preprocess, args.background, weights)
}

/// The same of flags by themselves.
pub(super) fn preprocess_of(
    preset: Option<Preset>,
    background: Option<Background>,
    weights: &Weights,
) -> Result<(Preprocess, Background)> {
    // A model's own is read only where it is needed: it may be one of a later version.
    let own = || weights.preprocess().map(|json| provenance::parse_preprocess("the weights'", json)).transpose();
    let (own, own_background) = match (preset, background) {
        (Some(_), Some(_)) => (None, None),
        _ => own()?.unzip(),
    };
    let of_variant = || default_preset(weights.variant()).preprocess();
    let preprocess = preset.map(Preset::preprocess).or(own).unwrap_or_else(of_variant);
    Ok((preprocess, background.or(own_background).unwrap_or(WHITE)))
}

/// The preprocessing that a variant was trained with.
pub(super) const fn default_preset(variant: Variant) -> Preset {
    match variant {
        Variant::Tf2015 => Preset::Tf,
        Variant::Keras => Preset::Keras,
        Variant::Torchvision => Preset::Torchvision,
    }
}

/// All by which images become rows that a head takes.
pub(super) struct OfHead {
    pub(super) weights: Weights,
    pub(super) preprocess: Preprocess,
    /// The colour under transparent images.
    pub(super) background: Background,
}

/// The weights that the flags ask for, held to those that the head was fitted with, and the head's preprocessing.
pub(super) fn of_head(head: &Head, args: &BackboneArgs) -> Result<OfHead> {
    let (preprocess, background) = provenance::preprocess(&head.provenance)?;
    let weights = weights(args)?;
    let of_run = provenance::of_run(&weights, &preprocess, background)?;
    provenance::require_same(
        &head.provenance,
        &of_run,
        "those of this run",
        "give the network's weights by --weights",
    )?;
    require_features(head, FEATURES, "the network gives")?;
    Ok(OfHead { weights, preprocess, background })
}

/// Refuses rows that are longer or shorter than those that the head takes.
pub(super) fn require_features(head: &Head, columns: usize, whose: &str) -> Result<()> {
    ensure!(head.features() == columns, "the head takes rows of {} numbers, and {whose} {columns}", head.features());
    Ok(())
}
