//! A convolution with its batch norm: its parameters, and what they are folded into before each step.
//!
//! ```text
//! kernel, gamma, beta ─▶ fold ─▶ folded = kernel scale, shift        forward: max(0, folded * x + shift)
//! mean, variance        ╯        scale                               back: by kernel = scale by folded
//! ```

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::CudaStream;
use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::super::arithmetic::Arithmetic;
use super::super::error::Result;
use super::super::memory::Memory;
use super::super::parameters::padded;
use super::super::way::Layer;
use super::parameters::{Collected, Numbers, Parameters};
use crate::inception::{Border, Convolution, NodeId};
use crate::weights::ConvolutionWeights;

/// A convolution with its batch norm, frozen statistics folded in.
pub struct Unit {
    /// Its name.
    pub name: String,
    /// What it is.
    pub shape: Convolution,
    /// Channels that it reads here: the image has more than three.
    channels: usize,
    /// `[out, height, width, in]`.
    pub kernel: Numbers,
    /// `[out]`, where there is one.
    pub gamma: Option<Numbers>,
    /// `[out]`.
    pub beta: Numbers,
    /// `[out]`, float32,
    mean: Memory,
    /// and 1 / deviation.
    reciprocal: Memory,
    /// `[out, height, width, channels]` in the card's number type.
    folded: Memory,
    /// `[out]`, float32,
    scales: Memory,
    /// and what is added.
    shifts: Memory,
}

/// Where the numbers of a unit are.
#[derive(Clone, Copy, Debug)]
pub struct Folding {
    /// `[out, taps, in]`, float32.
    pub kernel: CUdeviceptr,
    /// `[out]`, float32, like all that follow but one.
    pub gamma: Option<CUdeviceptr>,
    /// What is added after it.
    pub beta: CUdeviceptr,
    /// Of batch norm.
    pub mean: CUdeviceptr,
    /// 1 / deviation.
    pub reciprocal: CUdeviceptr,
    /// `[out, taps, padded]` in the card's number type.
    pub folded: CUdeviceptr,
    /// gamma / deviation.
    pub scales: CUdeviceptr,
    /// beta - mean scale.
    pub shifts: CUdeviceptr,
    /// `[out, taps, in, padded]`.
    pub lens: [usize; 4],
}

impl Folding {
    /// Channels that it gives.
    pub const fn out(&self) -> usize {
        self.lens[0]
    }

    /// Numbers of the kernel.
    pub const fn kernel_len(&self) -> usize {
        self.lens[0] * self.lens[1] * self.lens[2]
    }

    /// Numbers of the folded kernel, and of the gradient by it.
    pub const fn folded_len(&self) -> usize {
        self.lens[0] * self.lens[1] * self.lens[3]
    }
}

impl Unit {
    /// Takes a node's tensors in.
    ///
    /// # Errors
    /// Those of candle and of the driver.
    pub fn new(
        (name, id): (&str, NodeId),
        shape: Convolution,
        weights: &ConvolutionWeights,
        border: &Border,
        collected: &mut Collected,
        (stream, arithmetic): (&Arc<CudaStream>, Arithmetic),
    ) -> Result<Self> {
        let trains_batch_norm = border.trains_batch_norm(id);
        let kernel = collected.take(border.trains_kernel(id), || format!("{name}.conv.weight"), &weights.kernel)?;
        let gamma = weights.gamma.as_ref().filter(|_| shape.gamma);
        let gamma = gamma.map(|gamma| collected.take(trains_batch_norm, || format!("{name}.bn.weight"), gamma));
        let gamma = gamma.transpose()?;
        let beta = collected.take(trains_batch_norm, || format!("{name}.bn.bias"), &weights.beta)?;
        let mean = weights.mean.flatten_all()?.to_vec1::<f32>()?;
        let variance = weights.variance.flatten_all()?.to_vec1::<f32>()?;
        let reciprocal = |variance: f32| (f64::from(variance) + Convolution::EPSILON).sqrt().recip() as f32;
        let reciprocal: Vec<f32> = variance.into_iter().map(reciprocal).collect();
        let channels = padded(shape.in_channels, arithmetic.pack());
        let taps = shape.window.kernel[0] * shape.window.kernel[1];
        let vector = || Memory::zeroed(stream, shape.out_channels * size_of::<f32>());
        Ok(Self {
            name: name.to_owned(),
            shape,
            channels,
            kernel,
            gamma,
            beta,
            mean: Memory::of(stream, &mean)?,
            reciprocal: Memory::of(stream, &reciprocal)?,
            folded: Memory::zeroed(stream, shape.out_channels * taps * channels * arithmetic.dtype.size_in_bytes())?,
            scales: vector()?,
            shifts: vector()?,
        })
    }

    /// Where its numbers are.
    pub fn folding(&self, parameters: &Parameters) -> Folding {
        let [kernel, beta] = [&self.kernel, &self.beta].map(|numbers| parameters.value(numbers));
        let gamma = self.gamma.as_ref().map(|gamma| parameters.value(gamma));
        let [mean, reciprocal] = [&self.mean, &self.reciprocal].map(Memory::address);
        let [folded, scales, shifts] = [&self.folded, &self.scales, &self.shifts].map(Memory::address);
        let Convolution { in_channels, out_channels, window, .. } = self.shape;
        let taps = window.kernel[0] * window.kernel[1];
        let lens = [out_channels, taps, in_channels, self.channels];
        Folding { kernel, gamma, beta, mean, reciprocal, folded, scales, shifts, lens }
    }

    /// The convolution that it is forward, with its ReLU or before a pool.
    pub fn layer(&self, fused: bool) -> Layer<'_> {
        Layer {
            name: &self.name,
            window: self.shape.window,
            fused,
            kernel: self.folded.address(),
            bias: self.shifts.address(),
            // Only of float16, which nothing is trained in.
            rounded_bias: self.shifts.address(),
        }
    }

    /// Whether any of it is trained: wherever the kernel or a gamma is, beta is.
    pub const fn is_trained(&self) -> bool {
        self.beta.is_trained()
    }

    /// What is added to each channel behind the convolution, float32.
    pub const fn shifts(&self) -> CUdeviceptr {
        self.shifts.address()
    }
}
