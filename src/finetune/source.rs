//! Where batches come from: out of the cache, or, where there is no room for one, out of the images through the trunk again.
//!
//! ```text
//! items (image, view) ─┬▶ Cached:     the record of each, read from the map ─────────────────┬▶ tensors [B, H, W, C], a group each
//!                      └▶ Recomputed: decoded ahead ─▶ normalised ─▶ trunk ─▶ records ────────┘
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::{Cache, Item, Record, Views};
use crate::dataset::Candidate;
use crate::engine::Engine;
use crate::pipeline::DecodeAhead;

/// Why a batch cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// An image could be read before and cannot now.
    #[error("{path} could be read before and cannot any more: {reason}")]
    Gone {
        /// The image.
        path: String,
        /// One line.
        reason: String,
    },
    /// The trunk or the device refuses.
    #[error("a batch could not be put together")]
    Candle(#[from] candle_core::Error),
}

/// Batches of what crosses the border: for each of the border's groups a tensor [B, H, W, C].
pub type Maps = Result<Vec<Tensor>, SourceError>;

/// Gives batches.
pub trait Source {
    /// What crosses the border for the items of each batch, in this order.
    fn batches<'a>(&'a self, batches: Vec<Vec<Item>>) -> Box<dyn Iterator<Item = Maps> + 'a>;
}

/// Out of the cache.
pub struct Cached {
    /// View 0 of each candidate.
    pub plain: Cache,
    /// The other views of those that are trained on, view after view.
    pub views: Option<CachedViews>,
    /// The candidates, for their names.
    pub candidates: Vec<Candidate>,
    /// How a record becomes tensors.
    pub record: Record,
    /// Where these are to be.
    pub device: Device,
}

/// Further views of some candidates.
pub struct CachedViews {
    cache: Cache,
    /// Of each of these candidates, its place among them.
    places: HashMap<usize, usize>,
}

impl CachedViews {
    /// The items of a cache of views 1 to `count` - 1 of these candidates, in its order.
    pub fn items(candidates: &[usize], count: usize) -> impl Iterator<Item = Item> + '_ {
        (1..count).flat_map(move |view| candidates.iter().map(move |&candidate| Item { candidate, view }))
    }

    /// A cache of [`Self::items`].
    #[must_use]
    pub fn new(cache: Cache, candidates: &[usize]) -> Self {
        let places = candidates.iter().enumerate().map(|(place, &candidate)| (candidate, place)).collect();
        Self { cache, places }
    }

    fn read(&self, item: Item, numbers: &mut [f32]) -> bool {
        let Some(place) = self.places.get(&item.candidate) else { return false };
        self.cache.read((item.view - 1) * self.places.len() + place, numbers)
    }
}

impl Cached {
    fn maps(&self, items: &[Item]) -> Maps {
        let len = self.record.len();
        let mut records = vec![0.0; items.len() * len];
        for (item, numbers) in items.iter().zip(records.chunks_exact_mut(len.max(1))) {
            let found = match (item.view, &self.views) {
                (0, _) => self.plain.read(item.candidate, numbers),
                (_, Some(views)) => views.read(*item, numbers),
                (_, None) => false,
            };
            if !found {
                let path = self.candidates[item.candidate].path.clone();
                return Err(SourceError::Gone { path, reason: "the cache has no record of it".to_owned() });
            }
        }
        Ok(self.record.tensors(records, &self.device)?)
    }
}

impl Source for Cached {
    fn batches<'a>(&'a self, batches: Vec<Vec<Item>>) -> Box<dyn Iterator<Item = Maps> + 'a> {
        Box::new(batches.into_iter().map(|items| self.maps(&items)))
    }
}

/// Through the trunk, each time.
pub struct Recomputed {
    /// How items become pixels.
    pub views: Arc<Views>,
    /// The images.
    pub candidates: Vec<Candidate>,
    /// The frozen part.
    pub trunk: Arc<dyn Engine>,
    /// How a record becomes tensors.
    pub record: Record,
}

impl Source for Recomputed {
    fn batches<'a>(&'a self, batches: Vec<Vec<Item>>) -> Box<dyn Iterator<Item = Maps> + 'a> {
        let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
        let ahead = 2 * sizes.iter().copied().max().unwrap_or(1).max(rayon::current_num_threads());
        let jobs = batches.into_iter().flatten().map(|item| {
            let (views, path) = (Arc::clone(&self.views), self.candidates[item.candidate].path.clone());
            (item.candidate, move || views.load(&path, item.view))
        });
        let mut decoded = DecodeAhead::new(jobs, ahead);
        Box::new(sizes.into_iter().map(move |size| {
            let mut images = Vec::with_capacity(size);
            for decoded in decoded.by_ref().take(size) {
                let path = || self.candidates[decoded.candidate].path.clone();
                images.push(decoded.pixels.map_err(|reason| SourceError::Gone { path: path(), reason })?);
            }
            let records = self.trunk.embed(&images, &self.views.loader.preprocess.normalise)?;
            Ok(self.record.tensors(records, self.trunk.device())?)
        }))
    }
}
