//! The folders that the images of a page lie in.

use std::fs;
use std::path::{Component, Path, PathBuf};

use ::image::RgbImage;

use crate::cli::ReportArgs;
use crate::head::Head;
use crate::image::{DecodeOptions, decode};
use crate::report::Source;

/// Where images are looked for.
pub(super) struct Folders {
    held_out: Vec<PathBuf>,
    scored: Vec<PathBuf>,
}

impl Folders {
    /// `--images` is the folder of the scored images where there are scores, and else that of the held-out ones; what is
    /// not there is looked for in the folder that `extract` was told.
    pub(super) fn new(args: &ReportArgs, head: &Head) -> Self {
        let extracted = head.held_out.as_ref().and_then(|held_out| held_out.images.clone()).map(PathBuf::from);
        let told_first: Vec<PathBuf> = args.images.iter().cloned().chain(extracted.clone()).collect();
        let told_last = extracted.into_iter().chain(args.images.iter().cloned()).collect();
        let held_out = if args.scores.is_some() { told_last } else { told_first.clone() };
        Self { held_out, scored: told_first }
    }

    /// Whether there is a file at a path.
    pub(super) fn has(&self, source: Source, path: &str) -> bool {
        self.places(source, path).any(|place| place.is_file())
    }

    /// The image at a path; none where there is none, or none that can be read.
    pub(super) fn image(&self, source: Source, path: &str, options: &DecodeOptions) -> Option<RgbImage> {
        let bytes = self.places(source, path).find_map(|place| fs::read(place).ok())?;
        decode(&bytes, options).ok()
    }

    /// Where an image may be; a path of a stranger leads nowhere else.
    fn places(&self, source: Source, path: &str) -> impl Iterator<Item = PathBuf> {
        let folders = match source {
            Source::HeldOut => &self.held_out,
            Source::Scored => &self.scored,
        };
        let is_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        folders.iter().filter(move |_| is_inside).map(move |folder| folder.join(path))
    }
}
