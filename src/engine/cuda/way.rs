//! How a convolution gets from place to place, and what the card does for it.
//!
//! ```text
//! at once    input ─▶ convolution, bias, ReLU ─▶ output
//! apart      input ─▶ (packed) ─▶ convolution ─▶ packed ─▶ bias, ReLU, to its channels ─▶ output
//! ```
//!
//! A convolution is done at once with bias and ReLU, from place to place. Where none of cuDNN's engines does that, it goes to packed memory
//! alone, and a kernel of ours takes it from there to its channels with bias and ReLU; and where what it reads is not packed either and
//! that is refused, it is packed first.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::card::Card;
use super::cudnn::{Convolution, ExecutionPlan, Handle, Launch, Operation, Pointers};
use super::error::{CudaError, Result};
use super::kernels::Pool;
use super::map::{Map, Shape};
use super::memory::Memory;
use super::tuner::Tuner;
use super::work::Work;
use crate::inception::Window;

/// A convolution with its numbers on the card.
#[derive(Clone, Copy)]
pub struct Layer<'a> {
    /// What errors call it.
    pub name: &'a str,
    /// What it slides.
    pub window: Window,
    /// Whether bias and ReLU follow at once.
    pub fused: bool,
    /// `[out, height, width, in]` in the card's number type.
    pub kernel: CUdeviceptr,
    /// `[out]`, float32,
    pub bias: CUdeviceptr,
    /// and rounded like the kernel.
    pub rounded_bias: CUdeviceptr,
}

/// How a convolution is done.
pub struct Chosen {
    plan: Arc<ExecutionPlan>,
    way: Way,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// At once, from place to place.
    Direct,
    /// To packed memory, and from packed memory or not.
    Apart { packs_input: bool },
}

impl Chosen {
    /// Chooses how a layer is done between two places, which may be written to.
    ///
    /// # Errors
    /// Out of memory; a layer that no engine computes.
    pub fn new(
        card: &Card,
        handle: &Handle,
        tuner: &mut Tuner,
        layer: &Layer,
        [input, output]: [Map; 2],
    ) -> Result<Self> {
        let direct = Convolution {
            dtype: card.arithmetic.dtype,
            tensor_cores: card.arithmetic.tensor_cores,
            input: input.shape,
            output: output.shape,
            window: layer.window,
            fused: layer.fused,
        };
        let places = layer.pointers([input.address, output.address], 0);
        if let Some(plan) = tuner.plan(card, handle, &direct, places)? {
            return Ok(Self { plan, way: Way::Direct });
        }
        let mut tried = vec![direct.key()];
        let [of_input, of_output] = [input.shape, output.shape].map(packed_bytes);
        let packed = Memory::zeroed(&card.stream, of_input + of_output)?;
        for packs_input in [false, true] {
            let apart = Convolution {
                input: if packs_input { input.shape.packed() } else { input.shape },
                output: output.shape.packed(),
                fused: false,
                ..direct
            };
            let input = if packs_input { packed.address() + of_output as CUdeviceptr } else { input.address };
            let places = layer.pointers([input, packed.address()], 0);
            if let Some(plan) = tuner.plan(card, handle, &apart, places)? {
                return Ok(Self { plan, way: Way::Apart { packs_input } });
            }
            tried.push(apart.key());
        }
        tuner.forget(&tried);
        let detail = tuner.last_words().to_owned();
        Err(CudaError::NoEngine { layer: layer.name.to_owned(), key: direct.key(), detail })
    }

    /// Bytes of workspace that it needs.
    pub fn workspace(&self) -> usize {
        self.plan.workspace()
    }

    /// Bytes of packed memory that it needs between these shapes.
    pub fn packed(&self, input: Shape, output: Shape) -> usize {
        match self.way {
            Way::Direct => 0,
            Way::Apart { .. } => packed_bytes(input) + packed_bytes(output),
        }
    }

    /// What the card does for it, with as much workspace and packed memory as it needs.
    ///
    /// # Errors
    /// Those of cuDNN.
    pub fn works(
        &self,
        layer: &Layer,
        [input, output]: [Map; 2],
        workspace: CUdeviceptr,
        packed: CUdeviceptr,
    ) -> Result<Vec<Work>> {
        let launch = |input, output| -> Result<Work> {
            let pointers = layer.pointers([input, output], workspace);
            Ok(Work::Convolution(Launch::new(&self.plan, &pointers)?))
        };
        let Way::Apart { packs_input } = self.way else { return Ok(vec![launch(input.address, output.address)?]) };
        let result = Map { address: packed, shape: output.shape.packed() };
        let behind = packed + packed_bytes(output.shape) as CUdeviceptr;
        let copy = Map { address: behind, shape: input.shape.packed() };
        let read = if packs_input { copy } else { input };
        let mut works = Vec::new();
        if packs_input {
            works.push(Work::Pool { pool: Pool::COPY, input, output: copy });
        }
        works.push(launch(read.address, result.address)?);
        let bias = layer.fused.then_some(layer.bias);
        works.push(Work::Pool { pool: Pool { bias, relu: layer.fused, ..Pool::COPY }, input: result, output });
        Ok(works)
    }
}

impl Layer<'_> {
    fn pointers(&self, [input, output]: [CUdeviceptr; 2], workspace: CUdeviceptr) -> Pointers {
        let Self { kernel, bias, rounded_bias, .. } = *self;
        Pointers { input, kernel, bias, rounded_bias, output, workspace }
    }
}

/// Room for a shape's numbers without gaps, of the widest type, a multiple of what addresses are aligned to.
pub const fn packed_bytes(shape: Shape) -> usize {
    (shape.len() * size_of::<f32>()).next_multiple_of(256)
}
