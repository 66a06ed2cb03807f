//! What is ready to run for batches of one size: memory, what the card does step by step, and the graph that it was captured as.
//!
//! ```text
//! works: fixed addresses ─▶ run once ─▶ captured once ─▶ replayed for every batch
//! ```
//!
//! Where a graph cannot be captured the works are sent one by one, for every batch.
#![expect(unsafe_code, reason = "works on addresses in memory that this keeps")]

use candle_core::cuda_backend::cudarc::driver::CudaGraph;
use candle_core::cuda_backend::cudarc::driver::sys::{CUdeviceptr, CUgraphInstantiate_flags, CUstreamCaptureMode};

use super::card::Card;
use super::cudnn::{Handle, Launch};
use super::error::Result;
use super::kernels::{Pixels, Pool};
use super::map::Map;
use super::memory::Memory;
use crate::image::Normalise;

/// What batches of one size need.
pub struct Batch {
    /// None where it cannot be captured.
    graph: Option<Graph>,
    works: Vec<Work>,
    input: Map,
    result: CUdeviceptr,
    without_graph: Option<String>,
    /// What all the addresses are in.
    _memory: [Memory; 3],
}

/// A captured graph.
struct Graph(CudaGraph);

// SAFETY: a graph may go from thread to thread, as long as one at a time uses it; it is not Sync.
unsafe impl Send for Graph {}

/// One thing that the card does.
pub enum Work {
    /// A convolution, by cuDNN.
    Convolution(Launch),
    /// A pool, or a copy.
    Pool {
        /// What is done,
        pool: Pool,
        /// from where
        input: Map,
        /// to where.
        output: Map,
    },
    /// The mean of each channel, float32.
    GlobalAverage {
        /// From where
        input: Map,
        /// to where.
        output: CUdeviceptr,
    },
    /// A map, channel after channel, float32.
    Planes {
        /// From where
        input: Map,
        /// to where.
        output: CUdeviceptr,
    },
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
        let mut batch = Self { graph: None, works, input, result, without_graph: None, _memory: memory };
        batch.capture(card, handle)?;
        Ok(batch)
    }

    /// Where what leaves the network is.
    pub const fn result(&self) -> CUdeviceptr {
        self.result
    }

    /// Why there is no graph, for the user to know.
    pub fn without_graph(&self) -> Option<&str> {
        self.without_graph.as_deref()
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
        match &self.graph {
            Some(Graph(graph)) => Ok(graph.launch()?),
            None => self.launch(card, handle),
        }
    }

    /// Runs once, for the driver loads what it needs at first use, and captures the graph.
    fn capture(&mut self, card: &Card, handle: &Handle) -> Result<()> {
        self.launch(card, handle)?;
        card.stream.synchronize()?;
        // Of this thread alone: others may go on allocating and copying.
        card.stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)?;
        let launched = self.launch(card, handle);
        let captured = card.stream.end_capture(CUgraphInstantiate_flags(0));
        let graph = launched.and_then(|()| Ok(captured?));
        match graph {
            Ok(Some(graph)) => {
                graph.upload()?;
                self.graph = Some(Graph(graph));
            }
            Err(error) if error.is_out_of_memory() => return Err(error),
            Ok(None) => self.without_graph = Some("nothing was captured".to_owned()),
            Err(error) => self.without_graph = Some(error.to_string()),
        }
        Ok(())
    }

    fn launch(&self, card: &Card, handle: &Handle) -> Result<()> {
        let (kernels, stream) = (&card.kernels, &*card.stream);
        for work in &self.works {
            // SAFETY: whoever made this answers for the addresses; all work on them is on this stream.
            unsafe {
                match work {
                    Work::Convolution(launch) => launch.run(handle)?,
                    Work::Pool { pool, input, output } => kernels.pool(stream, pool, input, output)?,
                    Work::GlobalAverage { input, output } => kernels.global_average(stream, input, *output)?,
                    Work::Planes { input, output } => kernels.planes(stream, input, *output)?,
                }
            }
        }
        Ok(())
    }
}
