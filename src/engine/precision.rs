//! `--precision`: which numbers the network is computed with.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use super::EngineChoice;

/// The numbers of weights and activations. Sums are float32 in all of them, and so is what the network gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// The fastest that keeps the features: [`Self::F16`] on an NVIDIA card, [`Self::F32`] everywhere else.
    Auto,
    /// float32, all 24 bits of it.
    F32,
    /// float32 in memory, multiplied with 11 bits: an NVIDIA card's own way.
    Tf32,
    /// bfloat16: 8 bits, and the range of float32.
    Bf16,
    /// float16: 11 bits, and numbers up to 65504; no activation of Inception-v3 comes near that.
    F16,
}

/// A text that names no precision, or one that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PrecisionError {
    /// The text is none.
    #[error("'{0}' is no precision: it is one of auto, f32, tf32, bf16, f16")]
    Unknown(String),
    /// Only the engine for NVIDIA cards has more than one.
    #[error("{whose} computes in float32 only: --precision {asked} needs an NVIDIA card and --engine auto")]
    NotHere {
        /// What would run the network.
        whose: &'static str,
        /// What was asked for.
        asked: Precision,
    },
}

impl Precision {
    /// What `auto` is on a device, and what can be had there; never [`Self::Auto`].
    ///
    /// # Errors
    /// Where it cannot be had: only the engine for NVIDIA cards has any but float32.
    pub const fn on(self, device: &Device, engine: EngineChoice) -> Result<Self, PrecisionError> {
        let whose = match (device, engine) {
            (_, EngineChoice::Reference) => "the reference engine",
            (Device::Cpu, _) => "the CPU",
            (Device::Metal(_), _) => "Metal",
            (Device::Cuda(_), EngineChoice::Auto) => {
                return Ok(match self {
                    Self::Auto => Self::F16,
                    named => named,
                });
            }
        };
        match self {
            Self::Auto | Self::F32 => Ok(Self::F32),
            asked => Err(PrecisionError::NotHere { whose, asked }),
        }
    }

    /// What layers are trained in where this is asked for: [`Self::Bf16`] for [`Self::Auto`] and [`Self::F16`], as without a scaled loss the
    /// gradients of float16 vanish; the others as they are. Parameters, their gradients and the optimiser's numbers are float32 in all
    /// of them.
    #[must_use]
    pub const fn of_training(self) -> Self {
        match self {
            Self::Auto | Self::F16 => Self::Bf16,
            named => named,
        }
    }

    /// The number type's whole name.
    #[must_use]
    pub const fn long_name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "float32",
            Self::Tf32 => "TensorFloat-32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }
}

impl FromStr for Precision {
    type Err = PrecisionError;

    fn from_str(text: &str) -> Result<Self, PrecisionError> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "tf32" => Ok(Self::Tf32),
            "bf16" => Ok(Self::Bf16),
            "f16" => Ok(Self::F16),
            _ => Err(PrecisionError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_others_are_refused() {
        for name in ["auto", "f32", "tf32", "bf16", "f16"] {
            assert_eq!(name.parse::<Precision>().unwrap().to_string(), name);
        }
        for text in ["", "F16", "fp16", "float16", "f64"] {
            assert!(text.parse::<Precision>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_cpu_computes_in_float32_and_says_so_of_anything_else() {
        for engine in [EngineChoice::Auto, EngineChoice::Reference] {
            assert_eq!(Precision::Auto.on(&Device::Cpu, engine).unwrap(), Precision::F32);
            assert_eq!(Precision::F32.on(&Device::Cpu, engine).unwrap(), Precision::F32);
            for precision in [Precision::Tf32, Precision::Bf16, Precision::F16] {
                let error = precision.on(&Device::Cpu, engine).unwrap_err().to_string();
                assert!(
                    error.contains("float32 only") && error.contains(&format!("--precision {precision}")),
                    "{error}"
                );
            }
        }
    }
}
