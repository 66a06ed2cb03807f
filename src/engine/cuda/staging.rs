//! Pixels on their way to the card, and rows on their way back.
//!
//! ```text
//! images ─▶ pinned ─▶ on the card ─▶ the engine's stream ─▶ pinned ─▶ rows
//!           copied beside what is computed  ╰ waits for them    ╰ read when it is past
//! ```
//!
//! The system may move ordinary memory, so the driver copies it twice and waits; pinned memory stays, and goes at the bus's own speed
//! while the card computes something else.
#![expect(unsafe_code, reason = "pinned memory, and copies by address")]

use std::ptr;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::sys::{CUdeviceptr, CUevent_flags};
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaStream, DeviceRepr, PinnedHostSlice, ValidAsZeroBits};

use super::card::Card;
use super::error::Result;
use super::kernels;
use super::memory::{self, Memory};
use crate::engine::input::require_alike;
use crate::image::{Pixels, Values};

/// Memory for one batch on its way.
pub struct Staging {
    pixels: PinnedHostSlice<u8>,
    on_card: Memory,
    rows: PinnedHostSlice<f32>,
    /// The pixels are on the card.
    arrived: CudaEvent,
    /// The rows are in pinned memory.
    done: CudaEvent,
    /// What work on it may be on.
    streams: [Arc<CudaStream>; 2],
}

/// Bytes of pixels and numbers of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub pixels: usize,
    /// Numbers.
    pub rows: usize,
}

impl Staging {
    /// With room for a batch.
    ///
    /// # Errors
    /// Out of memory, of either side.
    pub fn new(card: &Card, room: Room) -> Result<Self> {
        let context = card.context()?;
        Ok(Self {
            pixels: pinned(card, room.pixels)?,
            on_card: Memory::zeroed(&card.copies, room.pixels)?,
            rows: pinned(card, room.rows)?,
            arrived: context.new_event(None)?,
            // Whoever waits for it does not keep a core busy.
            done: context.new_event(Some(CUevent_flags::CU_EVENT_BLOCKING_SYNC))?,
            streams: [Arc::clone(&card.copies), Arc::clone(&card.stream)],
        })
    }

    /// Whether it has room for as much.
    pub fn has(&self, room: Room) -> bool {
        self.pixels.len() >= room.pixels && self.rows.len() >= room.rows
    }

    /// Takes in images, all of one kind and size, and sends them on their way; gives where they will be once `arrived`.
    ///
    /// # Errors
    /// Where they are of several kinds or sizes; those of the driver.
    pub fn send(&mut self, images: &[Pixels]) -> Result<kernels::Pixels> {
        let first = require_alike(images)?;
        let mut rest = self.pixels.as_mut_slice()?;
        let mut all = 0;
        for image in images {
            let (place, behind) = rest.split_at_mut(bytes(first));
            take_in(image, place);
            rest = behind;
            all += place.len();
        }
        let pinned = &self.pixels.as_slice()?[..all];
        let to = self.on_card.address();
        let copies = &self.streams[0];
        // SAFETY: there is room for as many bytes, and this keeps both until all streams are past them.
        unsafe { memory::to_card(copies, pinned, to)? };
        self.arrived.record(copies)?;
        Ok(match first.values {
            Values::U8(_) => kernels::Pixels::Bytes(to),
            Values::F32(_) => kernels::Pixels::Floats(to),
        })
    }

    /// Makes the engine's stream wait for the pixels.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn await_pixels(&self) -> Result<()> {
        Ok(self.streams[1].wait(&self.arrived)?)
    }

    /// Sends so many numbers on their way back, behind what is on the engine's stream.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn send_back(&mut self, from: CUdeviceptr, numbers: usize) -> Result<()> {
        let rows = &mut self.rows.as_mut_slice()?[..numbers];
        // SAFETY: the engine's result has as many, and nobody looks at the rows before `done`.
        unsafe { memory::to_host(&self.streams[1], from, rows)? };
        Ok(self.done.record(&self.streams[1])?)
    }

    /// Waits for the rows.
    ///
    /// # Errors
    /// Those of the driver, whatever went wrong on the card since.
    pub fn rows(&self, numbers: usize) -> Result<Vec<f32>> {
        self.done.synchronize()?;
        Ok(self.rows.as_slice()?[..numbers].to_vec())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Where something went wrong halfway, pixels may still be on their way; the engine's stream is done with this.
        let _ = self.streams[0].synchronize();
        let _ = self.done.synchronize();
    }
}

/// Pinned memory, zero at first.
fn pinned<T: DeviceRepr + ValidAsZeroBits>(card: &Card, len: usize) -> Result<PinnedHostSlice<T>> {
    // SAFETY: it is filled with zeros before anybody sees it, and zeros are a T.
    unsafe {
        let mut memory = card.context()?.alloc_pinned_with_flags::<T>(len.max(1), 0)?;
        ptr::write_bytes(memory.as_mut_ptr()?, 0, len.max(1));
        Ok(memory)
    }
}

/// Bytes of an image's values.
pub const fn bytes(image: &Pixels) -> usize {
    match &image.values {
        Values::U8(bytes) => bytes.len(),
        Values::F32(floats) => floats.len() * size_of::<f32>(),
    }
}

/// Writes an image's values where they are to be.
fn take_in(image: &Pixels, place: &mut [u8]) {
    match &image.values {
        Values::U8(bytes) => place.copy_from_slice(bytes),
        Values::F32(floats) => {
            for (place, float) in place.as_chunks_mut::<4>().0.iter_mut().zip(floats) {
                *place = float.to_ne_bytes();
            }
        }
    }
}
