//! A 1x1 convolution is a matrix product: pixels that lie one after the other, times weights. So is any other one, once what a
//! pixel sees is gathered into a row.

use std::ops::Range;

use rayon::prelude::*;

use super::super::kernels::{Kernels, Lie, MatrixProduct};
use super::super::map::Map;
use super::super::memory::Memory;
use super::super::stream;
use super::{Block, Epilogue, KernelView, Operands, blocks, in_panels};
use crate::inception::Convolution;
use crate::vectorised::vectorised;

/// Numbers of the rows of a block, at most: they are read once a panel, and are to stay in the second cache.
pub(super) const BLOCK: usize = 80 << 10;
/// Products that are added up in a row. Shorter chains change nothing that can be measured in the features: nothing
/// multiplies these sums.
pub(super) const CHAIN: usize = 512;

pub(super) struct Pointwise {
    /// Output channels of a panel.
    panel: usize,
    pub(super) bias: Memory,
    floor: f32,
    accumulate: bool,
    channels: usize,
    /// Numbers of a row: [taps, in].
    pub(super) depth: usize,
    /// Pixels of a block, at most.
    pub(super) block: usize,
    /// Rows of a register tile: fewer pixels are no block.
    tile: usize,
}

impl Pointwise {
    pub(super) fn new(shape: &Convolution, epilogue: Epilogue<'_>, kernels: &dyn Kernels) -> Self {
        let (panel, tile) = (kernels.panel(), kernels.tile());
        let [_, channels, height, width] = shape.kernel_shape();
        let depth = channels * height * width;
        Self {
            panel,
            bias: in_panels(epilogue.bias, panel),
            floor: epilogue.floor,
            accumulate: epilogue.accumulate,
            channels: shape.out_channels,
            depth,
            block: (BLOCK / depth / tile).clamp(4, 16) * tile,
            tile,
        }
    }

    pub(super) fn weights(&self) -> usize {
        self.channels.next_multiple_of(self.panel) * self.depth
    }

    /// To [panels, depth, panel].
    pub(super) fn lay_out(&self, kernel: &KernelView<'_>, weights: &mut [f32]) {
        lay_out(weights, kernel, self.panel);
    }

    /// Runs of pixels that lie one after the other, a stride apart, and the pixels of a run: one of all of them, or one a row.
    fn runs_of_pixels(output: &Map) -> [usize; 2] {
        let all = output.images * output.pixels();
        if output.is_dense() { [1, all] } else { [all / output.size[1].max(1), output.size[1]] }
    }

    pub(super) fn blocks(&self, output: &Map, least: usize) -> usize {
        let [runs, pixels] = Self::runs_of_pixels(output);
        runs * blocks(pixels, [self.tile, self.block], least.div_ceil(runs.max(1)))
    }

    /// The pixels of a block.
    pub(super) fn pixels(output: &Map, block: Block) -> Range<usize> {
        let [runs, pixels] = Self::runs_of_pixels(output);
        let (run, block) = block.in_runs(runs);
        let within = block.of(pixels);
        run * pixels + within.start..run * pixels + within.end
    }

    /// # Safety
    /// As [`super::Convolution::run`].
    pub(super) unsafe fn run(&self, operands: Operands<'_>, [input, output]: [&Map; 2], block: Block) {
        let pixels = Self::pixels(output, block);
        let inputs = input.data.wrapping_add(pixels.start * input.stride);
        // SAFETY: the input's pixels lie one after the other, a stride apart (those that do not are gathered, by Direct).
        unsafe { self.product(operands, inputs, input.stride, output, pixels) }
    }

    /// From rows, some numbers apart, to these pixels.
    ///
    /// # Safety
    /// There are as many rows as pixels, each of `depth` numbers that can be read; the output is as
    /// [`super::Convolution::run`] says.
    pub(super) unsafe fn product(
        &self,
        Operands { kernels, weights, .. }: Operands<'_>,
        inputs: *const f32,
        input_step: usize,
        output: &Map,
        pixels: Range<usize>,
    ) {
        let [image, y, x] = output.position(pixels.start);
        let job = MatrixProduct {
            inputs,
            lie: Lie::Rows(input_step),
            rows: pixels.len(),
            depth: self.depth,
            chain: CHAIN,
            weights,
            bias: &self.bias,
            floor: self.floor,
            accumulate: self.accumulate,
            outputs: output.at(image, y, x),
            output_step: output.stride,
            panel_step: kernels.panel(),
            channels: self.channels,
        };
        // SAFETY: the caller's promise; the output's pixels of a block lie one after the other, a stride apart.
        unsafe { kernels.matrix_product(&job) }
    }
}

/// [out, in, taps] to [panels, taps, in, panel]; what is past the last channel is of no matter.
fn lay_out(weights: &mut [f32], kernel: &KernelView<'_>, panel: usize) {
    let [_, channels] = kernel.channels();
    let of_panel = kernel.taps().len() * channels * panel;
    weights.par_chunks_exact_mut(of_panel).enumerate().for_each(|(position, weights)| {
        vectorised(
            #[inline(always)]
            || {
                if panel.is_multiple_of(16) {
                    lay_out_panel::<16>(weights, kernel, position * panel, panel);
                } else {
                    lay_out_panel::<8>(weights, kernel, position * panel, panel);
                }
            },
        );
    });
}

/// The panel from a channel on, [taps, in, panel]: a few channels of all kernels after the other, so that neither side wanders
/// through memory.
#[inline(always)]
fn lay_out_panel<const LANES: usize>(weights: &mut [f32], kernel: &KernelView<'_>, first: usize, panel: usize) {
    const STRIP: usize = 16;
    let [outs, channels] = kernel.channels();
    let taps = kernel.taps().len();
    let mut numbers = vec![[0.0; LANES]; STRIP * taps];
    for strip in (0..channels).step_by(STRIP) {
        let strip = strip..channels.min(strip + STRIP);
        kernel.prefetch(first..outs.min(first + panel), strip.end..channels.min(strip.end + STRIP));
        for lane in (0..panel.min(outs - first)).step_by(LANES) {
            let lanes = first + lane..outs.min(first + lane + LANES);
            kernel.gather(lanes, strip.clone(), &mut numbers);
            for (c, numbers) in strip.clone().zip(numbers.chunks_exact(taps)) {
                for (tap, numbers) in numbers.iter().enumerate() {
                    stream::store(&mut weights[(tap * channels + c) * panel + lane..], numbers);
                }
            }
        }
    }
    stream::fence();
}
