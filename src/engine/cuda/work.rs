//! What the card does, one thing after the other, at fixed addresses.
#![expect(unsafe_code, reason = "sends work on addresses")]

use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::card::Card;
use super::cudnn::{Handle, Launch};
use super::error::Result;
use super::kernels::Pool;
use super::map::Map;

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

impl Work {
    /// Sends it to the card's stream, on which the handle is.
    ///
    /// # Safety
    /// All addresses are in memory with room for the shapes, until the stream is past it, and nobody on another stream touches it.
    ///
    /// # Errors
    /// Those of the driver and of cuDNN.
    pub unsafe fn send(&self, card: &Card, handle: &Handle) -> Result<()> {
        let (kernels, stream) = (&card.kernels, &*card.stream);
        // SAFETY: the caller answers for it.
        unsafe {
            match self {
                Self::Convolution(launch) => launch.run(handle),
                Self::Pool { pool, input, output } => kernels.pool(stream, pool, input, output),
                Self::GlobalAverage { input, output } => kernels.global_average(stream, input, *output),
                Self::Planes { input, output } => kernels.planes(stream, input, *output),
            }
        }
    }
}
