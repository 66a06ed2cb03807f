//! What becomes of a block's sums, before they leave the cache.
//!
//! The gradient by the kernel that the convolution has, which batch norm has scaled, is needed twice: scaled, for the gradient by the
//! kernel before, and times that kernel, for the gradient by the scale. Neither needs more of it than a block has, so that it is never
//! all in memory.

use super::super::workers::Shared;
use crate::inception::Convolution;

/// Where the gradient goes, and what it needs on its way.
pub struct Rows<'a> {
    /// `[out, in, taps]`: the kernel before it is scaled.
    pub kernel: &'a [f32],
    /// By output channel, what it is scaled by.
    pub scales: &'a [f32],
    /// `[out, in, taps]`: to this the gradient by the kernel is added.
    pub gradient: Option<&'a mut [f32]>,
    /// By output channel, the kernel times its gradient, which is the gradient by the scale.
    pub by_scale: &'a mut [f64],
}

/// The same, for blocks that each have some input channels or a tap of them.
pub struct Sums<'a> {
    kernel: &'a [f32],
    scales: &'a [f32],
    gradient: Option<Shared>,
    /// Numbers of an output channel.
    of_out: usize,
    /// [blocks, out]: each block's part of the gradient by the scale.
    parts: Shared<f64>,
}

impl Rows<'_> {
    /// Lends itself to so many blocks, and adds up their parts in their order.
    pub fn in_blocks(self, shape: &Convolution, blocks: usize, work: impl FnOnce(&Sums<'_>)) {
        let mut parts = vec![0.0; blocks * shape.out_channels];
        work(&Sums {
            kernel: self.kernel,
            scales: self.scales,
            gradient: self.gradient.map(|gradient| Shared::new(gradient.as_mut_ptr())),
            of_out: shape.kernel_len() / shape.out_channels,
            parts: Shared::new(parts.as_mut_ptr()),
        });
        for part in parts.chunks_exact(shape.out_channels) {
            self.by_scale.iter_mut().zip(part).for_each(|(by_scale, part)| *by_scale += part);
        }
    }
}

impl Sums<'_> {
    /// Adds a block's sums of an output channel: every `step`-th number of its kernel, from one on.
    ///
    /// # Safety
    /// No other block has these numbers, nor this place of the parts.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]
    pub unsafe fn add(&self, block: usize, o: usize, [first, step]: [usize; 2], sums: &[f32]) {
        let outs = self.scales.len();
        let begin = o * self.of_out + first;
        let part = if step == 1 {
            let kernel = &self.kernel[begin..begin + sums.len()];
            if let Some(gradient) = self.gradient {
                // SAFETY: the caller's promise; the gradient is as long as the kernel.
                let gradient = unsafe { std::slice::from_raw_parts_mut(gradient.at(begin), sums.len()) };
                for (to, sum) in gradient.iter_mut().zip(sums) {
                    *to += self.scales[o] * sum;
                }
            }
            product(kernel, sums)
        } else {
            let mut part = 0.0;
            for (sum, at) in sums.iter().zip((begin..).step_by(step)) {
                part += f64::from(self.kernel[at]) * f64::from(*sum);
                if let Some(gradient) = self.gradient {
                    // SAFETY: as above.
                    unsafe { *gradient.at(at) += self.scales[o] * sum }
                }
            }
            part
        };
        // SAFETY: as above.
        unsafe { *self.parts.at(block * outs + o) += part }
    }
}

/// The sum of products, in float64 and in lanes, so that it can be computed in vectors.
#[inline(always)]
fn product(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0_f64; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| f64::from(*a) * f64::from(*b));
    let rest: f64 = rest.sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}
