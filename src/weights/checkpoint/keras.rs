//! Keras' `.keras`: an archive of a model's description, which is not looked at, and its weights.

use super::{Bytes, Checkpoint, Container, FormatError, hdf5};

/// The member that is an HDF5 file.
pub(super) const WEIGHTS: &str = "model.weights.h5";

pub(super) fn open<'a>(weights: &Bytes<'a>) -> Result<Checkpoint<'a>, FormatError> {
    Ok(Checkpoint { container: Container::Keras, ..hdf5::open(weights)? })
}
