//! A 1x1 convolution is a matrix product: pixels that lie one after the other, times weights.

use super::super::kernels::{Kernels, MatrixProduct};
use super::super::map::Map;
use super::super::memory::Memory;
use super::{Numbers, in_panels, weights_in_panels};
use crate::inception::Convolution;

/// Numbers of the inputs of a block, at most: they are read once a panel, and are to stay in the second cache.
const BLOCK: usize = 64 << 10;
/// Products that are added up in a row. Shorter chains change nothing that can be measured in the features: nothing
/// multiplies these sums.
const CHAIN: usize = 512;

pub(super) struct Pointwise {
    /// [panels, in, panel].
    weights: Memory,
    bias: Memory,
    floor: f32,
    /// Pixels of a block.
    block: usize,
}

impl Pointwise {
    pub(super) fn new(shape: &Convolution, numbers: Numbers<'_>, kernels: &dyn Kernels) -> Self {
        let (panel, tile) = (kernels.panel(), kernels.tile());
        let weights = weights_in_panels(numbers.kernel, [shape.in_channels, 1, panel]);
        let block = (BLOCK / shape.in_channels / tile).clamp(4, 16) * tile;
        Self { weights, bias: in_panels(numbers.bias, panel), floor: numbers.floor, block }
    }

    pub(super) fn blocks(&self, output: &Map) -> usize {
        (output.images * output.pixels()).div_ceil(self.block)
    }

    /// # Safety
    /// As [`super::Convolution::run`].
    pub(super) unsafe fn run(
        &self,
        shape: &Convolution,
        kernels: &dyn Kernels,
        [input, output]: [&Map; 2],
        block: usize,
    ) {
        let first = block * self.block;
        let last = (first + self.block).min(output.images * output.pixels());
        let job = MatrixProduct {
            inputs: input.data.wrapping_add(first * input.stride),
            input_step: input.stride,
            rows: last - first,
            depth: shape.in_channels,
            chain: CHAIN,
            weights: &self.weights,
            bias: &self.bias,
            floor: self.floor,
            outputs: output.data.wrapping_add(first * output.stride),
            output_step: output.stride,
            panel_step: kernels.panel(),
            channels: shape.out_channels,
        };
        // SAFETY: the images' pixels lie one after the other, a stride apart, in both maps.
        unsafe { kernels.matrix_product(&job) }
    }
}
