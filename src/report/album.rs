//! The images of the page: each one once, small, as text that stands in the page.

use std::collections::{HashMap, HashSet};
use std::io;

use ::image::codecs::jpeg::JpegEncoder;
use ::image::{ImageResult, RgbImage};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;

use super::Source;
use crate::image::resize::{Kernel, resize};

/// The longer side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: u32 = 160;
/// JPEG quality of a thumbnail: about 5 kB each.
const THUMBNAIL_QUALITY: u8 = 75;
/// The longer side of an activation map, in pixels: there are few, and they are looked at closely.
const MAP_SIDE: u32 = 256;
/// JPEG quality of an activation map.
const MAP_QUALITY: u8 = 82;

/// A small image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Small {
    /// In pixels.
    pub(super) width: u32,
    /// In pixels.
    pub(super) height: u32,
    /// `data:image/jpeg;base64,...`.
    pub(super) uri: String,
}

/// Thumbnails, and where those of which image stand.
pub(super) struct Album {
    pub(super) thumbnails: Vec<Small>,
    places: HashMap<(Source, String), usize>,
    /// Images that were looked for and not found, or could not be read.
    pub(super) missing: usize,
    /// Images beyond the number wanted.
    pub(super) left_out: usize,
}

impl Album {
    /// The thumbnails of the first `most` images of `wanted`, of which one may be named several times.
    pub(super) fn new(
        wanted: Vec<(Source, &str)>,
        most: usize,
        image: &(dyn Fn(Source, &str) -> Option<RgbImage> + Sync),
    ) -> Self {
        let mut seen = HashSet::new();
        let wanted: Vec<(Source, &str)> = wanted.into_iter().filter(|key| seen.insert(*key)).collect();
        let mut album = Self { thumbnails: Vec::new(), places: HashMap::new(), missing: 0, left_out: 0 };
        // Images that are equal, as those that were held out and scored too, are kept once.
        let mut equals: HashMap<String, usize> = HashMap::new();
        let mut rest = wanted.as_slice();
        // What is missing makes room for others.
        while album.thumbnails.len() < most && !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(most - album.thumbnails.len()));
            rest = later;
            let small: Vec<Option<Small>> = now
                .par_iter()
                .map(|&(source, path)| Small::new(&image(source, path)?, THUMBNAIL_SIDE, THUMBNAIL_QUALITY))
                .collect();
            for (&(source, path), small) in now.iter().zip(small) {
                let Some(small) = small else {
                    album.missing += 1;
                    continue;
                };
                let place = *equals.entry(small.uri.clone()).or_insert_with(|| {
                    album.thumbnails.push(small);
                    album.thumbnails.len() - 1
                });
                album.places.insert((source, path.to_owned()), place);
            }
        }
        album.left_out = rest.len();
        album
    }

    /// Where the thumbnail of an image stands, if it does.
    pub(super) fn place(&self, source: Source, path: &str) -> Option<usize> {
        self.places.get(&(source, path.to_owned())).copied()
    }
}

impl Small {
    /// An activation map.
    pub(super) fn map(picture: &RgbImage) -> Option<Self> {
        Self::new(picture, MAP_SIDE, MAP_QUALITY)
    }

    /// The picture, made smaller where a side is longer; none where it has no pixels or more than a JPEG can have.
    fn new(picture: &RgbImage, side: u32, quality: u8) -> Option<Self> {
        let longer = picture.width().max(picture.height());
        if picture.is_empty() {
            return None;
        }
        let scaled = |length: u32| {
            let length = f64::from(length) * f64::from(side.min(longer)) / f64::from(longer);
            (length.round() as u32).max(1)
        };
        let (width, height) = (scaled(picture.width()), scaled(picture.height()));
        let small = resize(picture, width, height, Kernel::Bicubic);
        let jpeg = jpeg(&small, quality).ok()?;
        Some(Self { width, height, uri: format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(jpeg)) })
    }
}

fn jpeg(picture: &RgbImage, quality: u8) -> ImageResult<Vec<u8>> {
    let mut bytes = io::Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture)?;
    Ok(bytes.into_inner())
}
