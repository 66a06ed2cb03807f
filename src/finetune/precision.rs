//! How numbers lie in the cache: as they are, or in half the room.
//!
//! A float16 has 11 bits of a number, 3 digits and a bit, and nothing beyond 65504. Activations are cut off at zero and seldom above
//! a hundred, so that what is lost is 2e-4 of each, at random; the gradients of a batch stray by more than that from those of the next.

use std::fmt;
use std::str::FromStr;

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Numbers that a thread takes at once.
const CHUNK: usize = 1 << 14;

/// The number type of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As the engine gives them.
    F32,
    /// Rounded to float16.
    F16,
}

/// A name that is no precision's.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no precision of the cache: it is f32 or f16")]
pub struct UnknownPrecision(String);

impl Precision {
    /// Bytes of a number.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// Little-endian bytes of numbers. None where one of them is too large for the type.
    #[must_use]
    pub fn encode(self, numbers: &[f32]) -> Option<Vec<u8>> {
        let mut bytes = vec![0; numbers.len() * self.bytes()];
        let parts = bytes.par_chunks_mut(CHUNK * self.bytes()).zip(numbers.par_chunks(CHUNK));
        let fits = parts.map(|(bytes, numbers)| match self {
            Self::F32 => {
                let bytes = bytes.as_chunks_mut().0;
                bytes.iter_mut().zip(numbers).for_each(|(bytes, number)| *bytes = number.to_le_bytes());
                true
            }
            Self::F16 => {
                let mut halves = vec![f16::ZERO; numbers.len()];
                halves.convert_from_f32_slice(numbers);
                let bytes = bytes.as_chunks_mut().0;
                bytes.iter_mut().zip(&halves).for_each(|(bytes, half)| *bytes = half.to_le_bytes());
                !halves.iter().zip(numbers).any(|(half, number)| half.is_infinite() && number.is_finite())
            }
        });
        fits.reduce(|| true, |a, b| a && b).then_some(bytes)
    }

    /// Numbers of little-endian bytes, as many as `numbers` has room for.
    pub fn decode(self, bytes: &[u8], numbers: &mut [f32]) {
        let parts = numbers.par_chunks_mut(CHUNK).zip(bytes.par_chunks(CHUNK * self.bytes()));
        parts.for_each(|(numbers, bytes)| match self {
            Self::F32 => {
                let bytes = bytes.as_chunks().0;
                numbers.iter_mut().zip(bytes).for_each(|(number, bytes)| *number = f32::from_le_bytes(*bytes));
            }
            Self::F16 => {
                let halves: Vec<f16> = bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes)).collect();
                halves.convert_to_f32_slice(&mut numbers[..halves.len()]);
            }
        });
    }
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            _ => Err(UnknownPrecision(name.to_owned())),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp, reason = "a test that panics has failed, as it should")]
mod tests {
    use super::*;

    #[test]
    fn float32_comes_back_to_the_bit_and_float16_within_half_a_unit_in_its_last_place() {
        let numbers: Vec<f32> = (0..40_001).map(|i| (i as f32 * 0.37).sin() * 1.01_f32.powi(i % 900 - 200)).collect();
        let there_and_back = |precision: Precision| {
            let bytes = precision.encode(&numbers).unwrap();
            assert_eq!(bytes.len(), numbers.len() * precision.bytes());
            let mut back = vec![0.0; numbers.len()];
            precision.decode(&bytes, &mut back);
            back
        };
        assert_eq!(there_and_back(Precision::F32), numbers);
        // Eleven bits; below 2^-14 steps of 2^-24.
        let near =
            |(back, number): (f32, &f32)| (back - number).abs() <= (number.abs() / 2048.0).max(2.0_f32.powi(-25));
        assert!(there_and_back(Precision::F16).into_iter().zip(&numbers).all(near));
    }

    #[test]
    fn a_number_too_large_for_float16_is_told_and_not_made_infinite() {
        assert_eq!(Precision::F16.encode(&[1.0, 65_519.0]).unwrap().len(), 4);
        assert!(Precision::F16.encode(&[1.0, 65_520.0]).is_none());
        assert!(Precision::F32.encode(&[1.0, 65_520.0]).is_some());
    }
}
