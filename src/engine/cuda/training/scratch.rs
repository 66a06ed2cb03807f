//! Memory that one unit after the other uses on the way back.

use super::super::error::Result;
use super::super::map::Map;
use super::super::memory::Memory;
use super::kernels::{PIXELS, scale_pieces};
use super::model::Model;
use crate::engine::trainable::plan::Step;

/// Memory that is nobody's for longer than a unit's way back.
pub struct Scratch {
    /// The gradient behind the ReLU, packed.
    pub masked: Memory,
    /// The gradient by the input before it is added to what is there; then the input, where it has to be packed.
    pub aside: Memory,
    /// The gradient by the folded kernel.
    pub by_folded: Memory,
    /// Sums of pieces, and sums of those.
    pub sums: [Memory; 2],
    /// By beta,
    pub by_beta: Memory,
    /// and by the scale, by channel.
    pub by_scale: Memory,
}

impl Scratch {
    /// As much as the largest unit needs.
    ///
    /// # Errors
    /// Those of the driver: out of memory.
    pub fn new(model: &Model, maps: impl Fn(&Step) -> [Map; 2]) -> Result<Self> {
        let (mut masked, mut aside, mut by_folded, mut sums, mut channels) = (0, 0, 0, 0, 0);
        for (step, work) in &model.program.steps {
            let Some(unit) = work.unit() else { continue };
            let ([input, output], of) = (maps(step), unit.folding(&model.program.parameters));
            let pieces = (output.shape.images * output.shape.pixels()).div_ceil(PIXELS);
            masked = masked.max(output.shape.len());
            aside = aside.max(input.shape.len());
            by_folded = by_folded.max(of.folded_len());
            sums = sums.max(pieces.max(scale_pieces(&of)) * of.out());
            channels = channels.max(of.out());
        }
        let stream = &model.card.stream;
        let activations =
            |numbers: usize| Memory::zeroed(stream, numbers * model.card.arithmetic.dtype.size_in_bytes());
        let floats = |numbers: usize| Memory::zeroed(stream, numbers * size_of::<f32>());
        Ok(Self {
            masked: activations(masked)?,
            aside: activations(aside)?,
            by_folded: floats(by_folded)?,
            sums: [floats(sums)?, floats(sums)?],
            by_beta: floats(channels)?,
            by_scale: floats(channels)?,
        })
    }

    /// All of it.
    pub fn into_memory(self) -> impl Iterator<Item = Memory> {
        let Self { masked, aside, by_folded, sums, by_beta, by_scale } = self;
        [masked, aside, by_folded, by_beta, by_scale].into_iter().chain(sums)
    }
}
