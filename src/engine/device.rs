//! `--device`: what the user asked for, or a clear error; never something else in silence.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

/// Where the network is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first of CUDA, Metal and the CPU that this binary was built for and that is there.
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA card of this number.
    Cuda(usize),
    /// Apple's GPU.
    Metal,
}

/// Why a device cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The text names no device.
    #[error("'{0}' is no device: it is one of auto, cpu, cuda, cuda:N, metal")]
    Unknown(String),
    /// The binary cannot use it.
    #[error(
        "this binary was built without {name}: build it with `cargo build --release --features {feature}`, or use --device cpu"
    )]
    NotBuilt {
        /// The device.
        name: &'static str,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// The machine does not have it.
    #[error("{device} cannot be used on this machine")]
    NotThere {
        /// The device.
        device: DeviceChoice,
        /// What its driver says.
        source: candle_core::Error,
    },
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// Where it is not there. `auto` always ends at the CPU.
    pub fn open(self) -> Result<Device, DeviceError> {
        let there = |device: candle_core::Result<Device>| {
            device.map_err(|source| DeviceError::NotThere { device: self, source })
        };
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(ordinal) => there(Device::new_cuda(ordinal)),
            Self::Metal => there(Device::new_metal(0)),
            Self::Auto => {
                let mut built =
                    [Self::Cuda(0), Self::Metal].into_iter().filter(|device| device.require_built().is_ok());
                Ok(built.find_map(|device| device.open().ok()).unwrap_or(Device::Cpu))
            }
        }
    }

    fn require_built(self) -> Result<(), DeviceError> {
        match self {
            Self::Cuda(_) if !cfg!(feature = "cuda") => Err(DeviceError::NotBuilt { name: "CUDA", feature: "cuda" }),
            Self::Metal if !cfg!(feature = "metal") => Err(DeviceError::NotBuilt { name: "Metal", feature: "metal" }),
            _ => Ok(()),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    /// Reads `auto`, `cpu`, `cuda`, `cuda:1` or `metal`; a device that the binary was not built for is an error already.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let choice = match (text, text.strip_prefix("cuda:").map(str::parse)) {
            ("auto", _) => Self::Auto,
            ("cpu", _) => Self::Cpu,
            ("cuda", _) => Self::Cuda(0),
            ("metal", _) => Self::Metal,
            (_, Some(Ok(ordinal))) => Self::Cuda(ordinal),
            _ => return Err(DeviceError::Unknown(text.to_owned())),
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
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}
