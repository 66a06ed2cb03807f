//! Maxima and means of windows, in blocks like convolutions.
#![expect(unsafe_code, reason = "follows the pointers of maps")]

use super::kernels::{Kernels, Reduce, WindowReduction};
use super::map::Map;
use super::memory::Memory;
use super::scratch::Scratch;
use crate::inception::Window;

/// Pixels of a block.
const BLOCK: usize = 64;

/// max(floor, bias + reduced window).
pub struct Pool {
    /// How.
    pub reduce: Reduce,
    /// Over what.
    pub window: Window,
    /// Whether the padding counts in a mean.
    pub counts_padding: bool,
    /// At least `[channels]`.
    pub bias: Memory,
    /// 0 for ReLU, minus infinity for none.
    pub floor: f32,
}

impl Pool {
    /// Blocks that the work comes in.
    pub fn blocks(output: &Map) -> usize {
        (output.images * output.pixels()).div_ceil(BLOCK)
    }

    /// Computes one block.
    ///
    /// # Safety
    /// As [`super::convolution::Convolution::run`].
    pub unsafe fn run(
        &self,
        kernels: &dyn Kernels,
        zeros: &[f32],
        scratch: &mut Scratch,
        [input, output]: [&Map; 2],
        block: usize,
    ) {
        let [height, width] = self.window.kernel;
        let first = block * BLOCK;
        let last = (first + BLOCK).min(output.images * output.pixels());
        let Scratch { inputs, outputs, scales, .. } = scratch;
        inputs.clear();
        outputs.clear();
        scales.clear();
        for pixel in first..last {
            let [image, top, left] = output.position(pixel);
            outputs.push(output.at(image, top, left));
            let corner = [top * self.window.stride, left * self.window.stride];
            let taps = (0..height * width).filter_map(|tap| {
                input.tap(image, corner[0] + tap / width, corner[1] + tap % width, self.window.padding)
            });
            let before = inputs.len();
            inputs.extend(taps.map(<*mut f32>::cast_const));
            let inside = inputs.len() - before;
            scales.push(1.0 / if self.counts_padding { height * width } else { inside } as f32);
            // What is in the window already changes no maximum; a mean must not see it twice.
            inputs.resize(before + height * width, inputs[before]);
            if self.reduce == Reduce::Mean {
                inputs[before + inside..].fill(zeros.as_ptr());
            }
        }
        let job = WindowReduction {
            reduce: self.reduce,
            inputs,
            taps: height * width,
            outputs,
            scales,
            channels: output.channels,
            bias: &self.bias,
            floor: self.floor,
        };
        // SAFETY: each input is a pixel of the input or zeros, each output one of the block's pixels.
        unsafe { kernels.window(&job) }
    }
}

/// The mean of each channel of an image, summed in float64 in the order of the pixels.
///
/// # Safety
/// As [`super::convolution::Convolution::run`]; the output has one pixel.
pub unsafe fn global_average([input, output]: [&Map; 2], image: usize) {
    const CHANNELS: usize = 64;
    for first in (0..input.channels).step_by(CHANNELS) {
        let channels = CHANNELS.min(input.channels - first);
        let mut sums = [0.0_f64; CHANNELS];
        for pixel in 0..input.pixels() {
            let from = input.at(image, 0, pixel).wrapping_add(first);
            for (channel, sum) in sums[..channels].iter_mut().enumerate() {
                // SAFETY: a channel of a pixel of the input.
                *sum += f64::from(unsafe { *from.add(channel) });
            }
        }
        let to = output.at(image, 0, 0).wrapping_add(first);
        for (channel, sum) in sums[..channels].iter().enumerate() {
            // SAFETY: a channel of the output's pixel.
            unsafe { *to.add(channel) = (sum / input.pixels() as f64) as f32 };
        }
    }
}
