//! `headstock.model/1`: a whole classifier as one file, the network that was trained and the head on it.
//!
//! ```text
//! model.safetensors ─┬▶ Weights::from_file     its network, as any other weights file
//!                    └▶ ModelFile::read        its head, and where it came from
//! ```
//!
//! | | | |
//! |---|---|---|
//! | `<node>.conv.weight`, `<node>.bn.bias`, ... | F32 | all tensors of the network under torchvision's names ([`weights`](crate::weights)) |
//! | `head.weight`, `head.bias` | F32 [K, 2048], `[K]` | a linear head |
//! | `head.dense1.weight`, `head.dense1.bias`, `head.dense2.weight`, `head.dense2.bias` | F32 | a dense head |
//! | `held_out.labels`, `held_out.probabilities`, `held_out.map` | as in a head's file | rows to look at |
//! | metadata | strings | `format`, `variant`, `preprocess` (JSON), `version`, `start_weights`; `kind`, `classes`, `temperature`, `thresholds`, `fit`, `held_out` as in a head's file |
//!
//! The file is its own weights file. Rows that `extract --weights model.safetensors` makes say by the SHA-256 of the whole file what they
//! were made by, as rows of any weights do; and to the head in the file no other rows belong. So that sum cannot stand in the
//! file, and is taken when it is read. A model with one byte changed, be it in its metadata, is another model.

mod file;

pub use file::FORMAT;

use crate::head::Head;

/// A model's file, but for the numbers of its network, which [`Weights::from_file`](crate::weights::Weights::from_file) reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// The head. Once read, `provenance.weights` is the SHA-256 of the file: of the rows that this head takes.
    pub head: Head,
    /// The SHA-256 of the weights file that training began with.
    pub start_weights: String,
}
