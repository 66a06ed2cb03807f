//! What the card does on the way back, one thing after the other, at fixed addresses.
#![expect(unsafe_code, reason = "sends work on addresses")]

use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::super::cudnn::{Handle, Launch};
use super::super::error::Result;
use super::super::kernels::Pool;
use super::super::map::Map;
use super::kernels::ByFolded;
use super::model::Model;
use super::unit::Folding;

/// One thing that the card does.
pub enum Back {
    /// Through a ReLU, to packed memory, and sums of pieces of it where they are wanted.
    Mask { maps: [Map; 2], masked: CUdeviceptr, sums: Option<CUdeviceptr> },
    /// Rows to sums of pieces of them.
    SumRows { places: [CUdeviceptr; 2], rows: usize, columns: usize },
    /// A gradient of a convolution, by cuDNN.
    Convolution(Launch),
    /// Channels to a packed map.
    Pack { from: Map, to: Map },
    /// A packed map to its channels.
    Accumulate { from: CUdeviceptr, to: Map, adds: bool },
    /// Through a pool: its inputs, the gradient by the outputs, and that by the inputs.
    Pool { pool: Pool, maps: [Map; 3], adds: bool },
    /// Through the mean of each channel.
    GlobalAverage { by_output: CUdeviceptr, by_input: Map, adds: bool },
    /// To the gradient by beta.
    Beta { by_beta: CUdeviceptr, gradient: CUdeviceptr, count: usize },
    /// To that by a kernel.
    Kernel { of: Folding, by_folded: ByFolded, gradient: CUdeviceptr },
    /// By the scales, in sums of pieces.
    Scales { of: Folding, by_folded: ByFolded, sums: CUdeviceptr },
    /// To the gradient by gamma, given those by the scales and by beta.
    Gamma { of: Folding, by: [CUdeviceptr; 2], gradient: CUdeviceptr },
}

impl Back {
    /// Sends it to the card's stream, on which the handle is.
    ///
    /// # Safety
    /// All addresses are in memory with room for the shapes, until the stream is past it, and nobody on another stream touches it.
    ///
    /// # Errors
    /// Those of the driver and of cuDNN.
    pub unsafe fn send(&self, model: &Model, handle: &Handle) -> Result<()> {
        let (kernels, card) = (&model.kernels, &model.card);
        let stream = &*card.stream;
        // SAFETY: the caller answers for it.
        unsafe {
            match self {
                Self::Mask { maps: [output, by_output], masked, sums } => {
                    kernels.mask(stream, [output, by_output], *masked, *sums)
                }
                Self::SumRows { places, rows, columns } => kernels.sum_rows(stream, *places, *rows, *columns),
                Self::Convolution(launch) => launch.run(handle),
                Self::Pack { from, to } => card.kernels.pool(stream, &Pool::COPY, from, to),
                Self::Accumulate { from, to, adds } => kernels.accumulate(stream, *from, to, *adds),
                Self::Pool { pool, maps: [input, by_output, by_input], adds } => {
                    kernels.pool_gradient(stream, pool, [input, by_output, by_input], *adds)
                }
                Self::GlobalAverage { by_output, by_input, adds } => {
                    kernels.global_average_gradient(stream, *by_output, by_input, *adds)
                }
                Self::Beta { by_beta, gradient, count } => kernels.add_vector(stream, *by_beta, *gradient, *count),
                Self::Kernel { of, by_folded, gradient } => {
                    kernels.add_kernel_gradient(stream, of, *by_folded, *gradient)
                }
                Self::Scales { of, by_folded, sums } => kernels.scale_gradient(stream, of, *by_folded, *sums),
                Self::Gamma { of, by, gradient } => kernels.add_gamma_gradient(stream, of, *by, *gradient),
            }
        }
    }
}
