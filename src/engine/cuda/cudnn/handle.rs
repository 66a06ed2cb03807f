//! A handle: cuDNN on one stream.
#![expect(unsafe_code, reason = "calls cuDNN")]

use std::ffi::CStr;
use std::ptr;

use candle_core::cuda_backend::cudarc::cudnn::sys;
use candle_core::cuda_backend::cudarc::driver::CudaStream;

use crate::engine::cuda::error::{CudaError, Result};

/// What all calls need, and the stream that they go to.
pub struct Handle(sys::cudnnHandle_t);

// SAFETY: a handle may go from thread to thread, as long as one at a time uses it; it is not Sync.
unsafe impl Send for Handle {}

impl Handle {
    /// Opens cuDNN on the card of a stream.
    ///
    /// # Errors
    /// Those of cuDNN.
    pub fn new(stream: &CudaStream) -> Result<Self> {
        stream.context().bind_to_thread()?;
        let mut handle = ptr::null_mut();
        // SAFETY: the place for the handle is there.
        check("cudnnCreate", unsafe { sys::cudnnCreate(&raw mut handle) })?;
        let handle = Self(handle);
        // SAFETY: both are open, and the stream is of the context that is current.
        check("cudnnSetStream", unsafe { sys::cudnnSetStream(handle.0, stream.cu_stream().cast()) })?;
        Ok(handle)
    }

    /// The handle itself, valid as long as this is.
    pub const fn raw(&self) -> sys::cudnnHandle_t {
        self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was created, and nobody uses it any more. What it says is of no use to anybody.
        let _ = unsafe { sys::cudnnDestroy(self.0) };
    }
}

/// cuDNN's version: 91700 is 9.17.0.
pub fn version() -> usize {
    // SAFETY: takes nothing.
    unsafe { sys::cudnnGetVersion() }
}

/// Makes an error of a status, with the last words of cuDNN on it.
pub fn check(call: &'static str, status: sys::cudnnStatus_t) -> Result<()> {
    if status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS {
        return Ok(());
    }
    let mut words = [0_u8; 512];
    // SAFETY: writes a text that ends with 0 and is no longer than that.
    unsafe { sys::cudnnGetLastErrorString(words.as_mut_ptr().cast(), words.len()) };
    let detail = CStr::from_bytes_until_nul(&words).unwrap_or_default().to_string_lossy();
    Err(CudaError::Cudnn { call, status, detail: detail.trim().to_owned() })
}
