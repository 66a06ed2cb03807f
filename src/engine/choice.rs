//! `--engine`: which interpreter of the network runs it.

use std::fmt;
use std::iter;
use std::str::FromStr;
use std::sync::Arc;

use candle_core::{Device, Error, Result};

#[cfg(feature = "cuda")]
use super::Cuda;
use super::{Cpu, Engine, Precision, Reference, Several};
use crate::inception::Network;
#[cfg(feature = "cuda")]
use crate::panics;
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
    /// Prepares a network on each of these devices, one or more.
    ///
    /// # Errors
    /// Where the weights are of another variant than the network; where the precision cannot be had there; those of candle and
    /// of CUDA's libraries.
    pub fn open(
        self,
        network: Network,
        weights: &Weights,
        devices: &[Device],
        precision: Precision,
    ) -> Result<Arc<dyn Engine>> {
        let each = iter::repeat_n(network, devices.len()).zip(devices);
        let engines = each.map(|(network, device)| self.open_one(network, weights, device, precision));
        let mut engines = engines.collect::<Result<Vec<_>>>()?;
        match engines.pop() {
            Some(only) if engines.is_empty() => Ok(only),
            last => Ok(Arc::new(Several::new(engines.into_iter().chain(last).collect())?)),
        }
    }

    fn open_one(
        self,
        network: Network,
        weights: &Weights,
        device: &Device,
        precision: Precision,
    ) -> Result<Arc<dyn Engine>> {
        let precision = precision.on(device, self).map_err(Error::wrap)?;
        match (self, device, precision) {
            (Self::Auto, Device::Cpu, _) => Ok(Arc::new(Cpu::new(network, weights)?)),
            #[cfg(feature = "cuda")]
            (Self::Auto, Device::Cuda(_), precision) => {
                let opened = panics::silently(|| Cuda::new(network, weights, device, precision));
                Ok(Arc::new(opened.unwrap_or_else(|words| Err(Error::msg(words)))?))
            }
            (Self::Auto | Self::Reference, ..) => Ok(Arc::new(Reference::new(network, weights, device)?)),
        }
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
