//! Numbers as they lie in files, little-endian, and as float32.

use std::fmt;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// A type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Number {
    F16,
    BF16,
    F32,
    F64,
    /// One that no tensor of the network has: its name.
    Other(&'static str),
}

impl Number {
    /// Bytes of one; none of types that are not read.
    pub(crate) const fn size(self) -> Option<usize> {
        match self {
            Self::F16 | Self::BF16 => Some(2),
            Self::F32 => Some(4),
            Self::F64 => Some(8),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
            Self::Other(name) => name,
        })
    }
}

/// All numbers of `bytes`, in their order.
pub(super) fn in_order(number: Number, bytes: &[u8]) -> Vec<f32> {
    match number {
        Number::F16 => halves(bytes, f16::from_le_bytes, HalfFloatSliceExt::convert_to_f32_slice),
        Number::BF16 => halves(bytes, bf16::from_le_bytes, HalfFloatSliceExt::convert_to_f32_slice),
        Number::F32 => bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect(),
        Number::F64 => bytes.as_chunks().0.iter().copied().map(|b| f64::from_le_bytes(b) as f32).collect(),
        Number::Other(_) => Vec::new(),
    }
}

/// The numbers of a tensor that lies in `bytes` by strides, in units of a number, in the order of its indices.
pub(super) fn by_strides(number: Number, bytes: &[u8], shape: &[usize], strides: &[usize]) -> Vec<f32> {
    match number {
        Number::F16 => gather(bytes.as_chunks().0, shape, strides, |b| f16::from_le_bytes(b).to_f32()),
        Number::BF16 => gather(bytes.as_chunks().0, shape, strides, |b| bf16::from_le_bytes(b).to_f32()),
        Number::F32 => gather(bytes.as_chunks().0, shape, strides, f32::from_le_bytes),
        Number::F64 => gather(bytes.as_chunks().0, shape, strides, |b| f64::from_le_bytes(b) as f32),
        Number::Other(_) => Vec::new(),
    }
}

/// Halves are converted a piece at a time: the bytes need not be aligned, and the processor converts many at once.
fn halves<T: Copy + Default>(bytes: &[u8], half: fn([u8; 2]) -> T, convert: fn(&[T], &mut [f32])) -> Vec<f32> {
    const PIECE: usize = 4096;
    let mut floats = vec![0.0; bytes.len() / 2];
    let mut halves = [T::default(); PIECE];
    for (bytes, floats) in bytes.chunks(2 * PIECE).zip(floats.chunks_mut(PIECE)) {
        let halves = &mut halves[..floats.len()];
        halves.iter_mut().zip(bytes.as_chunks().0).for_each(|(number, &b)| *number = half(b));
        convert(halves, floats);
    }
    floats
}

fn gather<const N: usize>(
    numbers: &[[u8; N]],
    shape: &[usize],
    strides: &[usize],
    to_f32: impl Fn([u8; N]) -> f32 + Copy,
) -> Vec<f32> {
    let mut gathered = Vec::with_capacity(shape.iter().product());
    walk(shape, strides, 0, &mut |place| gathered.push(to_f32(numbers[place])));
    gathered
}

/// The places of a tensor's numbers in the order of its indices, the last one fastest.
fn walk(shape: &[usize], strides: &[usize], from: usize, visit: &mut impl FnMut(usize)) {
    match (shape, strides) {
        (&[len, ref shape @ ..], &[stride, ref strides @ ..]) => {
            for index in 0..len {
                walk(shape, strides, from + index * stride, visit);
            }
        }
        _ => visit(from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_tensor_is_gathered_in_the_order_of_its_indices() {
        let bytes: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        assert_eq!(by_strides(Number::F32, &bytes, &[3, 2], &[1, 3]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(by_strides(Number::F32, &bytes, &[2, 3], &[3, 1]), in_order(Number::F32, &bytes));
        assert_eq!(by_strides(Number::F32, &bytes, &[2, 2], &[0, 0]), [0.0; 4]);
        assert_eq!(by_strides(Number::F32, &bytes, &[], &[]), [0.0]);
    }

    #[test]
    fn the_four_types_give_the_same_numbers() {
        // Exact in all of them.
        let numbers = [0.0, -1.5, 0.25, 96.0, -0.007_812_5_f32];
        let bytes = |of: &dyn Fn(f32) -> Vec<u8>| numbers.iter().flat_map(|&number| of(number)).collect::<Vec<u8>>();
        for (number, bytes) in [
            (Number::F16, bytes(&|n| f16::from_f32(n).to_le_bytes().to_vec())),
            (Number::BF16, bytes(&|n| bf16::from_f32(n).to_le_bytes().to_vec())),
            (Number::F32, bytes(&|n| n.to_le_bytes().to_vec())),
            (Number::F64, bytes(&|n| f64::from(n).to_le_bytes().to_vec())),
        ] {
            assert_eq!(in_order(number, &bytes), numbers, "{number}");
            assert_eq!(by_strides(number, &bytes, &[5], &[1]), numbers, "{number}");
        }
    }
}
