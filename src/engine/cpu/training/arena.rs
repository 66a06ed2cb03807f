//! The activations of a batch, or their gradients: a buffer after the other in one piece of memory, which the next batch uses again.

use super::super::map::Map;
use super::super::memory::Memory;
use super::program::{Buffer, Place};
use super::workers::Shared;

/// Memory for the buffers of a program.
pub struct Arena {
    memory: Memory,
    /// By buffer: where it begins, and its maps' size.
    slots: Vec<Slot>,
    images: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    offset: usize,
    size: [usize; 2],
    channels: usize,
}

/// Where the buffers of an arena are.
pub struct Maps<'a> {
    base: Shared,
    slots: &'a [Slot],
    images: usize,
}

/// Numbers in a cache line.
const LINE: usize = 16;

impl Arena {
    pub fn new() -> Self {
        Self { memory: Memory::zeroed(0), slots: Vec::new(), images: 0 }
    }

    /// Lays the buffers out for so many images, by the size of the maps of each node. Those that `has` leaves out have no memory.
    pub fn lay_out(&mut self, buffers: &[Buffer], sizes: &[[usize; 2]], images: usize, has: impl Fn(&Buffer) -> bool) {
        let mut end = 0;
        self.images = images;
        self.slots.clear();
        for buffer in buffers {
            let size = sizes[buffer.node];
            self.slots.push(Slot { offset: end, size, channels: buffer.channels });
            if has(buffer) {
                end += (images * size[0] * size[1] * buffer.channels).next_multiple_of(LINE);
            }
        }
        if self.memory.len() < end {
            // Not both at once.
            self.memory = Memory::zeroed(0);
            self.memory = Memory::zeroed(end);
        }
    }

    /// How many images it is laid out for, and the size of the maps of each node that has a buffer.
    pub fn shapes(&self, nodes: usize, buffers: &[Buffer]) -> (usize, Vec<[usize; 2]>) {
        let mut sizes = vec![[0; 2]; nodes];
        for (buffer, slot) in buffers.iter().zip(&self.slots) {
            sizes[buffer.node] = slot.size;
        }
        (self.images, sizes)
    }

    pub fn maps(&mut self) -> Maps<'_> {
        Maps { base: Shared::new(self.memory.as_mut_ptr()), slots: &self.slots, images: self.images }
    }
}

impl Maps<'_> {
    /// The channels of a place.
    pub fn of(&self, place: Place) -> Map {
        let Slot { offset, size, channels } = self.slots[place.buffer];
        Map::dense(self.base.at(offset + place.channel), self.images, size, place.channels, channels)
    }
}
