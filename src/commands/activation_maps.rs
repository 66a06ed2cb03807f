//! Where in an image a linear head saw a class: what `score --explain` and `report` share.

use ::image::RgbImage;
use anyhow::{Context, Result, bail};
use ndarray::ArrayView3;

use crate::explain::{contrast_map, overlay};
use crate::head::{Head, Linear, Model};
use crate::image::Preprocess;
use crate::inception::{Grid, Network, Variant};
use crate::pipeline::FeatureMaps;

/// The head as maps can be drawn of it.
pub(super) fn linear(head: &Head) -> Result<&Linear> {
    match &head.model {
        Model::Linear(linear) => Ok(linear),
        Model::Dense(_) => bail!(
            "that needs a linear head, and this one is dense: its hidden layer leaves no exact map of what it saw; fit one by \
             --head logistic"
        ),
    }
}

/// Draws maps of a linear head.
pub(super) struct ActivationMaps<'a> {
    linear: &'a Linear,
    preprocess: Preprocess,
    grid: Grid,
}

impl<'a> ActivationMaps<'a> {
    /// For a head on a network, with the part of the network that gives the features to draw.
    pub(super) fn new(head: &'a Head, variant: Variant, preprocess: Preprocess) -> Result<(Self, Network)> {
        let linear = linear(head)?;
        let (network, grid) = FeatureMaps::network(variant).context("a network without feature maps")?;
        Ok((Self { linear, preprocess, grid }, network))
    }

    /// The picture with what spoke for a class drawn over it, by the picture's features [C, H, W].
    pub(super) fn draw(&self, picture: &RgbImage, features: ArrayView3<'_, f32>, class: usize) -> RgbImage {
        let map = contrast_map(self.linear, class, features);
        overlay(picture, map.view(), &self.preprocess, self.grid)
    }
}
