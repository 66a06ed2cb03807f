//! A convolution as a sum over taps and channels: what a pixel sees is gathered into a row, and rows times weights is a matrix
//! product (im2col, a block of pixels at a time, so that the rows stay in the second cache).

use super::super::kernels::{Kernels, MatrixProduct};
use super::super::map::Map;
use super::super::memory::Memory;
use super::super::scratch::Scratch;
use super::{Numbers, in_panels, weights_in_panels};
use crate::inception::Convolution;

/// Numbers of the rows of a block, at most: they are read once a panel, and are to stay in the second cache.
const BLOCK: usize = 80 << 10;
/// Products that are added up in a row. Shorter chains change nothing that can be measured in the features: nothing
/// multiplies these sums.
const CHAIN: usize = 512;

pub(super) struct Direct {
    /// [panels, taps, in, panel].
    weights: Memory,
    bias: Memory,
    floor: f32,
    /// Pixels of a block.
    block: usize,
    /// Numbers that a pixel sees.
    depth: usize,
}

impl Direct {
    pub(super) fn new(shape: &Convolution, numbers: Numbers<'_>, kernels: &dyn Kernels) -> Self {
        let (panel, tile) = (kernels.panel(), kernels.tile());
        let [_, channels, height, width] = shape.kernel_shape();
        let depth = channels * height * width;
        let weights = weights_in_panels(numbers.kernel, [channels, height * width, panel]);
        let block = (BLOCK / depth / tile).clamp(4, 16) * tile;
        Self { weights, bias: in_panels(numbers.bias, panel), floor: numbers.floor, block, depth }
    }

    pub(super) fn scratch(&self) -> usize {
        self.block * self.depth
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
        zeros: &[f32],
        scratch: &mut Scratch,
        [input, output]: [&Map; 2],
        block: usize,
    ) {
        let first = block * self.block;
        let last = (first + self.block).min(output.images * output.pixels());
        let rows = &mut scratch.values[..(last - first) * self.depth];
        for (pixel, row) in (first..last).zip(rows.chunks_exact_mut(self.depth)) {
            // SAFETY: the caller's promise.
            unsafe { gather(shape, zeros, input, output.position(pixel), row) };
        }
        let job = MatrixProduct {
            inputs: rows.as_ptr(),
            input_step: self.depth,
            rows: last - first,
            depth: self.depth,
            chain: CHAIN,
            weights: &self.weights,
            bias: &self.bias,
            floor: self.floor,
            outputs: output.data.wrapping_add(first * output.stride),
            output_step: output.stride,
            panel_step: kernels.panel(),
            channels: shape.out_channels,
        };
        // SAFETY: the output's pixels lie one after the other, a stride apart.
        unsafe { kernels.matrix_product(&job) }
    }
}

/// What an output's pixel sees, `[taps, in]`.
///
/// # Safety
/// The input is as [`super::Convolution::run`] says.
unsafe fn gather(shape: &Convolution, zeros: &[f32], input: &Map, [image, y, x]: [usize; 3], row: &mut [f32]) {
    let window = &shape.window;
    let [top, left] = [y, x].map(|at| at * window.stride);
    let channels = shape.in_channels;
    let taps_across = window.kernel[1];
    // Where pixels lie side by side and none is in the padding, a row of the kernel is one piece.
    let is_one_piece = window.padding == [0, 0] && input.stride == channels;
    for (down, row) in row.chunks_exact_mut(taps_across * channels).enumerate() {
        let (pieces, taps) = if is_one_piece { (row.len(), 1) } else { (channels, taps_across) };
        for (across, piece) in row.chunks_exact_mut(pieces).enumerate().take(taps) {
            let from = input.tap(image, top + down, left + across, window.padding);
            let from = from.map_or(zeros.as_ptr(), <*mut f32>::cast_const);
            // SAFETY: from a pixel's first channel on are its channels, and those of its neighbours where none lies between;
            // zeros are as many as the input has channels.
            unsafe { piece.as_mut_ptr().copy_from_nonoverlapping(from, piece.len()) };
        }
    }
}
