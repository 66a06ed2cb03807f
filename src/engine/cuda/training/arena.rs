//! The activations of a batch, or their gradients: a buffer after the other in one piece of the card's memory.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::CudaStream;
use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::super::arithmetic::Arithmetic;
use super::super::error::Result;
use super::super::map::{Map, Shape};
use super::super::memory::Memory;
use super::super::parameters::padded;
use crate::engine::trainable::plan::{Buffer, Place};

/// Bytes that buffers begin at multiples of.
const LINE: usize = 256;

/// Memory for the buffers of a plan.
pub struct Arena {
    memory: Memory,
    /// By buffer.
    slots: Vec<Slot>,
    images: usize,
    arithmetic: Arithmetic,
}

#[derive(Clone, Copy)]
struct Slot {
    offset: usize,
    size: [usize; 2],
    channels: usize,
}

impl Arena {
    /// Lays the buffers out for so many images, by the size of the maps of each node. Those that `has` leaves out have no memory.
    ///
    /// # Errors
    /// Those of the driver: out of memory.
    pub fn new(
        stream: &Arc<CudaStream>,
        buffers: &[Buffer],
        sizes: &[[usize; 2]],
        images: usize,
        arithmetic: Arithmetic,
        has: impl Fn(&Buffer) -> bool,
    ) -> Result<Self> {
        let mut end = 0;
        let mut slots = Vec::new();
        for buffer in buffers {
            let (size, channels) = (sizes[buffer.node], padded(buffer.channels, arithmetic.pack()));
            slots.push(Slot { offset: end, size, channels });
            if has(buffer) {
                let bytes = images * size[0] * size[1] * channels * arithmetic.dtype.size_in_bytes();
                end += bytes.next_multiple_of(LINE);
            }
        }
        Ok(Self { memory: Memory::zeroed(stream, end)?, slots, images, arithmetic })
    }

    /// The channels of a place.
    pub fn map(&self, place: Place) -> Map {
        let Slot { offset, size, channels: stride } = self.slots[place.buffer];
        let channels = padded(place.channels, self.arithmetic.pack());
        let offset = offset + place.channel * self.arithmetic.dtype.size_in_bytes();
        let shape = Shape { images: self.images, size, channels, stride };
        Map { address: self.memory.address() + offset as CUdeviceptr, shape }
    }
}
