//! What `--device` may say.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use super::{Cards, DeviceError, Opened};

/// Where the network is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first of CUDA, Metal and the CPU that this binary was built for and that is there.
    Auto,
    /// The CPU.
    Cpu,
    /// NVIDIA cards.
    Cuda(Cards),
    /// Apple's GPU.
    Metal,
}

impl DeviceChoice {
    /// Opens the devices. `auto` always ends at the CPU, and then says what was in the way of a card.
    ///
    /// # Errors
    /// Where one is not there, or something that it needs.
    pub fn open(&self) -> Result<Opened, DeviceError> {
        let devices = match self {
            Self::Auto => return Ok(Self::first_there()),
            Self::Cpu => vec![Device::Cpu],
            Self::Cuda(cards) => cards.open()?,
            Self::Metal => match Device::new_metal(0) {
                Ok(metal) => vec![metal],
                Err(source) => return Err(DeviceError::NotThere { device: self.to_string(), source }),
            },
        };
        Ok(Opened { devices, passed_over: None })
    }

    fn first_there() -> Opened {
        let mut passed_over = None;
        let built =
            [Self::Cuda(Cards::first()), Self::Metal].into_iter().filter(|device| device.require_built().is_ok());
        for device in built {
            match device.open() {
                Ok(opened) => return opened,
                Err(error) => passed_over = Some(error),
            }
        }
        Opened { devices: vec![Device::Cpu], passed_over }
    }

    fn require_built(&self) -> Result<(), DeviceError> {
        match self {
            Self::Cuda(_) if !cfg!(feature = "cuda") => Err(DeviceError::NotBuilt { name: "CUDA", feature: "cuda" }),
            Self::Metal if !cfg!(feature = "metal") => Err(DeviceError::NotBuilt { name: "Metal", feature: "metal" }),
            _ => Ok(()),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    /// Reads `auto`, `cpu`, `cuda`, `cuda:1`, `cuda:0,1`, `cuda:all` or `metal`; a device that the binary was not built for is an
    /// error already.
    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let choice = match text {
            "auto" => Self::Auto,
            "cpu" => Self::Cpu,
            "cuda" => Self::Cuda(Cards::first()),
            "metal" => Self::Metal,
            _ => match text.strip_prefix("cuda:") {
                Some(cards) => Self::Cuda(cards.parse()?),
                None => return Err(DeviceError::Unknown(text.to_owned())),
            },
        };
        choice.require_built()?;
        Ok(choice)
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(cards) => write!(f, "cuda:{cards}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use super::*;

    #[test]
    fn auto_always_opens_something_and_the_cpu_is_the_cpu() {
        assert!(!DeviceChoice::Auto.open().unwrap().devices.is_empty());
        let cpu = DeviceChoice::Cpu.open().unwrap();
        assert!(matches!(cpu.devices[..], [Device::Cpu]) && cpu.passed_over.is_none());
    }

    #[test]
    fn a_binary_without_cards_passes_none_over() {
        if !cfg!(any(feature = "cuda", feature = "metal")) {
            assert!(DeviceChoice::Auto.open().unwrap().passed_over.is_none());
            assert!(matches!("cuda:0,1".parse::<DeviceChoice>(), Err(DeviceError::NotBuilt { .. })));
        }
        assert!(matches!("gpu".parse::<DeviceChoice>(), Err(DeviceError::Unknown(_))));
    }
}
