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
}

impl Engine for Cuda {
    fn device(&self) -> &Device {
        self.0.device()
    }

    fn run(&self, images: &Tensor) -> Result<Tensor> {
        self.0.run(images)
    }
}
