//! A convolution as a sum over taps and channels: what a pixel sees is gathered into a row, and rows times weights is a matrix
//! product (im2col, a block of pixels at a time, so that the rows stay in the second cache).

use super::super::kernels::Kernels;
use super::super::map::Map;
use super::super::memory::Memory;
use super::super::scratch::Scratch;
use super::pointwise::Pointwise;
use super::{Block, Epilogue, KernelView, Operands};
use crate::inception::Convolution;

pub(super) struct Direct {
    /// Of the gathered rows.
    rows: Pointwise,
}

impl Direct {
    pub(super) fn new(shape: &Convolution, epilogue: Epilogue<'_>, kernels: &dyn Kernels) -> Self {
        Self { rows: Pointwise::new(shape, epilogue, kernels) }
    }

    pub(super) fn weights(&self) -> usize {
        self.rows.weights()
    }

    pub(super) fn lay_out(&self, kernel: &KernelView<'_>, weights: &mut [f32]) {
        self.rows.lay_out(kernel, weights);
    }

    pub(super) fn bias(&mut self) -> &mut Memory {
        &mut self.rows.bias
    }

    pub(super) fn scratch(&self) -> usize {
        self.rows.block * self.rows.depth
    }

    pub(super) fn blocks(&self, output: &Map, least: usize) -> usize {
        self.rows.blocks(output, least)
    }

    /// # Safety
    /// As [`super::Convolution::run`].
    pub(super) unsafe fn run(
        &self,
        shape: &Convolution,
        operands: Operands<'_>,
        scratch: &mut Scratch,
        [input, output]: [&Map; 2],
        block: Block,
    ) {
        let (pixels, depth) = (Pointwise::pixels(output, block), self.rows.depth);
        let rows = &mut scratch.values[..pixels.len() * depth];
        for (pixel, row) in pixels.clone().zip(rows.chunks_exact_mut(depth)) {
            // SAFETY: the caller's promise.
            unsafe { gather(shape, operands.zeros, input, output.position(pixel), row) };
        }
        // SAFETY: the rows have just been gathered; the caller's promise of the output.
        unsafe { self.rows.product(operands, rows.as_ptr(), depth, output, pixels) }
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
