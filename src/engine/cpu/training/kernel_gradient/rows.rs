//! From the sums of all places to each output channel's gradient, and what is done with it.
//!
//! The gradient by the kernel that the convolution has, which batch norm has scaled, is needed twice: scaled, for the gradient by the
//! kernel before, and times that kernel, for the gradient by the scale. Neither needs it for more than one output channel at a
//! time, so that it is never all in memory.

use rayon::prelude::*;

use crate::inception::Convolution;

/// Channels that are transformed at a time.
const STRIP: usize = 64;

/// What becomes of a gradient, output channel by output channel.
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

impl Rows<'_> {
    /// Of [taps, out, in].
    pub fn of_taps(self, shape: &Convolution, products: &[f32]) {
        let [out, channels, height, width] = shape.kernel_shape();
        self.each(shape, |o, row| {
            for tap in 0..height * width {
                let sums = &products[(tap * out + o) * channels..][..channels];
                for (to, sum) in row[tap..].iter_mut().step_by(height * width).zip(sums) {
                    *to = *sum;
                }
            }
        });
    }

    /// G' of [places, out, in]; G along each axis is [points, taps].
    pub fn of_points(self, shape: &Convolution, transforms: &[Vec<Vec<f64>>; 2], products: &[f32]) {
        self.each(shape, |o, row| {
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || from_points(shape, transforms, products, o, row),
            );
        });
    }

    fn each(self, shape: &Convolution, of_row: impl Fn(usize, &mut [f32]) + Sync) {
        let of_kernel = shape.kernel_len() / shape.out_channels;
        let gradients: Vec<Option<&mut [f32]>> = match self.gradient {
            Some(gradient) => gradient.chunks_exact_mut(of_kernel).map(Some).collect(),
            None => (0..shape.out_channels).map(|_| None).collect(),
        };
        let (kernel, scales) = (self.kernel, self.scales);
        let outs = gradients.into_par_iter().zip(self.by_scale).enumerate();
        outs.for_each_init(
            || vec![0.0; of_kernel],
            |row, (o, (gradient, by_scale))| {
                of_row(o, row);
                pulp::Arch::new().dispatch(
                    #[inline(always)]
                    || {
                        *by_scale = product(&kernel[o * of_kernel..][..of_kernel], row);
                        if let Some(gradient) = gradient {
                            gradient.iter_mut().zip(&*row).for_each(|(to, number)| *to += scales[o] * number);
                        }
                    },
                );
            },
        );
    }
}

/// Along one axis after the other, some input channels at a time.
#[inline(always)]
#[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]
fn from_points(
    shape: &Convolution,
    [vertical, horizontal]: &[Vec<Vec<f64>>; 2],
    products: &[f32],
    o: usize,
    row: &mut [f32],
) {
    let [out, channels, height, width] = shape.kernel_shape();
    let across = horizontal.len();
    let mut half = vec![[0.0_f64; STRIP]; height * across];
    for first in (0..channels).step_by(STRIP) {
        let strip = STRIP.min(channels - first);
        half.fill([0.0; STRIP]);
        for (i, powers) in vertical.iter().enumerate() {
            for j in 0..across {
                let sums = &products[((i * across + j) * out + o) * channels + first..][..strip];
                for (y, &power) in powers.iter().enumerate() {
                    for (to, &sum) in half[y * across + j].iter_mut().zip(sums) {
                        *to += power * f64::from(sum);
                    }
                }
            }
        }
        for y in 0..height {
            for x in 0..width {
                let mut tap = [0.0_f64; STRIP];
                for (j, powers) in horizontal.iter().enumerate() {
                    let power = powers[x];
                    for (to, number) in tap.iter_mut().zip(&half[y * across + j]) {
                        *to += power * number;
                    }
                }
                for (c, number) in tap[..strip].iter().enumerate() {
                    row[((first + c) * height + y) * width + x] = *number as f32;
                }
            }
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
