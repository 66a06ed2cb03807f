//! `--engine`: which interpreter of the network runs it.

use std::sync::Arc;

use candle_core::{Device, Result};

use super::{Cpu, Engine, Reference};
use crate::inception::Network;
use crate::weights::Weights;

/// Which engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineChoice {
    /// The fastest one for the device.
    #[default]
    Auto,
    /// The oracle that the fast ones are held to: node by node, slow.
    Reference,
}

impl EngineChoice {
    /// Prepares a network on a device.
    ///
    /// # Errors
    /// Where the weights are of another variant than the network; those of candle.
    pub fn open(self, network: Network, weights: &Weights, device: &Device) -> Result<Arc<dyn Engine>> {
        Ok(match self {
            Self::Auto if device.is_cpu() => Arc::new(Cpu::new(network, weights)?),
            Self::Auto | Self::Reference => Arc::new(Reference::new(network, weights, device)?),
        })
    }

    /// Its name in flags and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Reference => "reference",
        }
    }
}
