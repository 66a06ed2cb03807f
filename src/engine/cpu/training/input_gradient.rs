//! The gradient of a convolution by its inputs is a convolution of the outputs' gradient, with the kernel transposed and flipped.
//!
//! Of stride 1, y(i) is the sum over t of x(i + t - p) w(t), so the gradient of x(q) is the sum over t of dy(q + p - t) w(t): stride 1
//! again, padding k - 1 - p. Of stride s, only the taps count for which s divides q + p - t. These are the same for every s-th q,
//! which makes a convolution of stride 1 for each phase of the inputs:
//!
//! ```text
//! w0 w1 w2, stride 2                 even x:  w2 w0  over  0 dy dy dy ...
//!                                    odd x:     w1   over    dy dy dy ...
//! ```
//!
//! All of them go the way that convolutions go, minimal filtering included.
#![expect(unsafe_code, reason = "follows the pointers of maps")]

use super::super::algorithm::Algorithm;
use super::super::convolution::{Block, Convolution, Epilogue, KernelView, Operands, Phase};
use super::super::kernels::Kernels;
use super::super::map::Map;
use super::workers::Workers;
use crate::inception::{self, Window};

/// The convolutions that make the gradient by the inputs, each that of a phase.
pub struct InputGradient {
    parts: Vec<(Phase, Convolution)>,
}

impl InputGradient {
    /// Of a convolution; where `accumulate`, what is there is added to. `None` for a shape that no network has: more padding than
    /// taps, fewer taps than the stride.
    pub fn new(shape: &inception::Convolution, accumulate: bool, kernels: &dyn Kernels) -> Option<Self> {
        let bias = vec![0.0; shape.in_channels];
        let epilogue = Epilogue { bias: &bias, floor: f32::NEG_INFINITY, accumulate };
        let step = shape.window.stride;
        let transposed = |window| inception::Convolution {
            in_channels: shape.out_channels,
            out_channels: shape.in_channels,
            window,
            gamma: false,
        };
        let mut parts = Vec::new();
        for first in (0..step * step).map(|phase| [phase / step, phase % step]) {
            let along = |axis: usize| along(shape, axis, first[axis]);
            let [(rows, above), (columns, left)] = [along(0)?, along(1)?];
            let window = Window { kernel: [rows.len(), columns.len()], stride: 1, padding: [above, left] };
            let part = transposed(window);
            let convolution = if step == 1 {
                // One, for the algorithms of stride 1.
                Convolution::all(part, Algorithm::of(&part), epilogue, kernels).pop()?
            } else {
                let taps =
                    rows.iter().flat_map(|row| columns.iter().map(move |column| row * shape.window.kernel[1] + column));
                Convolution::of_taps(part, taps.collect(), epilogue, kernels)
            };
            parts.push((Phase { step, first }, convolution));
        }
        Some(Self { parts })
    }

    /// Numbers that its weights are laid out in.
    pub fn weights(&self) -> usize {
        self.parts.iter().map(|(_, part)| part.weights()).sum()
    }

    /// Lays the convolution's kernel out, in so many numbers.
    pub fn lay_out(&self, kernel: KernelView<'_>, mut weights: &mut [f32]) {
        let kernel = kernel.transposed();
        for (_, part) in &self.parts {
            let (of_part, others) = weights.split_at_mut(part.weights());
            part.lay_out(&kernel, of_part);
            weights = others;
        }
    }

    /// Numbers of scratch that a block needs.
    pub fn scratch(&self) -> usize {
        self.parts.iter().map(|(_, part)| part.scratch()).max().unwrap_or(0)
    }

    /// From the gradient of the outputs to that of the inputs, with weights that [`Self::lay_out`] wrote.
    ///
    /// # Safety
    /// As [`Convolution::run`], of all blocks.
    pub unsafe fn run(&self, workers: &Workers, mut weights: &[f32], [by_output, by_input]: [&Map; 2]) {
        for (phase, part) in &self.parts {
            let (of_part, others) = weights.split_at(part.weights());
            weights = others;
            let operands = Operands { kernels: workers.kernels.as_ref(), zeros: &workers.zeros, weights: of_part };
            let by_input = &by_input.every(phase.step, phase.first);
            let of = part.blocks(by_input, workers.blocks());
            workers.each(of, |scratch, at| {
                // SAFETY: the caller's promise; blocks are different pixels.
                let block = Block { at, of };
                unsafe { part.run(operands, scratch, [by_output, by_input], block) }
            });
        }
    }
}

/// The taps of a phase along an axis, in the order of the flipped kernel and counted in it, and their padding.
fn along(shape: &inception::Convolution, axis: usize, first: usize) -> Option<(Vec<usize>, usize)> {
    let Window { kernel, stride, padding } = shape.window;
    let reach = first + padding[axis];
    let taps: Vec<usize> =
        (reach % stride..kernel[axis]).step_by(stride).rev().map(|tap| kernel[axis] - 1 - tap).collect();
    let padding = taps.len().checked_sub(1)?.checked_sub(reach / stride)?;
    Some((taps, padding))
}
