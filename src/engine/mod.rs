//! Interpreters of the network's description.
//!
//! An engine is made from a [`Network`](crate::inception::Network), or a cut of one, and its
//! [`Weights`](crate::weights::Weights); then it maps batches of images to what the network's last node gives. Callers
//! hold an [`Engine`] and do not know which one it is:
//!
//! - [`Reference`]: node by node on stock candle tensors, on any device. It is the oracle of every other engine.
//! - [`Cpu`]: planned, on kernels of our own; the one that is meant to be used where there is no GPU.
//! - `Graph`, with the feature `onnx`: no interpreter of the description, but of any backbone's own graph.
//!
//! [`EngineChoice`] opens the right one. What training changes is run by [`trainable`]'s interpreters instead.
//!
//! The borders are candle tensors. [`network_input`] makes the one that goes in.

mod choice;
pub mod cpu;
mod device;
mod global_average;
#[cfg(feature = "onnx")]
mod graph;
mod input;
mod lifetimes;
mod plan;
mod reference;
pub mod trainable;

pub use choice::{EngineChoice, UnknownEngine};
pub use cpu::Cpu;
pub use device::{DeviceChoice, DeviceError};
pub use global_average::global_average;
#[cfg(feature = "onnx")]
pub use graph::{Graph, GraphError};
pub use input::network_input;
pub use reference::Reference;

use candle_core::{Device, Result, Tensor};

/// Something that runs a network.
pub trait Engine: Send + Sync {
    /// Where it runs, and where its inputs are to be.
    fn device(&self) -> &Device;

    /// Maps `[batch, 3, height, width]` float32, normalised, any layout in memory, to the last node's result:
    /// `[batch, 2048]` for a whole network, `[batch, channels, height, width]` for one that is cut at a feature map.
    ///
    /// On the CPU the result of an image does not depend, to the bit, on the other images of its batch nor on the number
    /// of threads.
    ///
    /// # Errors
    /// Those of candle: an image too small for the network, a device out of memory.
    fn run(&self, images: &Tensor) -> Result<Tensor>;
}
