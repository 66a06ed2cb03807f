//! A convolution that is ready to run: its way chosen, its weights laid out for that way.
//!
//! Weights that stay are laid out once and kept beside it ([`LaidOut`]); those that training changes with every step are brought to it.
//!
//! Work comes in blocks that know nothing of each other, so that one thread can take them one after the other, or many at once;
//! the bits are the same.
#![expect(unsafe_code, reason = "follows the pointers of maps")]

mod direct;
mod filtered;
mod kernel_transform;
mod kernel_view;
mod laid_out;
mod phases;
mod pointwise;
mod strassen;

use std::ops::Range;

use super::algorithm::Algorithm;
use super::kernels::Kernels;
use super::map::Map;
use super::memory::Memory;
use super::scratch::Scratch;
use crate::inception;
use direct::Direct;
use filtered::Filtered;
pub use kernel_view::KernelView;
pub use laid_out::LaidOut;
pub use phases::Phase;
use pointwise::Pointwise;
use strassen::Strassen;

/// One of the blocks that some work comes in, `of` being what [`Convolution::blocks`] says.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub at: usize,
    pub of: usize,
}

impl Block {
    /// What of so many things it takes: blocks differ by one at most.
    fn of(self, things: usize) -> Range<usize> {
        self.at * things / self.of..(self.at + 1) * things / self.of
    }

    /// Where blocks come in runs of so many things: which run, and which of its blocks.
    fn in_runs(self, runs: usize) -> (usize, Self) {
        let of = self.of / runs.max(1);
        (self.at / of, Self { at: self.at % of, of })
    }
}

/// The blocks that so many things come in, none larger than there is room for: `least` of them where that leaves each as much as
/// fills a register tile, and, where they are few, as many for each of half so many threads. Never more than fill a tile each
/// where there is room for fewer: a block without things is none.
fn blocks(things: usize, [tile, most]: [usize; 2], least: usize) -> usize {
    let filled = things.div_ceil(tile);
    let blocks = things.div_ceil(most).max(least.min(filled));
    let even = blocks.next_multiple_of((least / 2).max(1));
    if blocks < 2 * least && even <= filled { even } else { blocks }
}

/// A convolution with a bias and a floor, by an algorithm; its weights are brought to it.
pub struct Convolution {
    way: Way,
    shape: inception::Convolution,
    /// Which pixels of the input it sees.
    phase: Phase,
    /// Which taps of the kernel it has, where it does not have all.
    taps: Option<Vec<usize>>,
    /// Whether it brings the bias.
    has_bias: bool,
}

enum Way {
    Direct(Direct),
    Pointwise(Pointwise),
    Filtered(Filtered),
    Strassen(Strassen),
}

/// What becomes of the sums: max(floor, bias + sum).
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    /// `[out]`.
    pub bias: &'a [f32],
    /// 0 for ReLU, minus infinity for none.
    pub floor: f32,
    /// Whether what is there already is a part of the sum.
    pub accumulate: bool,
}

/// What a convolution is computed with.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    /// The inner loops.
    pub kernels: &'a dyn Kernels,
    /// For padding: as many zeros as the input has channels.
    pub zeros: &'a [f32],
    /// As [`Convolution::lay_out`] wrote them.
    pub weights: &'a [f32],
}

impl Convolution {
    /// By an algorithm: convolutions that are to run one after the other, to the same output.
    pub fn all(
        shape: inception::Convolution,
        algorithm: Algorithm,
        epilogue: Epilogue<'_>,
        kernels: &dyn Kernels,
    ) -> Vec<Self> {
        if algorithm == Algorithm::Phases {
            return phases::convolutions(&shape, epilogue, kernels);
        }
        vec![Self::of(shape, algorithm, epilogue, kernels)]
    }

    /// One convolution over all pixels, by an algorithm of one.
    fn of(shape: inception::Convolution, algorithm: Algorithm, epilogue: Epilogue<'_>, kernels: &dyn Kernels) -> Self {
        let way = match algorithm {
            Algorithm::Pointwise => Way::Pointwise(Pointwise::new(&shape, epilogue, kernels)),
            Algorithm::Filtered { filter } => Way::Filtered(Filtered::new(&shape, filter, epilogue, kernels)),
            Algorithm::Strassen => Way::Strassen(Strassen::new(&shape, epilogue, kernels)),
            Algorithm::Direct | Algorithm::Phases => Way::Direct(Direct::new(&shape, epilogue, kernels)),
        };
        Self { way, shape, phase: Phase::WHOLE, taps: None, has_bias: true }
    }

    /// A convolution of stride 1 with some taps of a kernel, whose result may be pixels that lie apart.
    pub fn of_taps(
        shape: inception::Convolution,
        taps: Vec<usize>,
        epilogue: Epilogue<'_>,
        kernels: &dyn Kernels,
    ) -> Self {
        let algorithm = match Algorithm::of(&shape) {
            filtered @ Algorithm::Filtered { .. } => filtered,
            // Its pixels lie apart: they are gathered.
            _ => Algorithm::Direct,
        };
        Self { taps: Some(taps), ..Self::of(shape, algorithm, epilogue, kernels) }
    }

    /// Numbers that its weights are laid out in.
    pub fn weights(&self) -> usize {
        match &self.way {
            Way::Direct(direct) => direct.weights(),
            Way::Pointwise(pointwise) => pointwise.weights(),
            Way::Filtered(filtered) => filtered.weights(&self.shape),
            Way::Strassen(strassen) => strassen.weights(),
        }
    }

    /// Lays a kernel `[out, in, height, width]` out, in so many numbers.
    pub fn lay_out(&self, kernel: &KernelView<'_>, weights: &mut [f32]) {
        let part;
        let kernel = match &self.taps {
            None => kernel,
            Some(taps) => {
                part = kernel.select(taps);
                &part
            }
        };
        match &self.way {
            Way::Direct(direct) => direct.lay_out(kernel, weights),
            Way::Pointwise(pointwise) => pointwise.lay_out(kernel, weights),
            Way::Filtered(filtered) => filtered.lay_out(kernel, weights),
            Way::Strassen(strassen) => strassen.lay_out(kernel, weights),
        }
    }

    /// Another bias `[out]` instead of the old one.
    pub fn set_bias(&mut self, bias: &[f32]) {
        if !self.has_bias {
            return;
        }
        let old = match &mut self.way {
            Way::Direct(direct) => direct.bias(),
            Way::Pointwise(pointwise) => &mut pointwise.bias,
            Way::Filtered(filtered) => &mut filtered.bias,
            Way::Strassen(strassen) => &mut strassen.bias,
        };
        old[..bias.len()].copy_from_slice(bias);
    }

    /// Numbers of scratch that a block needs.
    pub fn scratch(&self) -> usize {
        match &self.way {
            Way::Direct(direct) => direct.scratch(),
            Way::Pointwise(_) => 0,
            Way::Filtered(filtered) => filtered.scratch(&self.shape),
            Way::Strassen(strassen) => strassen.scratch(),
        }
    }

    /// Blocks that the work comes in: as few as their room allows, but, where that can be, `least`.
    pub fn blocks(&self, output: &Map, least: usize) -> usize {
        match &self.way {
            Way::Direct(direct) => direct.blocks(output, least),
            Way::Pointwise(pointwise) => pointwise.blocks(output, least),
            Way::Filtered(filtered) => filtered.blocks(output, least),
            Way::Strassen(strassen) => strassen.blocks(output, least),
        }
    }

    /// Computes one block.
    ///
    /// # Safety
    /// Both maps are memory that lives, of the shapes of this convolution; nobody writes the input and nobody else touches
    /// the output's pixels of this block meanwhile.
    pub unsafe fn run(&self, operands: Operands<'_>, scratch: &mut Scratch, maps: [&Map; 2], block: Block) {
        let input = &maps[0].every(self.phase.step, self.phase.first);
        let maps = [input, maps[1]];
        // SAFETY: the caller's promise.
        unsafe {
            match &self.way {
                Way::Direct(direct) => direct.run(&self.shape, operands, scratch, maps, block),
                Way::Pointwise(pointwise) => pointwise.run(operands, maps, block),
                Way::Strassen(strassen) => strassen.run(operands, scratch, maps, block),
                Way::Filtered(filtered) => filtered.run(&self.shape, operands, scratch, maps, block),
            }
        }
    }
}

/// A vector in whole panels, zeros at its end.
fn in_panels(numbers: &[f32], panel: usize) -> Memory {
    let mut padded = Memory::zeroed(numbers.len().next_multiple_of(panel));
    padded[..numbers.len()].copy_from_slice(numbers);
    padded
}
