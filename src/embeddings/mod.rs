//! The file between the halves of the program: rows of features, what they were made from and by what.
//!
//! ```text
//! rows (raw float32) + Table ─▶ Format ─┬▶ safetensors   the promise, `headstock.embeddings/1`
//!                                       ├▶ npy           with the paths beside it
//!                                       └▶ csv
//!
//! embeddings.safetensors ─▶ EmbeddingsFile
//! ```
//!
//! Writers read rows as a stream, so that memory does not grow with their number.

mod csv;
mod format;
mod near_duplicates;
mod npy;
mod principal_axes;
mod read;
mod safetensors;

pub use format::{Format, UnknownFormat};
pub use near_duplicates::{NEAR, NearDuplicate, near_duplicates};
pub use principal_axes::PrincipalAxes;
pub use read::EmbeddingsFile;
pub use safetensors::header_len_at_most;

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::dataset::Candidate;

/// The name of the format and its version, as it stands in the metadata.
pub const FORMAT: &str = "headstock.embeddings/1";

/// The label of a row whose image lies beside the class folders, in none of them.
pub const NO_CLASS: i64 = -1;

/// By what rows were made. Rows are comparable only where all of it is equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// SHA-256 of the backbone's weights file.
    pub weights: String,
    /// The network's variant.
    pub variant: String,
    /// The preprocessing, JSON.
    pub preprocess: String,
    /// The program's version.
    pub version: String,
}

/// All of an embeddings file but the rows themselves.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    /// By what the rows were made.
    pub provenance: &'a Provenance,
    /// Class names; empty for a flat folder.
    pub classes: &'a [String],
    /// The folder that the images' paths are relative to, as the user named it: where `report` finds them again.
    pub root: &'a str,
    /// The image of each row.
    pub images: Vec<&'a Candidate>,
    /// Numbers in a row.
    pub columns: usize,
}

impl Table<'_> {
    /// The label of each row, where there are classes.
    fn labels(&self) -> Option<impl Iterator<Item = i64>> {
        let label = |image: &&Candidate| image.class.map_or(NO_CLASS, i64::from);
        (!self.classes.is_empty()).then(|| self.images.iter().map(label))
    }

    /// Copies the raw rows, exactly as many as there are images.
    fn copy_rows(&self, rows: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
        let expected = (self.images.len() * self.columns * size_of::<f32>()) as u64;
        let copied = io::copy(&mut rows.take(expected), out)?;
        if copied == expected { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
