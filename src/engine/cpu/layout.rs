//! Where the buffers of a program lie in one piece of memory, for images of one size.
//!
//! Steps on large maps are taken one image at a time, so that what one wrote is still near when the next one reads it. Small
//! maps fill too few register tiles and use the weights too seldom: from some step on, a group of images goes together.
//!
//! ```text
//! image 1: ▪▪▪▪▪▪▪▪▪▪╮
//! image 2: ▪▪▪▪▪▪▪▪▪▪┼─▶ together: ▪▪▪▪▪▪
//! image 3: ▪▪▪▪▪▪▪▪▪▪╯
//! ```
//!
//! Buffers share memory where they are not alive at the same time.

use super::program::Program;
use crate::engine::lifetimes::{first_fit, lifetimes};
use crate::engine::plan::Place;

/// Maps with fewer pixels than this go together.
const SMALL: usize = 128;
/// Numbers in a cache line.
const LINE: usize = 16;

/// The lie of the buffers.
#[derive(Debug)]
pub struct Layout {
    /// The first step on the whole group.
    pub together: usize,
    /// By buffer.
    pub slots: Vec<Slot>,
    /// Numbers of memory.
    pub len: usize,
    /// `[channels, height, width]` of what the last node gives.
    pub result: [usize; 3],
}

/// Where a buffer lies.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Its first number.
    pub offset: usize,
    /// `[height, width]`.
    pub size: [usize; 2],
    /// Whether it has room for the group, or for one image.
    pub group: bool,
    /// Numbers of an image.
    pub image: usize,
}

impl Layout {
    /// Lays out a program for images of this size, [channels, height, width] of each node's result being known.
    pub fn new(program: &Program, shapes: &[[usize; 3]], group: usize) -> Self {
        let pixels = |place: &Place| {
            let node = place.buffer.map_or(0, |buffer| program.buffers[buffer].node);
            shapes[node][1] * shapes[node][2]
        };
        let large = |step: &super::program::Step| pixels(&step.input).max(pixels(&step.output)) >= SMALL;
        let together = program.steps.iter().rposition(large).map_or(0, |last| last + 1);

        let places = program.steps.iter().map(|step| [step.input, step.output]);
        let mut alive = lifetimes(places, program.buffers.len(), program.result);

        let mut slots: Vec<Slot> = Vec::with_capacity(program.buffers.len());
        for (buffer, alive) in program.buffers.iter().zip(&mut alive) {
            let [_, height, width] = shapes[buffer.node];
            let of_group = alive.1 >= together;
            if of_group && alive.0 < together {
                // The steps before come again for each image: it is alive during all of them.
                alive.0 = 0;
            }
            let image = height * width * buffer.channels;
            slots.push(Slot { offset: 0, size: [height, width], group: of_group, image });
        }
        let lens = slots.iter().map(|slot| (slot.image * if slot.group { group } else { 1 }).next_multiple_of(LINE));
        let (offsets, len) = first_fit(&lens.collect::<Vec<_>>(), &alive);
        for (slot, offset) in slots.iter_mut().zip(offsets) {
            slot.offset = offset;
        }
        Self { together, slots, len, result: shapes.last().copied().unwrap_or_default() }
    }
}
