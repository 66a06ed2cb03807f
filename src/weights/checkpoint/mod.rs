//! Checkpoints: named tensors as files of other programs keep them, told apart by content.
//!
//! ```text
//! file ─▶ Bytes: mapped ─▶ Container::of ─┬▶ safetensors ─────────────────────────────────┐
//!                                         ├▶ archive (zip) ─┬▶ torch ─▶ pickle ─▶ tensors ─┤
//!                                         │                 └▶ Keras' .keras ─┐            ├▶ Checkpoint: name ─▶ StoredTensor
//!                                         ├▶ torch, before 1.6 ─▶ pickle ─────┼─▶ tensors ─┤
//!                                         └▶ HDF5 ◀───────────────────────────┘────────────┘
//! ```
//!
//! Nothing is read here but what says where the tensors lie: a [`StoredTensor`] is a type, a shape, and a place in the file that
//! was found to be there. Its numbers are read when the network has asked for a tensor of that shape. So whatever a file promises,
//! what is allocated is a small multiple of its own length, or a tensor of the network.
//!
//! Files come from strangers. `tests/strangers_files` and `fuzz/` hold all of this to: no panic, bounded memory, no code.

mod archive;
mod bytes;
mod container;
mod hdf5;
mod keras;
mod numbers;
mod pickle;
mod safetensors;
mod stored;
mod torch;

pub(super) use bytes::Bytes;
pub use container::Container;
pub(super) use numbers::Number;
pub use pickle::PickleError;
pub(super) use stored::StoredTensor;

use std::collections::{BTreeMap, HashMap};

/// Why a file is none of the checkpoints that are read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Its first bytes are those of no kind of file that is read.
    #[error(
        "it is none of the files that are read: safetensors, PyTorch (.pth, .pt, .ckpt, TorchScript), Keras (.keras, .weights.h5, .h5), ONNX"
    )]
    Unknown,
    /// It begins like one, and is none, or not a whole one.
    #[error("not a whole {container}: {reason}")]
    Damaged {
        /// What it begins like.
        container: Container,
        /// What is wrong.
        reason: String,
    },
    /// Its pickle is not read.
    #[error(transparent)]
    Pickle(#[from] PickleError),
}

/// The tensors of a file, by the names that they have in it.
pub(super) struct Checkpoint<'a> {
    pub(super) container: Container,
    pub(super) tensors: BTreeMap<String, StoredTensor<'a>>,
    /// Texts about the whole file: only safetensors has such.
    pub(super) metadata: HashMap<String, String>,
}

impl<'a> Checkpoint<'a> {
    /// Looks through a file, whichever it is. An ONNX file has tensors too, but only its graph tells which is which: what knows graphs
    /// reads it ([`Container::Onnx`]).
    pub(super) fn of(bytes: &Bytes<'a>) -> Result<Self, FormatError> {
        match Container::of(bytes).ok_or(FormatError::Unknown)? {
            Container::Safetensors => safetensors::open(bytes),
            Container::Torch | Container::TorchScript | Container::Keras => archive::open(bytes),
            Container::TorchLegacy => torch::open_legacy(bytes),
            Container::Hdf5 => hdf5::open(bytes),
            Container::Onnx => Err(FormatError::Unknown),
        }
    }

    fn without_metadata(container: Container, tensors: BTreeMap<String, StoredTensor<'a>>) -> Self {
        Self { container, tensors, metadata: HashMap::new() }
    }
}

fn damaged(container: Container, reason: impl Into<String>) -> FormatError {
    FormatError::Damaged { container, reason: reason.into() }
}
