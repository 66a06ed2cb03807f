//! Numbers of the graph that are known before it runs: initialisers, and what little is computed from them.

use half::{bf16, f16};
use prost::bytes::Bytes;

use super::OnnxError;
use super::external::ExternalFiles;
use super::proto::{EXTERNAL, TensorProto, data_type};

/// The most numbers that a computation on constants may give: vectors of channels, never kernels.
const COMPUTED: usize = 1 << 14;

/// No tensor of such a network has more.
pub(super) const MOST_AXES: usize = 8;

/// Numbers in row-major order. Integers are exact up to 2^53, which shapes and axes never pass.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Numbers {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

/// The shape and the bytes of a tensor, held to each other: nothing is allocated for a shape that the bytes do not bear out.
pub(super) struct Stored<'a> {
    pub(super) shape: Vec<usize>,
    source: Source<'a>,
}

enum Source<'a> {
    Raw(i32, Bytes),
    Floats(&'a [f32]),
    Doubles(&'a [f64]),
    /// float16 and bfloat16 lie here as well, a number's bits each.
    Ints(i32, &'a [i32]),
    Longs(&'a [i64]),
}

impl<'a> Stored<'a> {
    /// Finds the numbers of a tensor, in the message or in the file beside it.
    pub(super) fn new(tensor: &'a TensorProto, beside: &mut ExternalFiles) -> Result<Self, OnnxError> {
        let wrong = |reason: String| OnnxError::Tensor { name: tensor.name.clone(), reason };
        if tensor.dims.len() > MOST_AXES {
            return Err(wrong(format!("it has {} axes", tensor.dims.len())));
        }
        let shape: Option<Vec<usize>> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let shape = shape.ok_or_else(|| wrong("its shape has a negative length".to_owned()))?;
        let count = shape.iter().try_fold(1_usize, |count, &dim| count.checked_mul(dim));
        let count = count.ok_or_else(|| wrong(format!("its shape {shape:?} holds more numbers than there can be")))?;
        let kind = tensor.data_type;
        let raw = if tensor.data_location == EXTERNAL { beside.bytes(tensor)? } else { tensor.raw_data.clone() };
        let source = match kind {
            _ if !raw.is_empty() => Source::Raw(kind, raw),
            data_type::FLOAT => Source::Floats(&tensor.float_data),
            data_type::DOUBLE => Source::Doubles(&tensor.double_data),
            data_type::INT64 => Source::Longs(&tensor.int64_data),
            data_type::INT32 | data_type::FLOAT16 | data_type::BFLOAT16 | data_type::UINT8 | data_type::BOOL => {
                Source::Ints(kind, &tensor.int32_data)
            }
            _ => Source::Raw(kind, raw),
        };
        let found = source.len().ok_or_else(|| wrong(format!("its numbers are of type {kind}, which is not read")))?;
        if found != count {
            return Err(wrong(format!("its shape {shape:?} promises {count} numbers, and there are {found}")));
        }
        Ok(Self { shape, source })
    }

    /// All numbers as float32.
    pub(super) fn floats(&self) -> Vec<f32> {
        match &self.source {
            Source::Raw(data_type::FLOAT, bytes) => {
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            Source::Floats(floats) => floats.to_vec(),
            _ => self.numbers().map(|number| number as f32).collect(),
        }
    }

    /// All numbers as a tensor of the type that candle-onnx's evaluator knows them by.
    #[cfg(feature = "onnx")]
    pub(super) fn tensor(&self) -> candle_core::Result<candle_core::Tensor> {
        use candle_core::{Device::Cpu, Tensor};
        let shape = &self.shape[..];
        let kind = match &self.source {
            Source::Raw(kind, _) | Source::Ints(kind, _) => *kind,
            Source::Floats(_) => data_type::FLOAT,
            Source::Doubles(_) => data_type::DOUBLE,
            Source::Longs(_) => data_type::INT64,
        };
        match kind {
            data_type::FLOAT => Tensor::from_vec(self.floats(), shape, &Cpu),
            data_type::DOUBLE => Tensor::from_vec(self.numbers().collect::<Vec<f64>>(), shape, &Cpu),
            data_type::FLOAT16 => Tensor::from_vec(self.numbers().map(f16::from_f64).collect::<Vec<_>>(), shape, &Cpu),
            data_type::BFLOAT16 => {
                Tensor::from_vec(self.numbers().map(bf16::from_f64).collect::<Vec<_>>(), shape, &Cpu)
            }
            data_type::UINT8 | data_type::BOOL => {
                Tensor::from_vec(self.numbers().map(|x| x as u8).collect::<Vec<_>>(), shape, &Cpu)
            }
            _ => Tensor::from_vec(self.numbers().map(|x| x as i64).collect::<Vec<_>>(), shape, &Cpu),
        }
    }

    /// The same as [`Numbers`], where they are not more than a computation may give.
    pub(super) fn small(&self) -> Option<Numbers> {
        let few = self.source.len().is_some_and(|len| len <= COMPUTED);
        few.then(|| Numbers { shape: self.shape.clone(), values: self.numbers().collect() })
    }

    fn numbers(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        match &self.source {
            Source::Raw(kind, bytes) => {
                let width = width(*kind).unwrap_or(1);
                Box::new(bytes.chunks_exact(width).map(|bytes| number(*kind, bytes)))
            }
            Source::Floats(floats) => Box::new(floats.iter().map(|&x| f64::from(x))),
            Source::Doubles(doubles) => Box::new(doubles.iter().copied()),
            Source::Ints(data_type::FLOAT16, ints) => {
                Box::new(ints.iter().map(|&bits| f16::from_bits(bits as u16).to_f64()))
            }
            Source::Ints(data_type::BFLOAT16, ints) => {
                Box::new(ints.iter().map(|&bits| bf16::from_bits(bits as u16).to_f64()))
            }
            Source::Ints(_, ints) => Box::new(ints.iter().map(|&x| f64::from(x))),
            Source::Longs(longs) => Box::new(longs.iter().map(|&x| x as f64)),
        }
    }
}

impl Source<'_> {
    /// Numbers in it; none where their type is not known, or bytes are left over.
    fn len(&self) -> Option<usize> {
        match self {
            Self::Raw(kind, bytes) => {
                let width = width(*kind)?;
                bytes.len().is_multiple_of(width).then_some(bytes.len() / width)
            }
            Self::Floats(floats) => Some(floats.len()),
            Self::Doubles(doubles) => Some(doubles.len()),
            Self::Ints(_, ints) => Some(ints.len()),
            Self::Longs(longs) => Some(longs.len()),
        }
    }
}

/// Bytes of a number of this type.
const fn width(kind: i32) -> Option<usize> {
    match kind {
        data_type::UINT8 | data_type::BOOL => Some(1),
        data_type::FLOAT16 | data_type::BFLOAT16 => Some(2),
        data_type::FLOAT | data_type::INT32 => Some(4),
        data_type::DOUBLE | data_type::INT64 => Some(8),
        _ => None,
    }
}

/// The number that these little-endian bytes of [`width`] are.
fn number(kind: i32, bytes: &[u8]) -> f64 {
    let bits = bytes.iter().rev().fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
    match kind {
        data_type::FLOAT => f64::from(f32::from_bits(bits as u32)),
        data_type::DOUBLE => f64::from_bits(bits),
        data_type::FLOAT16 => f16::from_bits(bits as u16).to_f64(),
        data_type::BFLOAT16 => bf16::from_bits(bits as u16).to_f64(),
        data_type::INT32 => f64::from(bits as u32 as i32),
        _ => bits as i64 as f64,
    }
}

impl Numbers {
    /// One number.
    pub(super) fn scalar(value: f64) -> Self {
        Self { shape: vec![], values: vec![value] }
    }

    /// Numbers in a row.
    pub(super) fn row(values: Vec<f64>) -> Self {
        Self { shape: vec![values.len()], values }
    }

    /// The number, where it is one, whatever its shape.
    pub(super) fn single(&self) -> Option<f64> {
        if let [value] = self.values[..] { Some(value) } else { None }
    }

    /// Each as an integer.
    pub(super) fn integers(&self) -> Vec<i64> {
        self.values.iter().map(|&x| x as i64).collect()
    }

    pub(super) fn map(&self, of: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), values: self.values.iter().map(|&x| of(x)).collect() }
    }

    /// Number by number, shapes stretched as in NumPy; none where they do not fit each other, or become too many.
    pub(super) fn zip(&self, other: &Self, of: impl Fn(f64, f64) -> f64) -> Option<Self> {
        let rank = self.shape.len().max(other.shape.len());
        let dim = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
        let mut shape = Vec::with_capacity(rank);
        for axis in 0..rank {
            shape.push(match (dim(&self.shape, axis), dim(&other.shape, axis)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            });
        }
        let count = shape.iter().try_fold(1_usize, |count, &dim| count.checked_mul(dim))?;
        if count > COMPUTED {
            return None;
        }
        let place = |of: &Self, mut index: usize| {
            let (mut place, mut step) = (0, 1);
            for axis in (0..rank).rev() {
                let along = index % shape[axis];
                index /= shape[axis];
                let dim = dim(&of.shape, axis);
                place += step * (along % dim);
                step *= dim;
            }
            place
        };
        let values = (0..count).map(|index| of(self.values[place(self, index)], other.values[place(other, index)]));
        Some(Self { values: values.collect(), shape })
    }
}

/// Row-major numbers with their axes in another order: axis `i` of the result is axis `order[i]`. None where `order` is no order of the
/// axes.
pub(super) fn transposed<T: Copy>(shape: &[usize], values: &[T], order: &[usize]) -> Option<(Vec<usize>, Vec<T>)> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if sorted != (0..shape.len()).collect::<Vec<_>>() {
        return None;
    }
    let mut steps = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        steps[axis - 1] = steps[axis] * shape[axis];
    }
    let turned: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let value = |mut index: usize| {
        let mut place = 0;
        for (&dim, &axis) in turned.iter().zip(order).rev() {
            place += steps[axis] * (index % dim);
            index /= dim;
        }
        values[place]
    };
    Some(((0..values.len()).map(value).collect(), turned)).map(|(values, shape)| (shape, values))
}
