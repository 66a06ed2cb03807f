//! A convolution as a sum over taps and channels: the register tile walks over pixels, whichever they are.

use super::super::kernels::{Kernels, Product};
use super::super::map::Map;
use super::super::memory::Memory;
use super::super::scratch::Scratch;
use super::{Numbers, in_panels, weights_in_panels};
use crate::inception::Convolution;

/// Numbers of the inputs of a block, at most: they are read once a panel, and are to stay in the second cache.
const BLOCK: usize = 64 << 10;

/// Products that are added up in a row. Shorter chains change nothing that can be measured in the features: nothing
/// multiplies these sums.
const CHAIN: usize = 512;

pub(super) struct Direct {
    /// [panels, taps, run, panel].
    weights: Memory,
    bias: Memory,
    floor: f32,
    /// Pixels of a block.
    block: usize,
    /// [rows, columns] of taps that are pointers of their own. A row of the kernel is one run where there is no
    /// padding: of zeros there are as many as a pixel has channels.
    taps: [usize; 2],
    /// Numbers at each.
    run: usize,
}

impl Direct {
    pub(super) fn new(shape: &Convolution, numbers: Numbers<'_>, kernels: &dyn Kernels) -> Self {
        let (panel, tile) = (kernels.panel(), kernels.tile());
        let [_, channels, height, width] = shape.kernel_shape();
        let depth = channels * height * width;
        let weights = weights_in_panels(numbers.kernel, [channels, height * width, panel]);
        let (taps, run) = match shape.window.padding {
            [0, 0] => ([height, 1], width * channels),
            _ => ([height, width], channels),
        };
        let block = (BLOCK / depth / tile).clamp(4, 16) * tile;
        Self { weights, bias: in_panels(numbers.bias, panel), floor: numbers.floor, block, taps, run }
    }

    pub(super) fn blocks(&self, output: &Map) -> usize {
        (output.images * output.pixels()).div_ceil(self.block)
    }

    /// # Safety
    /// As [`super::Convolution::run`], and the input's channels lie side by side where rows of the kernel are runs.
    pub(super) unsafe fn run(
        &self,
        shape: &Convolution,
        kernels: &dyn Kernels,
        zeros: &[f32],
        scratch: &mut Scratch,
        [input, output]: [&Map; 2],
        block: usize,
    ) {
        let tile = kernels.tile();
        let window = &shape.window;
        let first = block * self.block;
        let last = (first + self.block).min(output.images * output.pixels());
        let [rows, columns] = self.taps;
        let taps = rows * columns;
        scratch.outputs.clear();
        scratch.inputs.clear();
        scratch.inputs.resize((last - first).next_multiple_of(tile) * taps, std::ptr::null());
        let [mut image, mut y, mut x] = output.position(first);
        for pixel in 0..last - first {
            scratch.outputs.push(output.at(image, y, x));
            let to = pixel / tile * tile * taps + pixel % tile;
            for tap in 0..taps {
                let at = [y * window.stride + tap / columns, x * window.stride + tap % columns];
                let from = input.tap(image, at[0], at[1], window.padding);
                scratch.inputs[to + tap * tile] = from.map_or(zeros.as_ptr(), <*mut f32>::cast_const);
            }
            x += 1;
            if x == output.size[1] {
                (x, y) = (0, y + 1);
                if y == output.size[0] {
                    (y, image) = (0, image + 1);
                }
            }
        }
        let job = Product {
            inputs: &scratch.inputs,
            taps,
            run: self.run,
            chain: CHAIN,
            weights: &self.weights,
            bias: &self.bias,
            floor: self.floor,
            outputs: &scratch.outputs,
            channels: shape.out_channels,
        };
        // SAFETY: each tap is `run` numbers of the input or zeros, each output one of the block's pixels.
        unsafe { kernels.product(&job) }
    }
}
