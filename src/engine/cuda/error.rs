//! What can go wrong on a card.

use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnStatus_t;
use candle_core::cuda_backend::cudarc::driver::DriverError;
use candle_core::cuda_backend::cudarc::driver::sys::CUresult;

use crate::inception::ShapeError;

/// Why the card does not compute.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// NVIDIA's driver. Whoever is told that memory is out has tried with one image already.
    #[error("{}", of_driver(*.0))]
    Driver(#[from] DriverError),
    /// cuDNN.
    #[error("{call} gave {status:?}{}", after_colon(detail))]
    Cudnn {
        /// The function.
        call: &'static str,
        /// What it gave.
        status: cudnnStatus_t,
        /// cuDNN's last words on it, or nothing.
        detail: String,
    },
    /// A convolution that none of cuDNN's engines computes.
    #[error(
        "none of cuDNN's engines computes {layer} ({key}){}; another --precision may do, and so may a newer cuDNN",
        after_colon(detail)
    )]
    NoEngine {
        /// The name of the node.
        layer: String,
        /// What would be computed.
        key: String,
        /// What the last of them said.
        detail: String,
    },
    /// An image too small for the network.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// What calls on the card give.
pub type Result<T> = std::result::Result<T, CudaError>;

impl CudaError {
    /// Whether fewer images at a time may help.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Driver(error) => error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY,
            Self::Cudnn { status, .. } => {
                *status == cudnnStatus_t::CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
            }
            Self::NoEngine { .. } | Self::Shape(_) | Self::Candle(_) => false,
        }
    }
}

impl From<CudaError> for candle_core::Error {
    fn from(error: CudaError) -> Self {
        match error {
            CudaError::Candle(error) => error,
            error => Self::wrap(error),
        }
    }
}

fn of_driver(error: DriverError) -> String {
    if error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return "the card's memory is too small for the network and one image; `nvidia-smi` shows who else has some of it, \
                and --device cpu needs none"
            .to_owned();
    }
    let words = error.error_string().map(|words| format!(", {}", words.to_string_lossy())).unwrap_or_default();
    format!("the NVIDIA driver says {:?}{words}", error.0)
}

fn after_colon(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}
