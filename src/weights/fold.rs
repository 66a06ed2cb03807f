//! Batch norm with fixed statistics is a scale and a shift of each channel, and both can be had for nothing: the scale goes
//! into the kernel, the shift becomes a bias.

use candle_core::{Device, Result, Tensor};

use super::ConvolutionWeights;
use crate::inception::Convolution;

/// A convolution that does its batch norm's work.
#[derive(Clone, Debug)]
pub struct Folded {
    /// `[out, in, height, width]`.
    pub kernel: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
}

impl ConvolutionWeights {
    /// `kernel * s` and `beta - mean * s`, where `s = gamma / sqrt(variance + epsilon)`. Computed in float64 and rounded
    /// once, so that folding costs no more than that rounding.
    ///
    /// # Errors
    /// Those of candle: never for tensors that were read by this crate.
    pub fn folded(&self) -> Result<Folded> {
        let scales = self.scales()?;
        let mut kernel = numbers(&self.kernel)?;
        let of_one = kernel.len() / scales.len().max(1);
        for (kernel, scale) in kernel.chunks_exact_mut(of_one.max(1)).zip(&scales) {
            for weight in kernel {
                *weight = (f64::from(*weight) * scale) as f32;
            }
        }
        Ok(Folded { kernel, bias: self.folded_bias()? })
    }

    /// The bias `[out]` alone.
    ///
    /// # Errors
    /// As [`Self::folded`].
    pub fn folded_bias(&self) -> Result<Vec<f32>> {
        let shift = |((beta, mean), scale): ((f32, f32), f64)| (f64::from(beta) - f64::from(mean) * scale) as f32;
        Ok(numbers(&self.beta)?.into_iter().zip(numbers(&self.mean)?).zip(self.scales()?).map(shift).collect())
    }

    fn scales(&self) -> Result<Vec<f64>> {
        let gamma = self.gamma.as_ref().map(numbers).transpose()?;
        let scale = |(out, variance): (usize, f32)| {
            let gamma = gamma.as_ref().map_or(1.0, |gamma| f64::from(gamma[out]));
            gamma / (f64::from(variance) + Convolution::EPSILON).sqrt()
        };
        Ok(numbers(&self.variance)?.into_iter().enumerate().map(scale).collect())
    }
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

impl Folded {
    /// The bias as a tensor `[1, out, 1, 1]` and the kernel as one of its shape, on a device.
    ///
    /// # Errors
    /// Those of candle.
    pub fn tensors(self, shape: &[usize; 4], device: &Device) -> Result<[Tensor; 2]> {
        let bias = Tensor::from_vec(self.bias, (1, shape[0], 1, 1), device)?;
        Ok([Tensor::from_vec(self.kernel, shape, device)?, bias])
    }
}
