//! One page that shows a head: how good it is, where it errs, what it called other images.
//!
//! ```text
//! Head ───▶ Known: rows whose class is known ─┬───────────────▶ Evaluation ─┐
//! Scores ─▶ Known: those in folders of classes ┤                             ├─▶ Page ─▶ templates ─▶ HTML
//!       └─▶ all rows ──────────────────────────┼───────────────▶ Scored ─────┤
//! Pictures ──▶ Album: each image once, small ──┴─▶ Shown, by place ──────────┘
//! ```
//!
//! The page is one file. It asks nothing of a network, holds no script, and opens from a disk: charts are SVG that
//! `chart` draws, each thumbnail stands once as a `<symbol>` and is used wherever it is shown, the images of a cell of
//! the confusion matrix are a `popover`, what is picked in a `<select>` is brought forward by a rule of style. Where a
//! browser is too old for one of these, the content is still there, unfolded.
//!
//! What a page says comes from files of strangers: names of classes, paths, JSON. Everything is escaped, by minijinja in
//! the templates and by `chart::text` in the charts, and a content security policy in the page forbids all scripts and
//! requests in case.
//!
//! The same head, scores and pictures give the same bytes: no dates, no hash order, and threads only fill in places
//! that were laid out before.

mod album;
mod chart;
mod confusion;
mod curves;
mod evaluation;
mod facts;
mod known;
mod map;
mod numbers;
mod page;
mod scored;

pub use curves::{curves, write_curves};

use ::image::RgbImage;

use crate::head::Head;
use crate::scores::Scores;
use album::Album;
use known::Known;
use page::Page;

/// The colours, light and dark, of the page and of pictures that stand alone.
const PALETTE: &str = include_str!("palette.css");

/// Which folder an image lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// That of the rows that the head did not learn from.
    HeldOut,
    /// That of the images that were scored.
    Scored,
}

/// Where pictures come from; none where there is none, and then the page does without.
#[derive(Clone, Copy)]
pub struct Pictures<'a> {
    /// The image at a path, as a person would see it. It is asked from many threads.
    pub image: &'a (dyn Fn(Source, &str) -> Option<RgbImage> + Sync),
    /// Images at their paths, each with what spoke for a class drawn over it, in the order asked for. It is asked at most
    /// twice, each time for a few images at once, as they have to go through the network.
    pub maps: &'a Maps<'a>,
}

/// What gives the maps of [`Pictures`].
pub type Maps<'a> = dyn Fn(Source, &[Spoke<'_>]) -> Vec<Option<RgbImage>> + 'a;

/// An image, and the class for which it is to be told what in it spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoke<'a> {
    /// Where the image is.
    pub path: &'a str,
    /// The class, by position.
    pub class: usize,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The scores are not this head's.
    #[error("the scores are of the classes {scores}, the head knows {head}: give the head that they were made with")]
    OtherClasses {
        /// As the scores name them.
        scores: String,
        /// As the head does.
        head: String,
    },
    /// A fault of ours.
    #[error("the page cannot be put together")]
    Template(#[from] minijinja::Error),
}

/// A page, and what is to be told of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The page.
    pub html: String,
    /// Images on it.
    pub images: usize,
    /// Images that were looked for and not found, or could not be read.
    pub missing: usize,
    /// Images that are not on it because there would be more than wanted.
    pub left_out: usize,
}

impl Report {
    /// Puts the page together, with `max_images` images at most.
    ///
    /// # Errors
    /// Where the scores are of other classes than the head's.
    pub fn new(
        head: &Head,
        scores: Option<&Scores>,
        pictures: &Pictures<'_>,
        max_images: usize,
    ) -> Result<Self, ReportError> {
        let scores = scores.map(|scores| scored::aligned(scores, &head.classes)).transpose()?;
        let scores = scores.as_ref();
        let held_out = head.held_out.as_ref().map(Known::held_out);
        let known_scores = scores.and_then(|scores| Known::scored(scores, &head.classes));

        let mut wanted = Vec::new();
        wanted.extend(held_out.iter().flat_map(Known::mistakes_in_order));
        wanted.extend(known_scores.iter().flat_map(Known::mistakes_in_order));
        wanted.extend(scores.into_iter().flat_map(scored::wanted));
        wanted.extend(held_out.iter().flat_map(Known::right_in_turn));
        wanted.extend(known_scores.iter().flat_map(Known::right_in_turn));
        let album = Album::new(wanted, max_images, pictures.image);

        let page = Page::new(head, scores, held_out.as_ref(), known_scores.as_ref(), &album, pictures.maps);
        let html = page.html()?;
        Ok(Self { html, images: album.thumbnails.len(), missing: album.missing, left_out: album.left_out })
    }
}
