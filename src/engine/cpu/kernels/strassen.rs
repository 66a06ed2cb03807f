//! What stands before and after the seven products of Strassen's algorithm, see [`super::super::convolution`].

use pulp::{Simd, WithSimd};

use super::{load, store};

/// The sums of quarters of the rows that four of the products take.
pub struct QuarterSums<'a> {
    /// [rows, 2, depth]: the first row of the upper half of the rows,
    pub upper: *const f32,
    /// and of the lower half, which has as many rows or one fewer.
    pub lower: *const f32,
    /// From one row of a half to the next.
    pub step: usize,
    /// Rows of either half.
    pub rows: [usize; 2],
    /// Half a row's numbers; a multiple of the vector.
    pub depth: usize,
    /// [4, rows of the upper half, depth]: S1 to S4.
    pub sums: &'a mut [f32],
}

/// The quarters of the result, of the seven products.
pub struct QuarterResults<'a> {
    /// [7, rows of the upper half, width]: P1 to P7.
    pub products: &'a [f32],
    /// Numbers of a row of a product.
    pub width: usize,
    /// Rows of either half.
    pub rows: [usize; 2],
    /// Channels of half a row of the result; a multiple of the vector.
    pub channels: usize,
    /// At least `[2 channels]`.
    pub bias: &'a [f32],
    /// 0 for ReLU, minus infinity for none.
    pub floor: f32,
    /// Whether what is at the outputs is a part of the sum.
    pub accumulate: bool,
    /// [rows, 2, channels]: where the channels of the upper half's rows go,
    pub upper: *mut f32,
    /// those of the lower half's,
    pub lower: *mut f32,
    /// and how far from one row of a half to the next.
    pub step: usize,
}

pub(super) struct RunSums<'a, 'b>(pub(super) &'a mut QuarterSums<'b>);
pub(super) struct RunResults<'a, 'b>(pub(super) &'a QuarterResults<'b>);

impl WithSimd for RunSums<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let QuarterSums { upper, lower, step, rows: [upper_rows, lower_rows], depth, .. } = *self.0;
        let zero = simd.splat_f32s(0.0);
        let of_sum = upper_rows * depth;
        let sums = self.0.sums[..4 * of_sum].as_mut_ptr();
        for row in 0..upper_rows {
            // SAFETY: rows and sums are as QuarterSums promises.
            unsafe {
                let (upper, lower) = (upper.wrapping_add(row * step), lower.wrapping_add(row * step));
                let is_there = row < lower_rows;
                let to = sums.add(row * depth);
                for k in (0..depth).step_by(S::F32_LANES) {
                    let a11 = load::<S>(upper.add(k));
                    let a12 = load::<S>(upper.add(depth + k));
                    let a21 = if is_there { load::<S>(lower.add(k)) } else { zero };
                    let a22 = if is_there { load::<S>(lower.add(depth + k)) } else { zero };
                    let s1 = simd.add_f32s(a21, a22);
                    let s2 = simd.sub_f32s(s1, a11);
                    let to = to.add(k);
                    store::<S>(to, s1);
                    store::<S>(to.add(of_sum), s2);
                    store::<S>(to.add(2 * of_sum), simd.sub_f32s(a11, a21));
                    store::<S>(to.add(3 * of_sum), simd.sub_f32s(a12, s2));
                }
            }
        }
    }
}

impl WithSimd for RunResults<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let job = self.0;
        let [upper_rows, lower_rows] = job.rows;
        let of_product = upper_rows * job.width;
        let products = job.products[..7 * of_product].as_ptr();
        let bias = job.bias[..2 * job.channels].as_ptr();
        for row in 0..upper_rows {
            let upper = job.upper.wrapping_add(row * job.step);
            let lower = job.lower.wrapping_add(row * job.step);
            for channel in (0..job.channels).step_by(S::F32_LANES) {
                // SAFETY: products, bias and outputs are as QuarterResults promises.
                unsafe {
                    let from = products.add(row * job.width + channel);
                    let mut p = [simd.splat_f32s(0.0); 7];
                    for i in 0..7 {
                        p[i] = load::<S>(from.add(i * of_product));
                    }
                    let [p1, p2, p3, p4, p5, p6, p7] = p;
                    let biases = [load::<S>(bias.add(channel)), load::<S>(bias.add(job.channels + channel))];
                    let u2 = simd.add_f32s(p1, p6);
                    let u3 = simd.add_f32s(u2, p7);
                    let c12 = simd.add_f32s(simd.add_f32s(u2, p5), p3);
                    job.finish(simd, upper.add(channel), simd.add_f32s(p1, p2), biases[0]);
                    job.finish(simd, upper.add(job.channels + channel), c12, biases[1]);
                    if row < lower_rows {
                        job.finish(simd, lower.add(channel), simd.sub_f32s(u3, p4), biases[0]);
                        job.finish(simd, lower.add(job.channels + channel), simd.add_f32s(u3, p5), biases[1]);
                    }
                }
            }
        }
    }
}

impl QuarterResults<'_> {
    /// A vector of the result on its way out.
    ///
    /// # Safety
    /// It can be read and written.
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, simd: S, to: *mut f32, number: S::f32s, bias: S::f32s) {
        let mut number = simd.add_f32s(number, bias);
        // SAFETY: the caller's promise.
        unsafe {
            if self.accumulate {
                number = simd.add_f32s(load::<S>(to), number);
            }
            store::<S>(to, simd.max_f32s(number, simd.splat_f32s(self.floor)));
        }
    }
}
