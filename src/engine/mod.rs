//! Interpreters of the network's description.
//!
//! An engine is made from a [`Network`], or a cut of one, and its
//! [`Weights`]; then it maps batches of images to what the network's last node gives. Callers
//! hold an [`Engine`] and do not know which one it is:
//!
//! - [`Reference`]: node by node on stock candle tensors, on any device. It is the oracle of every other engine.
//! - [`Cpu`]: planned, on kernels of our own; the one that is meant to be used where there is no GPU.
//! - `Cuda`, with the feature `cuda`: planned, on cuDNN and kernels of our own, for NVIDIA cards.
//! - `Graph`, with the feature `onnx`: no interpreter of the description, but of any backbone's own graph.
//! - [`Several`]: engines of several devices as one.
//!
//! [`DeviceChoice`] opens the devices, [`EngineChoice`] the right engine on each of them. What training changes is run by [`trainable`]'s interpreters instead.
//!
//! The borders are candle tensors. [`network_input`] makes the one that goes in.

mod choice;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device;
mod fitting;
mod global_average;
#[cfg(feature = "onnx")]
mod graph;
mod input;
mod lifetimes;
mod plan;
mod precision;
mod reference;
mod several;
pub mod trainable;

pub use choice::{EngineChoice, UnknownEngine};
pub use cpu::Cpu;
#[cfg(feature = "cuda")]
pub use cuda::Cuda;
pub use device::{Cards, DeviceChoice, DeviceError, Opened, device_name};
pub use fitting::fitting_batch;
pub use global_average::global_average;
#[cfg(feature = "onnx")]
pub use graph::{Graph, GraphError};
pub use input::network_input;
pub use precision::{Precision, PrecisionError};
pub use reference::Reference;
pub use several::Several;

use candle_core::{Device, Result, Tensor, bail};

use crate::image::{Normalise, Pixels};
use crate::inception::{Network, Node};
use crate::weights::{ConvolutionWeights, Weights};

/// Refuses weights of another of the published networks.
fn require_same_variant(network: &Network, weights: &Weights) -> Result<()> {
    if weights.variant() != network.variant() {
        bail!("weights of the variant {} in a network of the variant {}", weights.variant(), network.variant());
    }
    Ok(())
}

/// The weights of a convolution.
fn weights_of<'a>(node: &Node, weights: &'a Weights) -> Result<&'a ConvolutionWeights> {
    let Some(convolution) = weights.convolution(&node.name) else { bail!("{} has no weights", node.name) };
    Ok(convolution)
}

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

    /// Maps pixels, all of one size and number type, to the last node's result: of each image one row, one after the other.
    ///
    /// # Errors
    /// Those of [`network_input`] and [`Self::run`].
    fn embed(&self, images: &[Pixels], normalise: &Normalise) -> Result<Vec<f32>> {
        let input = network_input(images, normalise, self.device())?;
        self.run(&input)?.flatten_all()?.to_vec1()
    }

    /// Devices that work at the same time, for whoever keeps batches ready for each of them.
    fn lanes(&self) -> usize {
        1
    }

    /// What the user should know and is no error, since it was last asked for: that the first batch will take long, or that batches
    /// were too large for a card's memory.
    fn take_notes(&self) -> Vec<String> {
        Vec::new()
    }
}
