//! Folded weights on the card: kernels `[out, height, width, in]` in the engine's number type, biases float32.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::DType;
use candle_core::cuda_backend::cudarc::driver::CudaStream;
use half::{bf16, f16};
use rayon::prelude::*;

use super::arithmetic::Arithmetic;
use super::error::Result;
use super::memory::Memory;
use crate::engine::weights_of;
use crate::inception::{Convolution, Network, NodeId, Op};
use crate::weights::{Folded, Weights};

/// The numbers of all convolutions.
pub struct Parameters(HashMap<NodeId, Parameter>);

/// The numbers of a convolution.
pub struct Parameter {
    /// What it is.
    pub convolution: Convolution,
    /// `[out, height, width, in]`, the image's channels padded with zeros to a multiple of 16 bytes.
    pub kernel: Memory,
    /// `[out]`, float32,
    pub bias: Memory,
    /// and rounded like the kernel.
    pub rounded_bias: Memory,
}

impl Parameters {
    /// Folds the batch norms, lays the weights out on all threads, and takes them to the card.
    ///
    /// # Errors
    /// Where weights are missing; those of the driver.
    pub fn new(
        network: &Network,
        weights: &Weights,
        arithmetic: Arithmetic,
        stream: &Arc<CudaStream>,
    ) -> candle_core::Result<Self> {
        let convolutions = network.nodes().par_iter().enumerate().filter_map(|(id, node)| match node.op {
            Op::Convolution(convolution) => Some((id, node, convolution)),
            _ => None,
        });
        let laid_out = convolutions.map(|(id, node, convolution)| {
            let Folded { kernel, bias } = weights_of(node, weights)?.folded()?;
            Ok((
                id,
                convolution,
                bytes(&channels_last(&kernel, &convolution, arithmetic.pack()), arithmetic.dtype),
                bias,
            ))
        });
        let laid_out = laid_out.collect::<candle_core::Result<Vec<_>>>()?;
        let on_card = laid_out.into_iter().map(|(id, convolution, kernel, bias)| {
            let kernel = Memory::of(stream, &kernel)?;
            let rounded_bias = Memory::of(stream, &bytes(&bias, arithmetic.dtype))?;
            Ok((id, Parameter { convolution, kernel, bias: Memory::of(stream, &bias)?, rounded_bias }))
        });
        Ok(Self(on_card.collect::<Result<_>>()?))
    }

    /// Those of a node.
    pub fn of(&self, node: NodeId) -> Option<&Parameter> {
        self.0.get(&node)
    }
}

/// Channels that a convolution reads here: the image has more than three.
pub const fn padded(in_channels: usize, pack: usize) -> usize {
    in_channels.next_multiple_of(pack)
}

/// `[out, in, height, width]` to `[out, height, width, in]`, zeros for the channels that the padding adds.
fn channels_last(kernel: &[f32], of: &Convolution, pack: usize) -> Vec<f32> {
    let taps = of.window.kernel[0] * of.window.kernel[1];
    let channels = padded(of.in_channels, pack);
    let mut result = vec![0.0; of.out_channels * taps * channels];
    let outputs = result.chunks_exact_mut((taps * channels).max(1));
    for (result, kernel) in outputs.zip(kernel.chunks_exact((of.in_channels * taps).max(1))) {
        for (channel, of_channel) in kernel.chunks_exact(taps.max(1)).enumerate() {
            for (tap, &weight) in of_channel.iter().enumerate() {
                result[tap * channels + channel] = weight;
            }
        }
    }
    result
}

/// Rounded to nearest, ties to even.
fn bytes(numbers: &[f32], dtype: DType) -> Vec<u8> {
    match dtype {
        DType::F16 => numbers.iter().flat_map(|&number| f16::from_f32(number).to_ne_bytes()).collect(),
        DType::BF16 => numbers.iter().flat_map(|&number| bf16::from_f32(number).to_ne_bytes()).collect(),
        _ => numbers.iter().flat_map(|number| number.to_ne_bytes()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inception::Window;

    #[test]
    fn kernels_become_channels_last_and_the_images_channels_are_padded_with_zeros() {
        let window = Window { kernel: [1, 2], stride: 1, padding: [0, 0] };
        let of = Convolution { in_channels: 3, out_channels: 2, window, gamma: true };
        let kernel: Vec<f32> = (1..=12).map(|number| number as f32).collect();
        let expected = [1., 3., 5., 0., 2., 4., 6., 0., 7., 9., 11., 0., 8., 10., 12., 0.];
        assert_eq!(channels_last(&kernel, &of, 4), expected);
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_of_their_type() {
        let third = 1.0_f32 / 3.0;
        assert_eq!(bytes(&[1.0, third], DType::F32), [1.0_f32.to_ne_bytes(), third.to_ne_bytes()].concat());
        assert_eq!(bytes(&[1.0, third], DType::F16), [0x3c00_u16.to_ne_bytes(), 0x3555_u16.to_ne_bytes()].concat());
        assert_eq!(bytes(&[1.0, third], DType::BF16), [0x3f80_u16.to_ne_bytes(), 0x3eab_u16.to_ne_bytes()].concat());
    }
}
