//! The network: by the flags that say which, and as a head needs it.
//!
//! ```text
//! --weights ─▶ a file, fetched if need be ─▶ Backbone ─┬▶ Inception   of the description: every verb
//!                                                      └▶ Graph       any other, in ONNX, as it is: extract, score   (feature `onnx`)
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Error, Result, bail, ensure};

use super::console::Console;
use super::hardware::Hardware;
use super::provenance;
use crate::cli::{BackboneArgs, Background, ImageArgs, WeightsSource};
use crate::engine::Engine;
#[cfg(feature = "onnx")]
use crate::engine::Graph;
use crate::head::Head;
use crate::hub::{Hub, Location};
use crate::image::{Preprocess, Preset};
use crate::inception::{FEATURES, Network, Variant};
use crate::onnx::OnnxError;
use crate::weights::{Weights, WeightsError};

/// The colour under transparent images where nothing says another.
pub(super) const WHITE: Background = [255; 3];

/// What the variant of a graph that is run as it is begins with; the name of its output follows.
const GRAPH: &str = "onnx:";

/// A network that makes rows of images.
pub(super) enum Backbone {
    /// An Inception-v3.
    Inception(Weights),
    /// Any other, as its graph says it.
    #[cfg(feature = "onnx")]
    Graph(Box<Graph>),
}

impl Backbone {
    /// The SHA-256 of its file.
    pub(super) fn sha256(&self) -> &str {
        match self {
            Self::Inception(weights) => weights.sha256(),
            #[cfg(feature = "onnx")]
            Self::Graph(graph) => graph.sha256(),
        }
    }

    /// What rows say they were made by, beside that.
    pub(super) fn variant(&self) -> String {
        match self {
            Self::Inception(weights) => weights.variant().to_string(),
            #[cfg(feature = "onnx")]
            Self::Graph(graph) => format!("{GRAPH}{}", graph.output()),
        }
    }

    /// Numbers in a row.
    pub(super) const fn columns(&self) -> usize {
        match self {
            Self::Inception(_) => FEATURES,
            #[cfg(feature = "onnx")]
            Self::Graph(graph) => graph.columns(),
        }
    }

    /// Its description, where it has one.
    #[cfg_attr(not(feature = "onnx"), expect(clippy::unnecessary_wraps, reason = "a graph has none"))]
    pub(super) fn network(&self) -> Option<Network> {
        match self {
            Self::Inception(weights) => Some(Network::new(weights.variant())),
            #[cfg(feature = "onnx")]
            Self::Graph(_) => None,
        }
    }

    /// Prepares it.
    pub(super) fn engine(self, hardware: &Hardware) -> Result<Arc<dyn Engine>> {
        Ok(match self {
            Self::Inception(weights) => hardware.engine(Network::new(weights.variant()), &weights)?,
            #[cfg(feature = "onnx")]
            Self::Graph(graph) => {
                ensure!(
                    hardware.device().is_cpu(),
                    "a backbone that is no Inception-v3 runs on the CPU only: --device cpu"
                );
                Arc::<Graph>::from(graph)
            }
        })
    }

    /// The preprocessing, and the colour under transparent images, that the flags ask for; where they do not say, as the weights were
    /// trained.
    pub(super) fn preprocess(&self, args: &ImageArgs) -> Result<(Preprocess, Background)> {
        match self {
            Self::Inception(weights) => preprocess(args, weights),
            #[cfg(feature = "onnx")]
            Self::Graph(graph) => {
                let preset = args.preprocess.context(
                    "a backbone that is no Inception-v3 does not say what images are to become: give --preprocess \
                     (imagenet for most that learnt ImageNet)",
                )?;
                let preprocess = preset.preprocess().with_side(u32::try_from(graph.side())?);
                Ok((preprocess, args.background.unwrap_or(WHITE)))
            }
        }
    }
}

/// The backbone that the flags ask for, be it of any kind.
pub(super) fn open(args: &BackboneArgs) -> Result<Backbone> {
    let Some(located) = located(args.weights.as_ref())? else {
        return Ok(Backbone::Inception(Weights::embedded()?));
    };
    let path = &located.path;
    if let Some(output) = &args.onnx_output {
        return graph(path, Some(output));
    }
    match Weights::from_file(path, args.variant) {
        Ok(weights) => Ok(Backbone::Inception(located.with_preprocess(weights)?)),
        Err(WeightsError::Onnx(OnnxError::Departure { .. })) if cfg!(feature = "onnx") => graph(path, None),
        Err(error) => Err(unusable(error, path)),
    }
}

/// A file of weights on this machine, and what is known of it beside what it says itself.
pub(super) struct Located {
    pub(super) path: PathBuf,
    /// The preprocessing that goes with its name.
    pub(super) preset: Option<Preset>,
}

impl Located {
    /// The preprocessing that goes with the name, where the file says none.
    fn with_preprocess(&self, weights: Weights) -> Result<Weights> {
        let json = self.preset.map(|preset| provenance::preprocess_json(&preset.preprocess(), WHITE)).transpose()?;
        Ok(match json {
            Some(json) => weights.or_preprocess(|| json.to_string()),
            None => weights,
        })
    }
}

/// The file that a source of weights means, fetched if need be; none for the weights inside the binary.
pub(super) fn located(source: Option<&WeightsSource>) -> Result<Option<Located>> {
    let fetched = |location: &Location| -> Result<PathBuf> {
        let hub = Hub::from_env(Console::of_process().is_terminal())?;
        hub.fetch(location).with_context(|| format!("{location} cannot be had"))
    };
    Ok(match source {
        None => None,
        Some(WeightsSource::File(path)) => Some(Located { path: path.clone(), preset: None }),
        Some(WeightsSource::Published(published)) => match &published.place {
            None => None,
            Some(place) => {
                let path = fetched(&Location::of_file(place.repository, place.file))?;
                Some(Located { path, preset: Some(published.preset) })
            }
        },
        Some(WeightsSource::Hub(location)) => Some(Located { path: fetched(location)?, preset: None }),
    })
}

/// A graph that is run as it is.
#[cfg(feature = "onnx")]
fn graph(path: &Path, output: Option<&str>) -> Result<Backbone> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let graph = Graph::open(bytes, Some(path), output).map_err(|error| unusable(error, path))?;
    Ok(Backbone::Graph(Box::new(graph)))
}

/// A graph that is run as it is: by another binary.
#[cfg(not(feature = "onnx"))]
fn graph(path: &Path, _output: Option<&str>) -> Result<Backbone> {
    bail!(
        "{} is to be run as it is, and this binary cannot: build it with `cargo build --release --features onnx`",
        path.display()
    )
}

fn unusable(error: impl Into<Error>, path: &Path) -> Error {
    error.into().context(format!("{} cannot be used as weights", path.display()))
}

/// The weights that the flags ask for, of an Inception-v3.
pub(super) fn weights(args: &BackboneArgs) -> Result<Weights> {
    let Some(located) = located(args.weights.as_ref())? else { return Ok(Weights::embedded()?) };
    let path = &located.path;
    located.with_preprocess(Weights::from_file(path, args.variant).map_err(|error| unusable(error, path))?)
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
pub(super) struct OfHead<T> {
    pub(super) backbone: T,
    pub(super) preprocess: Preprocess,
    /// The colour under transparent images.
    pub(super) background: Background,
}

/// The backbone that the flags ask for, held to the one that the head was fitted with, and the head's preprocessing.
pub(super) fn of_head(head: &Head, args: &BackboneArgs) -> Result<OfHead<Backbone>> {
    let (preprocess, background) = provenance::preprocess(&head.provenance)?;
    // A head on a graph says which of its outputs it is on.
    let backbone = match head.provenance.variant.strip_prefix(GRAPH) {
        Some(output) if args.weights.is_some() => {
            open(&BackboneArgs { onnx_output: Some(output.to_owned()), ..args.clone() })?
        }
        _ => open(args)?,
    };
    let of_run = provenance::of_run(backbone.sha256(), backbone.variant(), &preprocess, background)?;
    provenance::require_same(
        &head.provenance,
        &of_run,
        "those of this run",
        "give the network's weights by --weights",
    )?;
    require_features(head, backbone.columns(), "the network gives")?;
    Ok(OfHead { backbone, preprocess, background })
}

/// Likewise for what only an Inception-v3 is known well enough for.
pub(super) fn inception_of_head(head: &Head, args: &BackboneArgs) -> Result<OfHead<Weights>> {
    require_inception(head)?;
    let OfHead { backbone, preprocess, background } = of_head(head, args)?;
    match backbone {
        Backbone::Inception(weights) => Ok(OfHead { backbone: weights, preprocess, background }),
        #[cfg(feature = "onnx")]
        Backbone::Graph(_) => bail!("--onnx-output names no part of an Inception-v3"),
    }
}

/// Refuses a head on any other network.
pub(super) fn require_inception(head: &Head) -> Result<()> {
    ensure!(
        !head.provenance.variant.starts_with(GRAPH),
        "the head is on a backbone that is no Inception-v3, of which no more is known than what it gives"
    );
    Ok(())
}

/// Refuses rows that are longer or shorter than those that the head takes.
pub(super) fn require_features(head: &Head, columns: usize, whose: &str) -> Result<()> {
    ensure!(head.features() == columns, "the head takes rows of {} numbers, and {whose} {columns}", head.features());
    Ok(())
}
