//! One format a file.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use super::{Table, csv, npy, safetensors};
use crate::whole_file::{WriteError, with_suffix, write_whole};

/// The formats that embeddings are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `headstock.embeddings/1`, which the other verbs read.
    Safetensors,
    /// NumPy's array, for other tools; the paths and labels of its rows stand in `<out>.rows.csv`.
    Npy,
    /// Text, for other tools: `path,class,e0,...`.
    Csv,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Safetensors, Self::Npy, Self::Csv];

    /// The name in flags, which is the file's extension too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Npy => "npy",
            Self::Csv => "csv",
        }
    }

    /// The format that a file's extension names.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        path.extension()?.to_str()?.to_ascii_lowercase().parse().ok()
    }

    /// Writes `path`, whole or not at all, from raw rows: little-endian float32, `table.columns` of them for each image.
    ///
    /// # Errors
    /// Where the file cannot be written or the rows end early.
    pub fn write(self, path: &Path, table: &Table<'_>, rows: &mut impl Read) -> Result<(), WriteError> {
        match self {
            Self::Safetensors => write_whole(path, |out| safetensors::write(table, rows, out)),
            Self::Npy => {
                write_whole(&with_suffix(path, ".rows.csv"), |out| csv::write_index(table, out))?;
                write_whole(path, |out| npy::write(table, rows, out))
            }
            Self::Csv => write_whole(path, |out| csv::write(table, rows, out)),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no format's.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no format of embeddings: it is one of safetensors, npy, csv")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}
