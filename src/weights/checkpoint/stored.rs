//! One tensor as it lies in a file.

use std::borrow::Cow;
use std::fmt;

use hdf5_reader::Dataset;

use super::numbers::{by_strides, in_order};
use super::{Bytes, Container, FormatError, Number, damaged};

/// Axes that a tensor may have: kernels have four.
pub(super) const MOST_AXES: usize = 8;

/// Type, shape and place of a tensor. The place is known to be in the file.
#[derive(Clone)]
pub(crate) struct StoredTensor<'a> {
    number: Number,
    shape: Vec<usize>,
    /// Numbers from one index to the next, along each axis.
    strides: Vec<usize>,
    place: Place<'a>,
}

#[derive(Clone)]
enum Place<'a> {
    /// From the first number on.
    Bytes(Bytes<'a>),
    /// What only the reader of HDF5 can gather: it may be in compressed pieces.
    Dataset(Box<Dataset>),
}

impl<'a> StoredTensor<'a> {
    /// A tensor whose numbers fill `bytes`, the last index fastest. None where they do not.
    pub(super) fn in_order(number: Number, shape: Vec<usize>, bytes: Bytes<'a>) -> Option<Self> {
        let count = shape.iter().try_fold(1_usize, |count, &len| count.checked_mul(len))?;
        let fits = number.size().is_none_or(|size| count.checked_mul(size) == Some(bytes.len()));
        (fits && shape.len() <= MOST_AXES).then(|| {
            let strides = strides_in_order(&shape);
            Self { number, shape, strides, place: Place::Bytes(bytes) }
        })
    }

    /// A tensor whose number at an index lies at the sum of the index by `strides` in `bytes`. None where one would lie beyond.
    pub(super) fn by_strides(number: Number, shape: Vec<usize>, strides: Vec<usize>, bytes: Bytes<'a>) -> Option<Self> {
        if shape.len() != strides.len() || shape.len() > MOST_AXES {
            return None;
        }
        // That no step along the way overflows either.
        shape.iter().try_fold(1_usize, |count, &len| count.checked_mul(len))?;
        let last = shape.iter().zip(&strides).try_fold(0_usize, |place, (&len, &stride)| {
            place.checked_add(len.saturating_sub(1).checked_mul(stride)?)
        })?;
        let fits = |size: usize| shape.contains(&0) || last < bytes.len() / size;
        let fits = number.size().is_none_or(fits);
        fits.then_some(Self { number, shape, strides, place: Place::Bytes(bytes) })
    }

    /// A dataset of an HDF5 file, which is little-endian once it is read.
    pub(super) fn dataset(number: Number, shape: Vec<usize>, dataset: Dataset) -> Self {
        let strides = strides_in_order(&shape);
        Self { number, shape, strides, place: Place::Dataset(Box::new(dataset)) }
    }

    pub(crate) const fn number(&self) -> Number {
        self.number
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The same tensor with its axes in another order: `axes[i]` is where axis `i` was. None where it has not so many.
    pub(crate) fn permuted(&self, axes: &[usize]) -> Option<Self> {
        let of = |list: &[usize]| axes.iter().map(|&axis| list.get(axis).copied()).collect::<Option<Vec<_>>>();
        let (shape, strides) = (of(&self.shape)?, of(&self.strides)?);
        (axes.len() == self.shape.len()).then(|| Self { shape, strides, ..self.clone() })
    }

    /// All numbers as float32, the last index fastest. To be asked only for a shape that is wanted: so many are allocated.
    pub(crate) fn numbers(&self) -> Result<Vec<f32>, FormatError> {
        let bytes: Cow<'_, [u8]> = match &self.place {
            Place::Bytes(bytes) => Cow::Borrowed(bytes),
            Place::Dataset(dataset) => Cow::Owned(self.read(dataset)?),
        };
        let count: usize = self.shape.iter().product();
        let len = count * self.number.size().unwrap_or(0);
        Ok(if self.strides == strides_in_order(&self.shape) {
            in_order(self.number, &bytes[..len])
        } else {
            by_strides(self.number, &bytes, &self.shape, &self.strides)
        })
    }

    fn read(&self, dataset: &Dataset) -> Result<Vec<u8>, FormatError> {
        let count: usize = self.shape.iter().product();
        let mut bytes = vec![0; count * self.number.size().unwrap_or(0)];
        let read = dataset.read_native_bytes_into(&mut bytes);
        read.map_err(|error| damaged(Container::Hdf5, error.to_string()))?;
        // The reader gives numbers as the machine has them, and bfloat16, which HDF5 does not know, as it lies there.
        if cfg!(target_endian = "big")
            && self.number != Number::BF16
            && let Some(size) = self.number.size()
        {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        Ok(bytes)
    }
}

/// `F32 [64, 32, 3, 3]`.
impl fmt::Display for StoredTensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.number, self.shape)
    }
}

fn strides_in_order(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        // A shape is checked before it is stored; of one that is not, no number is read.
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}
