//! A classifier for other programs: the network and its head, or the head alone, in formats that those read.
//!
//! ```text
//!                    ┌▶ onnx          network and head as one graph: images in, probabilities out
//! Weights, Head ─────┼▶ torchvision   a state dict of torchvision's own module, the head as its last layer
//!           Head ────┴▶ head_json     the head's numbers as text
//! ```

mod head_json;
mod onnx;
mod pickle;
mod torchvision;

pub use head_json::head_json;
pub use onnx::onnx;
pub use torchvision::torchvision;

/// A head that a format has no place for.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// torchvision's network ends in one linear layer.
    #[error("the head has a hidden layer, and torchvision's network ends in one layer: export it --to onnx")]
    Dense,
    /// The head takes rows of another network.
    #[error("the head takes rows of {features} numbers, and the network gives {}", crate::inception::FEATURES)]
    Features {
        /// What it takes.
        features: usize,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] crate::whole_file::WriteError),
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
