//! `--explain`: a picture for each image of where the head saw its class.

use std::collections::HashMap;
use std::fs;
use std::io;

use ::image::codecs::jpeg::JpegEncoder;
use anyhow::{Context, Result};
use ndarray::{ArrayView1, ArrayView3};
use rayon::iter::{ParallelBridge, ParallelIterator};

use super::judge;
use crate::commands::activation_maps::ActivationMaps;
use crate::commands::console::Console;
use crate::commands::out_folder::OutFolder;
use crate::dataset::Dataset;
use crate::head::{Head, most_probable};
use crate::pipeline::{Batch, FeatureMaps, Loader};
use crate::whole_file::write_whole;

/// Of 100: no artefacts that could be taken for the map's.
const JPEG_QUALITY: u8 = 90;

/// Draws maps.
pub(super) struct Explainer<'a> {
    maps: ActivationMaps<'a>,
    loader: Loader,
    dataset: &'a Dataset,
    folder: &'a OutFolder,
    console: Console,
}

impl<'a> Explainer<'a> {
    /// Draws into `folder`.
    pub(super) const fn new(
        maps: ActivationMaps<'a>,
        loader: Loader,
        dataset: &'a Dataset,
        folder: &'a OutFolder,
        console: Console,
    ) -> Self {
        Self { maps, loader, dataset, folder, console }
    }

    /// As [`judge::judge`], on rows that are feature maps; draws the map of each image's most probable class. The pictures of
    /// a batch stand before its results do: what a killed run has in its journal need not be drawn again.
    pub(super) fn judge(&self, head: &Head, mut batch: Batch, first: usize) -> Result<Batch> {
        let maps = FeatureMaps::take(&mut batch)?;
        let read: Vec<usize> = batch.accepted(first).collect();
        let judged = judge::judge(head, batch, first)?;
        let classes: HashMap<usize, usize> = judged
            .accepted(first)
            .zip(judged.rows.chunks(head.classes.len()))
            .filter_map(|(candidate, row)| Some((candidate, most_probable(ArrayView1::from(row))?)))
            .collect();
        read.into_iter().zip(maps.images()).par_bridge().try_for_each(|(candidate, features)| {
            classes.get(&candidate).map_or(Ok(()), |&class| self.draw(candidate, features, class))
        })?;
        Ok(judged)
    }

    fn draw(&self, candidate: usize, features: ArrayView3<'_, f32>, class: usize) -> Result<()> {
        let path = &self.dataset.candidates[candidate].path;
        let picture = match self.loader.picture(path) {
            Ok(picture) => picture,
            Err(reason) => {
                self.console.say(format_args!("{path}: no map, as it can no longer be read: {reason}"));
                return Ok(());
            }
        };
        let overlay = self.maps.draw(&picture, features, class);
        let place = self.folder.file(&format!("{path}.map.jpg"))?;
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        write_whole(&place, |out| {
            JpegEncoder::new_with_quality(out, JPEG_QUALITY).encode_image(&overlay).map_err(io::Error::other)
        })?;
        Ok(())
    }
}
