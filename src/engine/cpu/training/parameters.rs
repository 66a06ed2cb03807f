//! What training changes, in flat vectors, and what stays.

use std::ops::Range;

use candle_core::{Result, Tensor};

use super::super::super::trainable::Parameter;

/// Flat vectors of what is trained, and which tensor is where in them.
#[derive(Default)]
pub struct Parameters {
    pub values: Vec<f32>,
    pub gradients: Vec<f32>,
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
    /// Takes a tensor in: among what is trained, or not.
    ///
    /// # Errors
    /// Those of candle.
    pub fn take(&mut self, is_trained: bool, name: impl FnOnce() -> String, tensor: &Tensor) -> Result<Numbers> {
        let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
        if !is_trained {
            return Ok(Numbers::Frozen(numbers));
        }
        self.gradients.resize(self.gradients.len() + numbers.len(), 0.0);
        Ok(Numbers::Trained(append(&mut self.values, &mut self.names, name(), tensor.dims(), &numbers)))
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
        let names = &mut self.statistics_names;
        Ok(Numbers::Trained(append(&mut self.statistics, names, name(), tensor.dims(), &numbers)))
    }
}

fn append(
    flat: &mut Vec<f32>,
    names: &mut Vec<Parameter>,
    name: String,
    shape: &[usize],
    numbers: &[f32],
) -> Range<usize> {
    let range = flat.len()..flat.len() + numbers.len();
    flat.extend_from_slice(numbers);
    names.push(Parameter { name, shape: shape.to_vec(), range: range.clone() });
    range
}
