//! The engine for NVIDIA cards, for now the reference's operations, in float32.

use candle_core::{Device, Result, Tensor, bail};

use super::{Engine, Precision, Reference};
use crate::inception::Network;
use crate::weights::Weights;

/// A network on a card.
pub struct Cuda(Reference);

impl Cuda {
    /// Prepares a network on a card.
    ///
    /// # Errors
    /// Where the precision is not float32; those of [`Reference::new`].
    pub fn new(network: Network, weights: &Weights, device: &Device, precision: Precision) -> Result<Self> {
        if precision != Precision::F32 {
            bail!("the operations of the reference engine know float32 only");
        }
        Ok(Self(Reference::new(network, weights, device)?))
    }

    /// Bytes that batches of so many images of `[height, width]` take at most: the results of all nodes, float32.
    ///
    /// # Errors
    /// Where the images are too small for the network.
    pub fn memory_of(network: &Network, _precision: Precision, size: [usize; 2], images: usize) -> Result<usize> {
        let shapes = network.shapes(size).map_err(candle_core::Error::wrap)?;
        let numbers: usize = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
        Ok(images * numbers * size_of::<f32>())
    }
}

impl Engine for Cuda {
    fn device(&self) -> &Device {
        self.0.device()
    }

    fn run(&self, images: &Tensor) -> Result<Tensor> {
        self.0.run(images)
    }
}
