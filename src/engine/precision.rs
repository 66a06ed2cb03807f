//! `--precision`: what the network is computed with.

use std::fmt;
use std::str::FromStr;

/// The numbers that activations and weights are kept in, and what products are made of. Sums are float32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// float16 on an NVIDIA card, float32 elsewhere.
    #[default]
    Auto,
    /// float32.
    F32,
    /// float32, multiplied by the tensor cores in 10 bits.
    Tf32,
    /// bfloat16.
    Bf16,
    /// float16.
    F16,
}

/// A text that names no precision.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no precision: it is one of auto, f32, tf32, bf16, f16")]
pub struct UnknownPrecision(String);

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Self, UnknownPrecision> {
        Ok(match text {
            "auto" => Self::Auto,
            "f32" => Self::F32,
            "tf32" => Self::Tf32,
            "bf16" => Self::Bf16,
            "f16" => Self::F16,
            _ => return Err(UnknownPrecision(text.to_owned())),
        })
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
