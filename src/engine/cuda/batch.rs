//! What is ready to run for batches of one size: memory, what the card does step by step, and the graph that it was captured as.
//!
//! ```text
//! works: fixed addresses ─▶ run once ─▶ captured once ─▶ replayed for every batch
//! ```
#![expect(unsafe_code, reason = "works on addresses in memory that this keeps")]

use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::captured::Captured;
use super::card::Card;
use super::cudnn::Handle;
use super::error::Result;
use super::kernels::Pixels;
use super::map::Map;
use super::memory::Memory;
use super::work::Work;
use crate::image::Normalise;

/// What batches of one size need.
pub struct Batch {
    captured: Captured,
    works: Vec<Work>,
    input: Map,
    result: CUdeviceptr,
    /// What all the addresses are in.
    _memory: [Memory; 3],
}

/// Where a batch begins and ends.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The images, normalised.
    pub input: Map,
    /// What leaves the network.
    pub result: CUdeviceptr,
}

impl Batch {
    /// Takes works on memory that it keeps, runs them once and captures them.
    ///
    /// # Safety
    /// All addresses are in that memory, with room for the shapes, or in memory that outlives the batch; and nobody on another stream
    /// touches it.
    ///
    /// # Errors
    /// Those of the driver and of cuDNN.
    pub unsafe fn new(card: &Card, handle: &Handle, works: Vec<Work>, ends: Ends, memory: [Memory; 3]) -> Result<Self> {
        let Ends { input, result } = ends;
        // SAFETY: the caller answers for the addresses; all work on them is on this stream.
        let captured = Captured::new(&card.stream, || unsafe { send(&works, card, handle) })?;
        Ok(Self { captured, works, input, result, _memory: memory })
    }

    /// Where what leaves the network is.
    pub const fn result(&self) -> CUdeviceptr {
        self.result
    }

    /// Why there is no graph, for the user to know.
    pub fn without_graph(&self) -> Option<&str> {
        self.captured.without_graph()
    }

    /// Sends all the work on `count` images, no more than this is for, to the card's stream: from pixels on the card to
    /// [`Self::result`].
    ///
    /// # Safety
    /// The pixels are there until the stream is past it, and are not written meanwhile.
    ///
    /// # Errors
    /// Those of the driver and of cuDNN.
    pub unsafe fn run(
        &self,
        card: &Card,
        handle: &Handle,
        pixels: Pixels,
        count: usize,
        normalise: &Normalise,
    ) -> Result<()> {
        // SAFETY: the input is in the memory that this keeps, and has room; for the pixels the caller answers.
        unsafe { card.kernels.input(&card.stream, pixels, count, normalise, &self.input)? };
        // SAFETY: as in `new`.
        self.captured.run(|| unsafe { send(&self.works, card, handle) })
    }
}

/// # Safety
/// As [`Work::send`].
unsafe fn send(works: &[Work], card: &Card, handle: &Handle) -> Result<()> {
    // SAFETY: the caller answers for it.
    works.iter().try_for_each(|work| unsafe { work.send(card, handle) })
}
