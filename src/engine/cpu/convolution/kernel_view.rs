//! A kernel as a convolution sees it, wherever and in whichever order its numbers lie.
//!
//! The gradient by the inputs is a convolution too, with the same kernel transposed and flipped; a phase of a larger stride is one with
//! some of its taps; a folded batch norm is a factor a channel. None of that needs a copy of the kernel:
//!
//! ```text
//! [out, in, taps]    number(o, c, t) = numbers[o * step + c * step + offset(t)] * scale(o) * scale(c)
//! ```

use std::ops::Range;

use crate::inception::Convolution;

/// A kernel `[out, in, taps]`, scaled by its channels.
#[derive(Clone)]
pub struct KernelView<'a> {
    numbers: &'a [f32],
    /// Channels,
    channels: [usize; 2],
    /// numbers from one to the next, of the outputs and of the inputs,
    steps: [usize; 2],
    /// and their factors.
    scales: [Option<&'a [f32]>; 2],
    /// Where each tap is, row by row.
    taps: Vec<usize>,
}

impl<'a> KernelView<'a> {
    /// A kernel as it lies in torchvision's checkpoints.
    pub fn new(shape: &Convolution, numbers: &'a [f32]) -> Self {
        let [out, channels, height, width] = shape.kernel_shape();
        let taps = height * width;
        Self {
            numbers,
            channels: [out, channels],
            steps: [channels * taps, taps],
            scales: [None, None],
            taps: (0..taps).collect(),
        }
    }

    /// The same with a factor for each output channel.
    pub fn scaled(self, scales: &'a [f32]) -> Self {
        Self { scales: [Some(scales), self.scales[1]], ..self }
    }

    /// Outputs for inputs, and the last tap first.
    pub fn transposed(mut self) -> Self {
        self.channels.reverse();
        self.steps.reverse();
        self.scales.reverse();
        self.taps.reverse();
        self
    }

    /// With some of its taps only.
    pub fn select(&self, taps: &[usize]) -> Self {
        Self { taps: taps.iter().map(|&tap| self.taps[tap]).collect(), ..self.clone() }
    }

    /// Output and input channels.
    pub const fn channels(&self) -> [usize; 2] {
        self.channels
    }

    /// Where each tap of a pair of channels is, from [`Self::pair`] on.
    pub fn taps(&self) -> &[usize] {
        &self.taps
    }

    /// The numbers of the first tap of some neighbouring output channels and an input channel, and the factor of the latter; `None`
    /// where they do not lie side by side, or have a factor each.
    pub fn side_by_side(&self, outs: Range<usize>, channel: usize) -> Option<(&[f32], f32)> {
        if self.steps[0] != 1 || self.scales[0].is_some() || self.taps.len() != 1 {
            return None;
        }
        let first = outs.start + channel * self.steps[1] + self.taps[0];
        let factor = self.scales[1].map_or(1.0, |scales| scales[channel]);
        Some((&self.numbers[first..first + outs.len()], factor))
    }

    /// The numbers of the first tap of an output channel and all input channels, and the factor of the former; `None` where they do
    /// not lie side by side, or have a factor each.
    pub fn row(&self, out: usize) -> Option<(&[f32], f32)> {
        if self.steps[1] != 1 || self.scales[1].is_some() || self.taps.len() != 1 {
            return None;
        }
        let first = out * self.steps[0] + self.taps[0];
        let factor = self.scales[0].map_or(1.0, |scales| scales[out]);
        Some((&self.numbers[first..first + self.channels[1]], factor))
    }

    /// The numbers from a pair of channels on, and their factor.
    #[inline]
    pub fn pair(&self, out: usize, channel: usize) -> (&[f32], f32) {
        let factor = |scales: Option<&[f32]>, at: usize| scales.map_or(1.0, |scales| scales[at]);
        let numbers = &self.numbers[out * self.steps[0] + channel * self.steps[1]..];
        (numbers, factor(self.scales[0], out) * factor(self.scales[1], channel))
    }
}
