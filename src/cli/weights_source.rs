//! What `--weights` takes: a name, a place on the Hub, or a file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::file;
use crate::hub::Location;
use crate::weights::Published;

/// Where weights come from. A name is a name even where a file is called so: `./torchvision` is the file.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightsSource {
    /// A published checkpoint.
    Published(&'static Published),
    /// A file on the Hub.
    Hub(Location),
    /// A file here.
    File(PathBuf),
}

impl WeightsSource {
    /// The file, where it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Published(_) | Self::Hub(_) => None,
        }
    }
}

impl FromStr for WeightsSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(published) = Published::named(text) {
            return Ok(Self::Published(published));
        }
        if Location::is_meant(text) {
            return text.parse().map(Self::Hub).map_err(|error: crate::hub::LocationError| error.to_string());
        }
        let of_name =
            |error| format!("{error}. Names that are known: {}; of the Hub: hf:OWNER/REPO", Published::names());
        file(text).map(Self::File).map_err(of_name)
    }
}

impl fmt::Display for WeightsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published(published) => published.fmt(f),
            Self::Hub(location) => location.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
