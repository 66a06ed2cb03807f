//! The card as all parts of the engine see it: streams, kernels, what is computed with.
#![expect(unsafe_code, reason = "memory that is filled later; asks the driver for its version")]

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::sys::{CUdeviceptr, cuDriverGetVersion};
use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtrMut};
use candle_core::{CudaDevice, Device, bail};

use super::arithmetic::Arithmetic;
use super::error::Result;
use super::kernels::Kernels;

/// A card.
pub struct Card {
    /// Where tensors are.
    pub device: CudaDevice,
    /// candle's stream, on which tensors come and go.
    pub tensors: Arc<CudaStream>,
    /// The engine's own, where it computes. Nobody else uses it, so that nothing of anybody else's is captured with a graph.
    pub stream: Arc<CudaStream>,
    /// For copies of pixels to the card, beside the computing.
    pub copies: Arc<CudaStream>,
    /// Our own kernels.
    pub kernels: Kernels,
    /// What is computed with.
    pub arithmetic: Arithmetic,
}

impl Card {
    /// Prepares a card.
    ///
    /// # Errors
    /// Where the device is none; those of the driver.
    pub fn new(device: &Device, arithmetic: Arithmetic) -> candle_core::Result<Self> {
        let Device::Cuda(device) = device else { bail!("the CUDA engine on a device that is no NVIDIA card") };
        Ok(Self::of(device, arithmetic)?)
    }

    fn of(device: &CudaDevice, arithmetic: Arithmetic) -> Result<Self> {
        let tensors = device.cuda_stream();
        let context = Arc::clone(tensors.context());
        Ok(Self {
            device: device.clone(),
            stream: context.new_stream()?,
            copies: context.new_stream()?,
            kernels: Kernels::new(&context, arithmetic)?,
            tensors,
            arithmetic,
        })
    }

    /// New memory for a tensor of so many numbers, filled by work that `fill`, told where it is, sends to the engine's stream. The
    /// work comes behind what is on candle's stream now, and what comes there later waits for it.
    ///
    /// # Errors
    /// Out of memory; those of `fill`.
    pub fn tensor(&self, numbers: usize, fill: impl FnOnce(CUdeviceptr) -> Result<()>) -> Result<CudaSlice<f32>> {
        self.context()?;
        // SAFETY: all of it is written before anybody reads it.
        let mut memory = unsafe { self.tensors.alloc::<f32>(numbers)? };
        self.stream.join(&self.tensors)?;
        let filled = fill(memory.device_ptr_mut(&self.stream).0);
        self.tensors.join(&self.stream)?;
        filled.map(|()| memory)
    }

    /// What NVIDIA calls it.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn name(&self) -> Result<String> {
        Ok(self.context()?.name()?)
    }

    /// The card's context, bound to this thread.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn context(&self) -> Result<&Arc<CudaContext>> {
        let context = self.stream.context();
        context.bind_to_thread()?;
        Ok(context)
    }
}

/// The driver's version, as the newest CUDA that it knows: 13000 is 13.0.
///
/// # Errors
/// Those of the driver.
pub fn driver_version() -> Result<i32> {
    let mut version = 0;
    // SAFETY: the place for the number is there.
    unsafe { cuDriverGetVersion(&raw mut version) }.result()?;
    Ok(version)
}
