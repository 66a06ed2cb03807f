//! A set that has been read: what the distances are told from, and what is to be said of it.

use ndarray::Array2;
use serde_json::Value;

use crate::cli::Recipe;
use crate::commands::console::Console;
use crate::counts::{count, thousands};
use crate::dataset::Rejected;
use crate::fid::{ENOUGH_ROWS, Origin, Statistics};

/// One side.
pub(super) struct Set {
    /// As the user named it.
    pub(super) name: String,
    pub(super) statistics: Statistics,
    /// How many images and by what their features were made, where that is known.
    pub(super) origin: Option<Origin>,
    /// [N, F], where they are kept.
    pub(super) features: Option<Array2<f32>>,
    pub(super) rejected: Vec<Rejected>,
}

impl Set {
    /// What makes the distance worth less than it looks.
    pub(super) fn warn(&self, console: Console) {
        let Some(Origin { rows, .. }) = &self.origin else {
            console.say(format_args!(
                "warning: {} does not say by what it was made, nor of how many images; its recipe is taken to be the other side's",
                self.name
            ));
            return;
        };
        let features = self.statistics.features().max(2);
        if *rows < features.min(ENOUGH_ROWS) {
            console.say(format_args!(
                "warning: {} has {}. Fewer than {} give a covariance of {} features no full rank, and FID comes out too large: \
                 compare it only with FIDs of as many images, or use --kid, which has no such bias",
                self.name,
                count(*rows, "image", "images"),
                thousands(features),
                thousands(features),
            ));
        }
        if self.recipe().is_some_and(|recipe| Recipe::ALL.iter().all(|known| known.name() != recipe)) {
            console.say(format_args!(
                "warning: the features of {} were made by the preprocessing of `{}`, which is no recipe of FID; the number compares \
                 with no published one",
                self.name,
                self.recipe().unwrap_or_default()
            ));
        }
    }

    /// The recipe by the name of its flag, or the preset where it is no recipe of FID.
    pub(super) fn recipe(&self) -> Option<String> {
        let preprocess: Value = serde_json::from_str(&self.origin.as_ref()?.provenance.preprocess).ok()?;
        let preset = preprocess.get("preset")?.as_str()?;
        let recipe = Recipe::ALL.iter().find(|recipe| recipe.preset().name() == preset);
        Some(recipe.map_or(preset, |recipe| recipe.name()).to_owned())
    }
}
