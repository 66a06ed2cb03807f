//! The card's memory, and copies to, from and within it.
//!
//! cudarc's slices keep the memory; what is copied is named by address, because most of it lies somewhere inside a larger piece, and
//! because a slice records events when it is touched, which must not happen while a graph is captured.
#![expect(unsafe_code, reason = "copies by address")]

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DeviceRepr, result};

use super::error::Result;

/// A piece of the card's memory that stays where it is.
pub struct Memory {
    address: CUdeviceptr,
    /// Keeps it, and frees it when the stream is past it.
    _slice: CudaSlice<u8>,
}

impl Memory {
    /// So many bytes, zero at first, for work on this stream.
    ///
    /// # Errors
    /// Those of the driver: out of memory.
    pub fn zeroed(stream: &Arc<CudaStream>, bytes: usize) -> Result<Self> {
        let slice = stream.alloc_zeros::<u8>(bytes.max(1))?;
        let address = slice.device_ptr(stream).0;
        Ok(Self { address, _slice: slice })
    }

    /// These numbers.
    ///
    /// # Errors
    /// Those of the driver: out of memory.
    pub fn of<T: DeviceRepr>(stream: &Arc<CudaStream>, numbers: &[T]) -> Result<Self> {
        let memory = Self::zeroed(stream, size_of_val(numbers))?;
        // SAFETY: as many bytes are there, of this memory alone; the copy from memory that is not pinned is done with it on return.
        unsafe { result::memcpy_htod_async(memory.address, numbers, stream.cu_stream())? };
        stream.synchronize()?;
        Ok(memory)
    }

    /// Where it begins, a multiple of 256.
    pub const fn address(&self) -> CUdeviceptr {
        self.address
    }
}

/// Copies numbers to the card.
///
/// # Safety
/// There is as much memory at `to`; it and `from` stay until the stream is past the copy.
///
/// # Errors
/// Those of the driver.
pub unsafe fn to_card<T>(stream: &CudaStream, from: &[T], to: CUdeviceptr) -> Result<()> {
    stream.context().bind_to_thread()?;
    // SAFETY: the caller answers for it.
    unsafe { result::memcpy_htod_async(to, from, stream.cu_stream())? };
    Ok(())
}

/// Copies numbers from the card.
///
/// # Safety
/// There is as much memory at `from`; it and `to` stay, and nobody looks at `to`, until the stream is past the copy.
///
/// # Errors
/// Those of the driver.
pub unsafe fn to_host<T>(stream: &CudaStream, from: CUdeviceptr, to: &mut [T]) -> Result<()> {
    stream.context().bind_to_thread()?;
    // SAFETY: the caller answers for it.
    unsafe { result::memcpy_dtoh_async(to, from, stream.cu_stream())? };
    Ok(())
}

/// Copies bytes on the card.
///
/// # Safety
/// There is as much memory at both places, and it stays until the stream is past the copy.
///
/// # Errors
/// Those of the driver.
pub unsafe fn within(stream: &CudaStream, from: CUdeviceptr, to: CUdeviceptr, bytes: usize) -> Result<()> {
    stream.context().bind_to_thread()?;
    // SAFETY: the caller answers for it.
    unsafe { result::memcpy_dtod_async(to, from, bytes, stream.cu_stream())? };
    Ok(())
}
