//! Activation maps for the page. The network is built when the first one is asked for, and a page without mistakes asks
//! for none.

use std::cell::OnceCell;
use std::sync::Arc;

use ::image::RgbImage;
use anyhow::Result;
use candle_core::Device;

use super::folders::Folders;
use crate::cli::BackboneArgs;
use crate::commands::activation_maps::{self, ActivationMaps};
use crate::commands::backbone::{self, OfHead};
use crate::commands::console::Console;
use crate::engine::{Engine, EngineChoice, Precision};
use crate::head::Head;
use crate::image::{DecodeOptions, Preprocess};
use crate::pipeline::{Decoded, Embed, FeatureMaps};
use crate::report::{Source, Spoke};

/// What draws maps, if it can.
pub(super) struct Maps<'a> {
    head: &'a Head,
    backbone: &'a BackboneArgs,
    folders: &'a Folders,
    console: Console,
    /// None where it cannot, which has been said.
    network: OnceCell<Option<Network<'a>>>,
}

/// The network up to the features that maps are drawn of.
struct Network<'a> {
    maps: ActivationMaps<'a>,
    engine: Arc<dyn Engine>,
    preprocess: Preprocess,
    options: DecodeOptions,
}

impl<'a> Maps<'a> {
    pub(super) const fn new(
        head: &'a Head,
        backbone: &'a BackboneArgs,
        folders: &'a Folders,
        console: Console,
    ) -> Self {
        Self { head, backbone, folders, console, network: OnceCell::new() }
    }

    /// The maps that are asked for, in their order. A page is a page without them: where they cannot be drawn, the user is
    /// told why, once.
    pub(super) fn draw(&self, source: Source, asked: &[Spoke<'_>]) -> Vec<Option<RgbImage>> {
        let is_there = |spoke: &Spoke<'_>| self.folders.has(source, spoke.path);
        if !asked.iter().any(is_there) {
            return Vec::new();
        }
        let network = self.network.get_or_init(|| self.told(Network::new(self.head, self.backbone)));
        let drawn = network.as_ref().and_then(|network| self.told(network.draw(self.folders, source, asked)));
        drawn.unwrap_or_default()
    }

    fn told<T>(&self, result: Result<T>) -> Option<T> {
        result.inspect_err(|reason| self.console.say(format_args!("no activation maps on the page: {reason:#}"))).ok()
    }
}

impl<'a> Network<'a> {
    fn new(head: &'a Head, args: &BackboneArgs) -> Result<Self> {
        activation_maps::linear(head)?;
        let OfHead { backbone: weights, preprocess, background } = backbone::inception_of_head(head, args)?;
        let (maps, nodes) = ActivationMaps::new(head, weights.variant(), preprocess)?;
        let engine = EngineChoice::Auto.open(nodes, &weights, &[Device::Cpu], Precision::Auto)?;
        Ok(Self { maps, engine, preprocess, options: DecodeOptions { background, ..DecodeOptions::default() } })
    }

    /// All go through the network at once. An image is read once more when its map is drawn: large ones would fill memory.
    fn draw(&self, folders: &Folders, source: Source, asked: &[Spoke<'_>]) -> Result<Vec<Option<RgbImage>>> {
        let image = |spoke: &Spoke<'_>| folders.image(source, spoke.path, &self.options);
        let decoded = asked.iter().enumerate().map(|(candidate, spoke)| Decoded {
            candidate,
            pixels: image(spoke).map(|picture| self.preprocess.apply(&picture)).ok_or_else(String::new),
        });
        let batch = Embed::new(decoded, Arc::clone(&self.engine), self.preprocess.normalise, asked.len()).next();
        let mut batch = batch.transpose()?.unwrap_or_default();
        let features = FeatureMaps::take(&mut batch)?;
        let mut drawn = vec![None; asked.len()];
        for (position, features) in batch.accepted(0).zip(features.images()) {
            let spoke = &asked[position];
            drawn[position] = image(spoke).map(|picture| self.maps.draw(&picture, features, spoke.class));
        }
        Ok(drawn)
    }
}
