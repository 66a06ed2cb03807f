//! Batch norm with fixed statistics is a scale and a shift of each channel, and both can be had for nothing: the scale goes
//! into the kernel, the shift becomes a bias.

use candle_core::{DType, Result, Tensor};

use super::ConvolutionWeights;
use crate::inception::Convolution;

/// A convolution that does its batch norm's work, float32.
#[derive(Clone, Debug)]
pub struct Folded {
    /// `[out, in, height, width]`.
    pub kernel: Tensor,
    /// `[out]`.
    pub bias: Tensor,
}

impl ConvolutionWeights {
    /// `kernel * s` and `beta - mean * s`, where `s = gamma / sqrt(variance + epsilon)`. Computed in float64 and rounded
    /// once, so that folding costs no more than that rounding.
    ///
    /// # Errors
    /// Those of candle: never for tensors that were read by this crate.
    pub fn folded(&self) -> Result<Folded> {
        let f64s = |tensor: &Tensor| tensor.to_dtype(DType::F64);
        let mut scale = (f64s(&self.variance)? + Convolution::EPSILON)?.sqrt()?.recip()?;
        if let Some(gamma) = &self.gamma {
            scale = (scale * f64s(gamma)?)?;
        }
        let kernel = f64s(&self.kernel)?.broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?;
        let bias = (f64s(&self.beta)? - (f64s(&self.mean)? * scale)?)?;
        Ok(Folded { kernel: kernel.to_dtype(DType::F32)?, bias: bias.to_dtype(DType::F32)? })
    }
}
