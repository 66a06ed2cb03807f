//! What training changes, in flat vectors, and what stays.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

use super::super::super::trainable::Parameter;
use super::super::memory::Memory;

/// Flat vectors of what is trained, and which tensor is where in them.
///
/// Every step walks through both of them in several orders, so they lie on large pages.
pub struct Parameters {
    pub values: Memory,
    pub gradients: Memory,
    pub names: Vec<Parameter>,
    /// Running means and variances that follow the batches.
    pub statistics: Vec<f32>,
    pub statistics_names: Vec<Parameter>,
}

/// A tensor of a layer.
pub enum Numbers {
    /// Here in a flat vector.
    Trained(Range<usize>),
    Frozen(Vec<f32>),
}

impl Numbers {
    /// The numbers, given the vector that they may be in.
    pub fn of<'a>(&'a self, flat: &'a [f32]) -> &'a [f32] {
        match self {
            Self::Trained(range) => &flat[range.clone()],
            Self::Frozen(numbers) => numbers,
        }
    }

    /// Its gradient, where it has one.
    pub fn gradient<'a>(&self, gradients: &'a mut [f32]) -> Option<&'a mut [f32]> {
        match self {
            Self::Trained(range) => Some(&mut gradients[range.clone()]),
            Self::Frozen(_) => None,
        }
    }

    pub const fn is_trained(&self) -> bool {
        matches!(self, Self::Trained(_))
    }
}

impl Parameters {
    /// With room for so many numbers that are trained.
    pub fn new(trained: usize) -> Self {
        Self {
            values: Memory::zeroed(trained),
            gradients: Memory::zeroed(trained),
            names: Vec::new(),
            statistics: Vec::new(),
            statistics_names: Vec::new(),
        }
    }

    /// Takes a tensor in: among what is trained, or not.
    ///
    /// # Errors
    /// Where there was not room for it; those of candle.
    pub fn take(&mut self, is_trained: bool, name: impl FnOnce() -> String, tensor: &Tensor) -> Result<Numbers> {
        let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
        if !is_trained {
            return Ok(Numbers::Frozen(numbers));
        }
        let first = self.names.last().map_or(0, |parameter| parameter.range.end);
        let range = first..first + numbers.len();
        let Some(room) = self.values.get_mut(range.clone()) else { bail!("{} is not among what is trained", name()) };
        room.copy_from_slice(&numbers);
        self.names.push(Parameter { name: name(), shape: tensor.dims().to_vec(), range: range.clone() });
        Ok(Numbers::Trained(range))
    }

    /// Takes a running statistic in: among what follows the batches, or not.
    ///
    /// # Errors
    /// Those of candle.
    pub fn take_statistic(&mut self, follows: bool, name: impl FnOnce() -> String, tensor: &Tensor) -> Result<Numbers> {
        let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
        if !follows {
            return Ok(Numbers::Frozen(numbers));
        }
        let first = self.statistics.len();
        let range = first..first + numbers.len();
        self.statistics.extend_from_slice(&numbers);
        self.statistics_names.push(Parameter { name: name(), shape: tensor.dims().to_vec(), range: range.clone() });
        Ok(Numbers::Trained(range))
    }
}
