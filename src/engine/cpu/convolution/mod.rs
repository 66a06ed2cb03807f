//! A convolution that is ready to run: its way chosen, its weights laid out for that way.
//!
//! Work comes in blocks that know nothing of each other, so that one thread can take them one after the other, or many at once;
//! the bits are the same.
#![expect(unsafe_code, reason = "follows the pointers of maps")]

mod direct;
mod filtered;
mod kernel_transform;
mod kernel_view;
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

/// A convolution with a bias and a floor, ready to run.
pub struct Convolution {
    ready: Ready,
    shape: inception::Convolution,
    /// Which pixels of the input it sees.
    phase: Phase,
    /// Which taps of the kernel it has, where it does not have all.
    taps: Option<Vec<usize>>,
    /// Whether it brings the bias.
    has_bias: bool,
}

enum Ready {
    Direct(Direct),
    Pointwise(Pointwise),
    Filtered(Filtered),
    Strassen(Strassen),
}

/// The numbers of a convolution: max(floor, bias + convolution).
#[derive(Clone, Copy)]
pub struct Numbers<'a> {
    /// `[out, in, height, width]`.
    pub kernel: &'a KernelView<'a>,
    /// `[out]`.
    pub bias: &'a [f32],
    /// 0 for ReLU, minus infinity for none.
    pub floor: f32,
    /// Whether what is there already is a part of the sum.
    pub accumulate: bool,
}

impl Convolution {
    /// Lays the weights out for kernels, by an algorithm: convolutions that are to run one after the other, to the same output.
    pub fn all(
        shape: inception::Convolution,
        algorithm: Algorithm,
        numbers: Numbers<'_>,
        kernels: &dyn Kernels,
    ) -> Vec<Self> {
        if algorithm == Algorithm::Phases {
            return phases::convolutions(&shape, numbers, kernels);
        }
        vec![Self::of(shape, algorithm, numbers, kernels)]
    }

    /// One convolution over all pixels, by an algorithm of one.
    fn of(shape: inception::Convolution, algorithm: Algorithm, numbers: Numbers<'_>, kernels: &dyn Kernels) -> Self {
        let ready = match algorithm {
            Algorithm::Pointwise => Ready::Pointwise(Pointwise::new(&shape, numbers, kernels)),
            Algorithm::Filtered { filter } => Ready::Filtered(Filtered::new(&shape, filter, numbers, kernels)),
            Algorithm::Strassen => Ready::Strassen(Strassen::new(&shape, numbers, kernels)),
            Algorithm::Direct | Algorithm::Phases => Ready::Direct(Direct::new(&shape, numbers, kernels)),
        };
        Self { ready, shape, phase: Phase::WHOLE, taps: None, has_bias: true }
    }

    /// A convolution of stride 1 with some taps of a kernel, whose result may be pixels that lie apart.
    pub fn of_taps(
        shape: inception::Convolution,
        taps: Vec<usize>,
        numbers: Numbers<'_>,
        kernels: &dyn Kernels,
    ) -> Self {
        let kernel = numbers.kernel.select(&taps);
        let algorithm = match Algorithm::of(&shape) {
            filtered @ Algorithm::Filtered { .. } => filtered,
            // Its pixels lie apart: they are gathered.
            _ => Algorithm::Direct,
        };
        let numbers = Numbers { kernel: &kernel, ..numbers };
        Self { taps: Some(taps), ..Self::of(shape, algorithm, numbers, kernels) }
    }

    /// Lays other weights out, where the old ones were; without a bias, the old one stays.
    pub fn refill(&mut self, kernel: &KernelView<'_>, bias: Option<&[f32]>) {
        let part;
        let kernel = match &self.taps {
            None => kernel,
            Some(taps) => {
                part = kernel.select(taps);
                &part
            }
        };
        let bias = bias.filter(|_| self.has_bias);
        match &mut self.ready {
            Ready::Direct(direct) => direct.refill(kernel, bias),
            Ready::Pointwise(pointwise) => pointwise.refill(kernel, bias),
            Ready::Filtered(filtered) => filtered.refill(kernel, bias),
            Ready::Strassen(strassen) => strassen.refill(kernel, bias),
        }
    }

    /// Numbers of scratch that a block needs.
    pub fn scratch(&self) -> usize {
        match &self.ready {
            Ready::Direct(direct) => direct.scratch(),
            Ready::Pointwise(_) => 0,
            Ready::Filtered(filtered) => filtered.scratch(&self.shape),
            Ready::Strassen(strassen) => strassen.scratch(),
        }
    }

    /// Blocks that the work comes in: as few as their room allows, but, where that can be, `least`.
    pub fn blocks(&self, output: &Map, least: usize) -> usize {
        match &self.ready {
            Ready::Direct(direct) => direct.blocks(output, least),
            Ready::Pointwise(pointwise) => pointwise.blocks(output, least),
            Ready::Filtered(filtered) => filtered.blocks(output, least),
            Ready::Strassen(strassen) => strassen.blocks(output, least),
        }
    }

    /// Computes one block.
    ///
    /// # Safety
    /// Both maps are memory that lives, of the shapes of this convolution; nobody writes the input and nobody else touches
    /// the output's pixels of this block meanwhile. `zeros` are as many as the input has channels.
    pub unsafe fn run(
        &self,
        kernels: &dyn Kernels,
        zeros: &[f32],
        scratch: &mut Scratch,
        maps: [&Map; 2],
        block: Block,
    ) {
        let input = &maps[0].every(self.phase.step, self.phase.first);
        let maps = [input, maps[1]];
        // SAFETY: the caller's promise.
        unsafe {
            match &self.ready {
                Ready::Direct(direct) => direct.run(&self.shape, kernels, zeros, scratch, maps, block),
                Ready::Pointwise(pointwise) => pointwise.run(kernels, maps, block),
                Ready::Strassen(strassen) => strassen.run(kernels, scratch, maps, block),
                Ready::Filtered(filtered) => filtered.run(&self.shape, kernels, zeros, scratch, maps, block),
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
