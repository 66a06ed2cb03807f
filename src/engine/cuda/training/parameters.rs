//! What training changes, and what stays of the same layers, in float32 on the card.
//!
//! ```text
//! values     trained, as the flat vector has them │ frozen        kernels [out, height, width, in]
//! gradients  trained                              │
//! ```
//!
//! Kernels lie channels last, as cuDNN gives their gradients; whoever is handed the flat vectors sees torchvision's order.
#![expect(unsafe_code, reason = "copies by address")]

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use candle_core::cuda_backend::cudarc::driver::CudaStream;
use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;
use rayon::prelude::*;

use super::super::error::Result;
use super::super::memory::{self, Memory};
use crate::engine::trainable::Parameter;

/// A tensor of a layer: where its numbers are.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// Here in the flat vectors.
    Trained(Range<usize>),
    /// Here behind them.
    Frozen(Range<usize>),
}

impl Numbers {
    /// Whether training changes it.
    pub const fn is_trained(&self) -> bool {
        matches!(self, Self::Trained(_))
    }
}

/// Tensors, collected before they go to the card.
#[derive(Default)]
pub struct Collected {
    trained: Vec<f32>,
    frozen: Vec<f32>,
    names: Vec<Parameter>,
}

impl Collected {
    /// Takes a tensor in, in torchvision's order: among what is trained, or not.
    ///
    /// # Errors
    /// Those of candle.
    pub fn take(
        &mut self,
        is_trained: bool,
        name: impl FnOnce() -> String,
        tensor: &Tensor,
    ) -> candle_core::Result<Numbers> {
        let mut numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
        turn(&mut numbers, tensor.dims(), Order::Card);
        let all = if is_trained { &mut self.trained } else { &mut self.frozen };
        let range = all.len()..all.len() + numbers.len();
        all.extend(numbers);
        if !is_trained {
            return Ok(Numbers::Frozen(range));
        }
        self.names.push(Parameter { name: name(), shape: tensor.dims().to_vec(), range: range.clone() });
        Ok(Numbers::Trained(range))
    }
}

/// All of them, on the card.
pub struct Parameters {
    names: Vec<Parameter>,
    values: Memory,
    gradients: Memory,
    trained: usize,
}

impl Parameters {
    /// Takes them to the card; gradients are zero.
    ///
    /// # Errors
    /// Those of the driver: out of memory.
    pub fn new(stream: &Arc<CudaStream>, collected: &Collected) -> Result<Self> {
        let Collected { trained, frozen, names } = collected;
        let values = Memory::zeroed(stream, (trained.len() + frozen.len()) * size_of::<f32>())?;
        let gradients = Memory::zeroed(stream, trained.len() * size_of::<f32>())?;
        let parameters = Self { names: names.clone(), values, gradients, trained: trained.len() };
        // SAFETY: there is room for both, one behind the other; copies from memory that is not pinned are done with it on return.
        unsafe {
            memory::to_card(stream, trained, parameters.values.address())?;
            memory::to_card(stream, frozen, parameters.value(&Numbers::Frozen(0..frozen.len())))?;
        }
        stream.synchronize()?;
        Ok(parameters)
    }

    /// Name, shape and place of what is trained.
    pub fn names(&self) -> &[Parameter] {
        &self.names
    }

    /// How many numbers are trained.
    pub const fn len(&self) -> usize {
        self.trained
    }

    /// Where their values are,
    pub const fn values(&self) -> CUdeviceptr {
        self.values.address()
    }

    /// and their gradients.
    pub const fn gradients(&self) -> CUdeviceptr {
        self.gradients.address()
    }

    /// Where a tensor is.
    pub const fn value(&self, numbers: &Numbers) -> CUdeviceptr {
        let first = match numbers {
            Numbers::Trained(range) => range.start,
            Numbers::Frozen(range) => self.trained + range.start,
        };
        self.values.address() + (first * size_of::<f32>()) as CUdeviceptr
    }

    /// Where its gradient is, if it has one.
    pub const fn gradient(&self, numbers: &Numbers) -> Option<CUdeviceptr> {
        match numbers {
            Numbers::Trained(range) => Some(self.gradients.address() + (range.start * size_of::<f32>()) as CUdeviceptr),
            Numbers::Frozen(_) => None,
        }
    }

    /// Hands values and gradients to a rule that may change both, in torchvision's order.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn update(&mut self, stream: &CudaStream, rule: &mut dyn FnMut(&mut [f32], &mut [f32])) -> Result<()> {
        let mut values = self.to_host(stream, self.values.address())?;
        let mut gradients = self.to_host(stream, self.gradients.address())?;
        rule(&mut values, &mut gradients);
        self.to_card(stream, values, self.values.address())?;
        self.to_card(stream, gradients, self.gradients.address())
    }

    /// A vector as long as what is trained, in torchvision's order.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn to_host(&self, stream: &CudaStream, from: CUdeviceptr) -> Result<Vec<f32>> {
        let mut numbers = vec![0.0; self.trained];
        // SAFETY: as many numbers are there; nobody looks at the vector before the stream is past the copy.
        unsafe { memory::to_host(stream, from, &mut numbers)? };
        stream.synchronize()?;
        self.turn(&mut numbers, Order::Torchvision);
        Ok(numbers)
    }

    /// The way back.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn to_card(&self, stream: &CudaStream, mut numbers: Vec<f32>, to: CUdeviceptr) -> Result<()> {
        self.turn(&mut numbers, Order::Card);
        // SAFETY: there is room for as many; the vector stays until the stream is past the copy.
        unsafe { memory::to_card(stream, &numbers, to)? };
        Ok(stream.synchronize()?)
    }

    /// Brings all kernels of a flat vector into an order, from the other.
    fn turn(&self, numbers: &mut [f32], to: Order) {
        let mut tensors = Vec::new();
        let mut rest = numbers;
        for parameter in &self.names {
            let (tensor, behind) = rest.split_at_mut(parameter.range.len());
            tensors.push((tensor, parameter.shape.as_slice()));
            rest = behind;
        }
        tensors.into_par_iter().for_each(|(tensor, shape)| turn(tensor, shape, to));
    }
}

/// How a kernel lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// `[out, height, width, in]`.
    Card,
    /// `[out, in, height, width]`.
    Torchvision,
}

/// Brings a kernel of torchvision's shape into an order, from the other; other tensors have but one.
fn turn(numbers: &mut [f32], shape: &[usize], to: Order) {
    let &[_, channels, height, width] = shape else { return };
    let [rows, columns] = match to {
        Order::Card => [channels, height * width],
        Order::Torchvision => [height * width, channels],
    };
    if rows == 1 || columns == 1 {
        return;
    }
    for kernel in numbers.chunks_exact_mut(rows * columns) {
        let before = kernel.to_vec();
        for (column, to) in kernel.chunks_exact_mut(rows).enumerate() {
            to.iter_mut().enumerate().for_each(|(row, to)| *to = before[row * columns + column]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_turned_and_turned_back_and_vectors_stay() {
        let numbers: Vec<f32> = (0..24).map(|number| number as f32).collect();
        let mut turned = numbers.clone();
        turn(&mut turned, &[2, 3, 2, 2], Order::Card);
        assert_eq!(turned[..12], [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
        turn(&mut turned, &[2, 3, 2, 2], Order::Torchvision);
        assert_eq!(turned, numbers);
        turn(&mut turned, &[24], Order::Card);
        assert_eq!(turned, numbers);
    }
}
