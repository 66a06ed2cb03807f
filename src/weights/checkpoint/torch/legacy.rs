//! What `torch.save` wrote before version 1.6, and still does when it is told to.

use std::collections::{BTreeMap, HashMap};

use super::tensors::{self, is_allowed, storage};
use super::{beyond, stored};
use crate::weights::checkpoint::pickle::{self, Id, PickleError, Value, Values};
use crate::weights::checkpoint::{Bytes, Checkpoint, Container, FormatError, damaged};

const CONTAINER: Container = Container::TorchLegacy;

/// Looks through a file of pickles: a number, a version, what machine it was, the tensors, the keys of their storages; then the
/// storages, each after the count of its numbers.
pub(in super::super) fn open<'a>(bytes: &Bytes<'a>) -> Result<Checkpoint<'a>, FormatError> {
    let mut rest: &[u8] = bytes;
    for _ in 0..3 {
        (_, _, rest) = pickle::read(rest, is_allowed)?;
    }
    let (values, tree, rest) = pickle::read(rest, is_allowed)?;
    let (keys, list, rest) = pickle::read(rest, is_allowed)?;
    let begin = bytes.len() - rest.len();
    let storages = storages(bytes, begin, &values, keys_of(&keys, list)?)?;

    let mut tensors = BTreeMap::new();
    for (name, record) in tensors::collect(&values, tree) {
        let storage = storages.get(record.storage.key);
        let tensor = storage.and_then(|storage| stored(&record, storage)).ok_or_else(|| beyond(CONTAINER, &name))?;
        tensors.insert(name, tensor);
    }
    Ok(Checkpoint::without_metadata(CONTAINER, tensors))
}

fn keys_of<'p>(values: &Values<'p>, list: Id) -> Result<Vec<&'p str>, PickleError> {
    let wrong = PickleError::Damaged("the storages are not listed by their keys");
    match values.get(list) {
        Value::List(keys) => keys.iter().map(|&key| values.text(key)).collect::<Option<_>>().ok_or(wrong),
        _ => Err(wrong),
    }
}

/// Where each storage lies, in the order in which they were written.
fn storages<'a, 'p>(
    bytes: &Bytes<'a>,
    begin: usize,
    values: &Values<'p>,
    keys: Vec<&'p str>,
) -> Result<HashMap<&'p str, Bytes<'a>>, FormatError> {
    let cut_off = || damaged(CONTAINER, "it is cut off");
    // How wide the numbers of a storage are, only its tensors say.
    let named = (0..values.len() as Id).filter_map(|id| storage(values, id));
    let sizes: HashMap<&str, usize> = named.map(|(storage, _)| (storage.key, storage.size)).collect();
    let mut begin = begin;
    let mut storages = HashMap::new();
    for key in keys {
        let size = *sizes.get(key).ok_or_else(|| damaged(CONTAINER, "a storage has no tensor"))?;
        let len = bytes.get(begin..).and_then(|rest| rest.first_chunk()).ok_or_else(cut_off)?;
        let len = usize::try_from(u64::from_le_bytes(*len)).ok().and_then(|count| count.checked_mul(size));
        let start = begin + 8;
        let end = len.and_then(|len| start.checked_add(len)).ok_or_else(cut_off)?;
        storages.insert(key, bytes.part(start..end).ok_or_else(cut_off)?);
        begin = end;
    }
    Ok(storages)
}
