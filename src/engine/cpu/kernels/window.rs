//! Maxima and means of windows.

use pulp::{Simd, WithSimd};

use super::{load, multiply_add, store};

/// What becomes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// The largest.
    Maximum,
    /// The sum, times the pixel's scale.
    Mean,
}

/// For each pixel and channel, max(floor, bias + the reduced window).
pub struct WindowReduction<'a> {
    /// How.
    pub reduce: Reduce,
    /// [pixels, taps]: where each pixel of each window begins.
    pub inputs: &'a [*const f32],
    /// Taps.
    pub taps: usize,
    /// `[pixels]`: where each pixel's channels go, `channels` numbers that are nobody else's.
    pub outputs: &'a [*mut f32],
    /// `[pixels]`: what the sum is multiplied by.
    pub scales: &'a [f32],
    /// Readable from each input on, and of the bias.
    pub channels: usize,
    /// At least `[channels]`.
    pub bias: &'a [f32],
    /// 0 for ReLU, minus infinity for none.
    pub floor: f32,
}

pub(super) struct Run<'a, 'b>(pub(super) &'a WindowReduction<'b>);

impl WithSimd for Run<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let job = self.0;
        let whole = job.channels - job.channels % S::F32_LANES;
        let floor = simd.splat_f32s(job.floor);
        for ((inputs, &output), &scale) in job.inputs.chunks_exact(job.taps).zip(job.outputs).zip(job.scales) {
            let scale_vector = simd.splat_f32s(scale);
            // SAFETY: pointers are as WindowReduction promises.
            unsafe {
                for channel in (0..whole).step_by(S::F32_LANES) {
                    let bias = load::<S>(job.bias.as_ptr().add(channel));
                    let mut reduced = load::<S>(inputs[0].add(channel));
                    for input in &inputs[1..] {
                        let number = load::<S>(input.add(channel));
                        reduced = match job.reduce {
                            Reduce::Maximum => simd.max_f32s(reduced, number),
                            Reduce::Mean => simd.add_f32s(reduced, number),
                        };
                    }
                    let reduced = match job.reduce {
                        Reduce::Maximum => simd.add_f32s(reduced, bias),
                        Reduce::Mean => multiply_add(simd, reduced, scale_vector, bias),
                    };
                    store::<S>(output.add(channel), simd.max_f32s(reduced, floor));
                }
                for channel in whole..job.channels {
                    let numbers = inputs.iter().map(|input| *input.add(channel));
                    let reduced = match job.reduce {
                        Reduce::Maximum => numbers.reduce(f32::max),
                        Reduce::Mean => numbers.reduce(|a, b| a + b).map(|sum| sum * scale),
                    };
                    *output.add(channel) = (reduced.unwrap_or(0.0) + job.bias[channel]).max(job.floor);
                }
            }
        }
    }
}
