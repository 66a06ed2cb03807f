//! What becomes of a block's sums, before they leave the cache.
//!
//! The gradient by the kernel that the convolution has, which batch norm has scaled, is needed scaled, for the gradient by the kernel
//! before, and, where the scale is trained too, times that kernel, for the gradient by the scale. Neither needs more of it than a block
//! has, so that it is never all in memory.

use super::super::super::stream;
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
    /// By output channel, the kernel times its gradient, which is the gradient by the scale; `None` where nobody asks for it.
    pub by_scale: Option<&'a mut [f64]>,
}

/// The same, for blocks that each have some input channels or a tap of them.
pub struct Sums<'a> {
    kernel: &'a [f32],
    scales: &'a [f32],
    gradient: Option<Shared>,
    /// Numbers of an output channel.
    of_out: usize,
    /// [blocks, out]: each block's part of the gradient by the scale, where that is wanted.
    parts: Option<Shared<f64>>,
}

impl Rows<'_> {
    /// Lends itself to so many blocks, and adds up their parts in their order.
    pub fn in_blocks(self, shape: &Convolution, blocks: usize, work: impl FnOnce(&Sums<'_>)) {
        let mut parts = vec![0.0; if self.by_scale.is_some() { blocks * shape.out_channels } else { 0 }];
        work(&Sums {
            kernel: self.kernel,
            scales: self.scales,
            gradient: self.gradient.map(|gradient| Shared::new(gradient.as_mut_ptr())),
            of_out: shape.kernel_len() / shape.out_channels,
            parts: self.by_scale.is_some().then(|| Shared::new(parts.as_mut_ptr())),
        });
        if let Some(by_scale) = self.by_scale {
            for part in parts.chunks_exact(shape.out_channels) {
                by_scale.iter_mut().zip(part).for_each(|(by_scale, part)| *by_scale += part);
            }
        }
    }
}

impl Sums<'_> {
    /// Has fetched what [`Self::add`] of so many numbers will change and read: short rows, whose next one the hardware does not foresee.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as below")]
    pub fn prefetch(&self, o: usize, [first, step]: [usize; 2], len: usize) {
        let begin = o * self.of_out + first;
        let end = begin + (len - 1) * step + 1;
        if let Some(gradient) = self.gradient {
            stream::prefetch(gradient.at(begin), end - begin);
        }
        if self.parts.is_some() {
            stream::prefetch(self.kernel[begin..end].as_ptr(), end - begin);
        }
    }

    /// Adds a block's sums of an output channel: every `step`-th number of its kernel, from one on.
    ///
    /// # Safety
    /// No other block has these numbers, nor this place of the parts.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]
    pub unsafe fn add(&self, block: usize, o: usize, [first, step]: [usize; 2], sums: &[f32]) {
        let begin = o * self.of_out + first;
        let scale = self.scales[o];
        match self.gradient {
            None => {}
            Some(gradient) if step == 1 => {
                // SAFETY: the caller's promise; the gradient is as long as the kernel.
                let gradient = unsafe { std::slice::from_raw_parts_mut(gradient.at(begin), sums.len()) };
                for (to, sum) in gradient.iter_mut().zip(sums) {
                    *to += scale * sum;
                }
            }
            Some(gradient) => {
                for (sum, at) in sums.iter().zip((begin..).step_by(step)) {
                    // SAFETY: as above.
                    unsafe { *gradient.at(at) += scale * sum }
                }
            }
        }
        if let Some(parts) = self.parts {
            let part = if step == 1 {
                product(&self.kernel[begin..begin + sums.len()], sums)
            } else {
                let kernel = self.kernel[begin..].iter().step_by(step);
                kernel.zip(sums).map(|(number, sum)| f64::from(*number) * f64::from(*sum)).sum()
            };
            // SAFETY: the caller's promise.
            unsafe { *parts.at(block * self.scales.len() + o) += part }
        }
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
