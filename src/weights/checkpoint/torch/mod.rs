//! PyTorch's checkpoints: a pickle says which tensors there are, and storages hold their numbers.
//!
//! ```text
//! zip archive ─┬▶ data.pkl ─▶ pickle ─▶ tensors: name, type, shape, strides, storage ─┐
//!              └▶ data/0, data/1, ... ────────────────────────────────────────────────┴▶ StoredTensor
//!
//! before 1.6:  three pickles ─▶ the pickle of the tensors ─▶ keys of the storages ─▶ storages, each after its length
//! ```

mod legacy;
mod tensors;

pub(super) use legacy::open as open_legacy;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::archive::Archive;
use super::pickle::{self, PickleError};
use super::{Bytes, Checkpoint, Container, FormatError, StoredTensor, damaged};
use tensors::{TensorRecord, is_allowed, is_allowed_in_script};

/// Looks through what `torch.save` or `torch.jit.save` wrote; `root` is the folder of `data.pkl`.
pub(super) fn open_archive<'a>(archive: &Archive<'a>, root: &str) -> Result<Checkpoint<'a>, FormatError> {
    let is_script = archive.has(&format!("{root}constants.pkl"));
    let container = if is_script { Container::TorchScript } else { Container::Torch };
    let member = |name: &str| archive.member(&format!("{root}{name}"));
    if member("byteorder")?.is_some_and(|order| &*order == b"big") {
        return Err(damaged(container, "its numbers are big-endian"));
    }
    let pickle = member("data.pkl")?.ok_or(PickleError::CutOff)?;
    let allowed = if is_script { is_allowed_in_script } else { is_allowed };
    let (values, tree, _) = pickle::read(&pickle, allowed)?;
    let mut tensors = BTreeMap::new();
    // Tensors may share a storage.
    let mut storages: HashMap<&str, Bytes<'a>> = HashMap::new();
    for (name, record) in tensors::collect(&values, tree) {
        let storage = match storages.entry(record.storage.key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let storage = member(&format!("data/{}", record.storage.key))?;
                new.insert(storage.ok_or_else(|| damaged(container, format!("`{name}` has no numbers")))?)
            }
        };
        let tensor = stored(&record, storage).ok_or_else(|| beyond(container, &name))?;
        tensors.insert(name, tensor);
    }
    Ok(Checkpoint::without_metadata(container, tensors))
}

/// The tensor that a record describes; none where it goes beyond the storage.
fn stored<'a>(record: &TensorRecord<'_>, storage: &Bytes<'a>) -> Option<StoredTensor<'a>> {
    let size = record.storage.size;
    let start = record.offset.checked_mul(size)?;
    let from_first = storage.part(start..storage.len())?;
    StoredTensor::by_strides(record.storage.number, record.shape.clone(), record.strides.clone(), from_first)
}

fn beyond(container: Container, name: &str) -> FormatError {
    damaged(container, format!("`{name}` goes beyond the numbers that are there"))
}
