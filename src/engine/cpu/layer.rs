//! A convolution alone, for whoever wants to test or to time it.
#![expect(unsafe_code, reason = "makes maps of slices")]

use super::algorithm::Algorithm;
use super::convolution::{Block, Epilogue, KernelView, LaidOut};
use super::kernels::{Instructions, Kernels};
use super::map::Map;
use super::memory::Memory;
use super::scratch::Scratch;
use crate::inception;

/// max(0, bias + convolution), by one algorithm on one set of instructions.
pub struct Layer {
    shape: inception::Convolution,
    /// One after the other, to the same output.
    convolutions: Vec<LaidOut>,
    kernels: Box<dyn Kernels>,
    scratch: Scratch,
    zeros: Memory,
}

impl Layer {
    /// Lays out a kernel `[out, in, height, width]` and a bias `[out]`; `None` where this processor does not have the
    /// instructions, the lengths are not those of the shape, or the algorithm does not suit it.
    #[must_use]
    pub fn new(
        shape: inception::Convolution,
        algorithm: Algorithm,
        instructions: Instructions,
        kernel: &[f32],
        bias: &[f32],
    ) -> Option<Self> {
        let kernels = instructions.kernels()?;
        if kernel.len() != shape.kernel_len() || bias.len() != shape.out_channels || !algorithm.suits(&shape) {
            return None;
        }
        let kernel = &KernelView::new(&shape, kernel);
        let epilogue = Epilogue { bias, floor: 0.0, accumulate: false };
        let convolutions = LaidOut::all(shape, algorithm, kernel, epilogue, kernels.as_ref());
        let values = convolutions.iter().map(LaidOut::scratch).max().unwrap_or(0);
        let scratch = Scratch::new(values, shape.out_channels);
        Some(Self { shape, convolutions, kernels, scratch, zeros: Memory::zeroed(shape.in_channels) })
    }

    /// From images [images, height, width, in] to [images, height, width, out], on one thread; `None` where the lengths do not
    /// fit, or the window.
    pub fn run(&mut self, input: &[f32], images: usize, size: [usize; 2], output: &mut [f32]) -> Option<()> {
        let places = self.shape.window.places(size)?;
        let [from, to] = [(size, self.shape.in_channels), (places, self.shape.out_channels)]
            .map(|([height, width], channels)| images * height * width * channels);
        if input.len() != from || output.len() != to {
            return None;
        }
        let map = |data, size, channels| Map::dense(data, images, size, channels, channels);
        let input = map(input.as_ptr().cast_mut(), size, self.shape.in_channels);
        let output = map(output.as_mut_ptr(), places, self.shape.out_channels);
        for convolution in &self.convolutions {
            let of = convolution.blocks(&output, 1);
            for at in 0..of {
                // SAFETY: both maps are slices of the lengths that their shapes say, the output borrowed for writing.
                unsafe {
                    let maps = [&input, &output];
                    convolution.run(self.kernels.as_ref(), &self.zeros, &mut self.scratch, maps, Block { at, of });
                }
            }
        }
        Some(())
    }
}
