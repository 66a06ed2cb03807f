//! A convolution with weights that stay.

use super::super::algorithm::Algorithm;
use super::super::kernels::Kernels;
use super::super::map::Map;
use super::super::memory::Memory;
use super::super::scratch::Scratch;
use super::{Block, Convolution, Epilogue, KernelView, Operands};
use crate::inception;

/// A convolution and its weights, laid out once.
pub struct LaidOut {
    convolution: Convolution,
    weights: Memory,
}

impl LaidOut {
    /// By an algorithm: convolutions that are to run one after the other, to the same output.
    pub fn all(
        shape: inception::Convolution,
        algorithm: Algorithm,
        kernel: &KernelView<'_>,
        epilogue: Epilogue<'_>,
        kernels: &dyn Kernels,
    ) -> Vec<Self> {
        let convolutions = Convolution::all(shape, algorithm, epilogue, kernels).into_iter();
        let lay_out = |convolution: Convolution| {
            let mut weights = Memory::zeroed(convolution.weights());
            convolution.lay_out(kernel, &mut weights);
            Self { convolution, weights }
        };
        convolutions.map(lay_out).collect()
    }

    /// As [`Convolution::scratch`].
    pub fn scratch(&self) -> usize {
        self.convolution.scratch()
    }

    /// As [`Convolution::blocks`].
    pub fn blocks(&self, output: &Map, least: usize) -> usize {
        self.convolution.blocks(output, least)
    }

    /// As [`Convolution::run`]; `zeros` are as many as the input has channels.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn run(
        &self,
        kernels: &dyn Kernels,
        zeros: &[f32],
        scratch: &mut Scratch,
        maps: [&Map; 2],
        block: Block,
    ) {
        let operands = Operands { kernels, zeros, weights: &self.weights };
        // SAFETY: the caller's promise.
        unsafe { self.convolution.run(operands, scratch, maps, block) }
    }
}
