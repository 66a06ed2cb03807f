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
    scored: Option<PathBuf>,
}

impl Folders {
    /// Where there are scores, `--images` is the folder of the scored images, and the others lie where `extract` was told.
    /// Neither is looked for in the other's folder: `oak/1.jpg` may be in both, and be another image.
    pub(super) fn new(args: &ReportArgs, head: &Head) -> Self {
        let extracted = head.held_out.as_ref().and_then(|held_out| held_out.images.clone()).map(PathBuf::from);
        if args.scores.is_some() {
            Self { held_out: extracted.into_iter().collect(), scored: args.images.clone() }
        } else {
            Self { held_out: args.images.iter().cloned().chain(extracted).collect(), scored: None }
        }
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
            Source::HeldOut => self.held_out.as_slice(),
            Source::Scored => self.scored.as_slice(),
        };
        let is_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        folders.iter().filter(move |_| is_inside).map(move |folder| folder.join(path))
    }
}
