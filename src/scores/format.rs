//! One format a file.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use super::{Score, csv, jsonl};
use crate::whole_file::{WriteError, write_whole};

/// The formats that scores are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated text, a line an image.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Csv, Self::Jsonl];

    /// The name in flags, which is the file's extension too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// The format that a file's extension names.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        path.extension()?.to_str()?.to_ascii_lowercase().parse().ok()
    }

    /// Writes `path`, whole or not at all. `classes` `[K]` name what the probabilities of each score are of; with `top` only
    /// so many of them are written, the most probable one first.
    ///
    /// # Errors
    /// Where the file cannot be written, or a score cannot be had.
    pub fn write(
        self,
        path: &Path,
        classes: &[String],
        top: Option<usize>,
        scores: impl IntoIterator<Item = io::Result<Score>>,
    ) -> Result<(), WriteError> {
        let top = top.map(|top| top.min(classes.len()));
        write_whole(path, |out| match self {
            Self::Csv => csv::write(classes, top, scores, out),
            Self::Jsonl => jsonl::write(classes, top, scores, out),
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no format's.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no format of scores: it is one of csv, jsonl")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}
