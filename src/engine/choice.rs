//! `--engine`: which interpreter of the network runs it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use candle_core::{Device, Result};

use super::{Cpu, Engine, Reference};
use crate::inception::Network;
use crate::weights::Weights;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// The fastest one for the device.
    Auto,
    /// The oracle that the fast ones are held to: node by node, slow.
    Reference,
}

/// A text that names no engine.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no engine: it is auto or reference")]
pub struct UnknownEngine(String);

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
}

impl FromStr for EngineChoice {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> std::result::Result<Self, UnknownEngine> {
        match text {
            "auto" => Ok(Self::Auto),
            "reference" => Ok(Self::Reference),
            _ => Err(UnknownEngine(text.to_owned())),
        }
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Reference => "reference",
        })
    }
}
