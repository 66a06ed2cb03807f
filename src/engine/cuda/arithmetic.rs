//! What a precision means on a card.

use candle_core::DType;

use crate::engine::Precision;

/// What the network is computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    /// Of activations and weights. Sums and biases are float32, and so is what leaves the network.
    pub dtype: DType,
    /// Whether tensor cores may multiply. They make 10 bits of float32's 23; of float16 and bfloat16 they lose none.
    pub tensor_cores: bool,
}

impl Arithmetic {
    /// That of a precision.
    pub const fn of(precision: Precision) -> Self {
        let (dtype, tensor_cores) = match precision {
            Precision::Auto | Precision::F16 => (DType::F16, true),
            Precision::Bf16 => (DType::BF16, true),
            Precision::Tf32 => (DType::F32, true),
            Precision::F32 => (DType::F32, false),
        };
        Self { dtype, tensor_cores }
    }

    /// `f16`, `bf16`, `tf32`, `f32`.
    pub fn name(self) -> &'static str {
        match (self.dtype, self.tensor_cores) {
            (DType::F32, true) => "tf32",
            (dtype, _) => dtype.as_str(),
        }
    }

    /// The name that a kernel of ours has for these numbers.
    pub fn kernel(self, name: &str) -> String {
        format!("{name}_{}", self.dtype.as_str())
    }

    /// Channels in 16 bytes: what a thread takes at a time, and what the image's channels are padded to.
    pub fn pack(self) -> usize {
        16 / self.dtype.size_in_bytes()
    }
}
