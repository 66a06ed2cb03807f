//! HDF5: groups in groups, and datasets in them, by hdf5-reader, which is made for files that lie.

use std::collections::{BTreeMap, HashSet};

use hdf5_reader::{Dataset, Datatype, Hdf5File, OpenOptions};

use super::stored::MOST_AXES;
use super::{Bytes, Checkpoint, Container, FormatError, Number, StoredTensor, damaged};

/// Groups in groups: Keras makes some five.
const DEEPEST: usize = 16;

/// Groups and datasets: Keras' file of this network with its optimiser's state has some 2,500.
const MOST: usize = 20_000;

/// The longest path of a dataset, in bytes.
const LONGEST_PATH: usize = 256;

/// The largest piece of a dataset that is compressed in pieces: the classifier in float64 has 17 MB.
const LARGEST_CHUNK: usize = 32 << 20;

/// All of a group's or dataset's description: Keras keeps a whole model's there.
const LARGEST_HEADER: usize = 4 << 20;

/// Looks through the groups of an HDF5 file.
pub(super) fn open<'a>(bytes: &Bytes<'a>) -> Result<Checkpoint<'a>, FormatError> {
    let options = OpenOptions::default()
        .with_chunk_cache_bytes(0)
        .with_chunk_cache_slots(1)
        .with_max_chunk_bytes(LARGEST_CHUNK)
        .with_max_object_header_bytes(LARGEST_HEADER.min(bytes.len()));
    let file = Hdf5File::from_owner(bytes.to_static(), options).map_err(wrong)?;
    let mut tensors = BTreeMap::new();
    let mut met = 0;
    // Addresses of groups: a group may be a member of itself.
    let mut entered = HashSet::new();
    let mut ahead = vec![(file.root_group().map_err(wrong)?, String::new(), 0)];
    while let Some((group, path, depth)) = ahead.pop() {
        if depth > DEEPEST || !entered.insert(group.address()) {
            continue;
        }
        let (groups, datasets) = group.members().map_err(wrong)?;
        met += groups.len() + datasets.len();
        if met > MOST {
            return Err(damaged(Container::Hdf5, "it has more groups and datasets than a network's"));
        }
        let within = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let is_short = |name: &String| name.len() <= LONGEST_PATH;
        let named = datasets.into_iter().map(|dataset| (within(dataset.name()), dataset));
        let named = named.filter(|(name, _)| is_short(name));
        tensors.extend(named.filter_map(|(name, dataset)| Some((name, tensor(dataset)?))));
        let named = groups.into_iter().map(|group| (within(group.name()), group));
        ahead.extend(named.filter(|(name, _)| is_short(name)).map(|(name, group)| (group, name, depth + 1)));
    }
    Ok(Checkpoint::without_metadata(Container::Hdf5, tensors))
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn wrong(error: hdf5_reader::error::Error) -> FormatError {
    damaged(Container::Hdf5, error.to_string())
}

/// A dataset as a tensor; none where it has too many axes to be one.
fn tensor<'a>(dataset: Dataset) -> Option<StoredTensor<'a>> {
    let shape: Vec<usize> = dataset.shape().iter().map(|&len| usize::try_from(len).ok()).collect::<Option<_>>()?;
    shape.iter().try_fold(8_usize, |count, &len| count.checked_mul(len))?;
    let number = match dataset.dtype() {
        Datatype::FloatingPoint { size: 2, .. } => Number::F16,
        Datatype::FloatingPoint { size: 4, .. } => Number::F32,
        Datatype::FloatingPoint { size: 8, .. } => Number::F64,
        // HDF5 has no bfloat16: Keras writes its two bytes, and says so beside them.
        Datatype::Opaque { size: 2, .. } if says_bfloat16(&dataset) => Number::BF16,
        Datatype::FixedPoint { .. } => Number::Other("an integer"),
        Datatype::String { .. } => Number::Other("text"),
        _ => Number::Other("of a type that is not read"),
    };
    (shape.len() <= MOST_AXES).then(|| StoredTensor::dataset(number, shape, dataset))
}

fn says_bfloat16(dataset: &Dataset) -> bool {
    dataset.attribute("dtype").and_then(|attribute| attribute.read_string()).is_ok_and(|name| name == "bfloat16")
}
