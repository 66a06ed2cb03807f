//! Pixels times weights: the loop where nearly all of the time goes.

use std::array::from_fn;

use pulp::{Simd, WithSimd};

use super::{load, multiply_add, store};

/// A block of pixels times all weights of a convolution: for each pixel and output channel
/// max(floor, bias + sum over taps and numbers of input * weight).
///
/// The sum runs over the taps and numbers in their order, whatever the block, so the bits of a pixel are its own. A sum of n products
/// in a row is off by the rounding of all the sums before it; `chain` cuts it into shorter ones.
pub struct Product<'a> {
    /// [tiles, taps, tile]: where each pixel's numbers of each tap begin. The last tile may have fewer pixels; its places
    /// are there.
    pub inputs: &'a [*const f32],
    /// Taps.
    pub taps: usize,
    /// Numbers at each tap, readable from each input on.
    pub run: usize,
    /// [panels, taps, run, panel], zeros past the last channel.
    pub weights: &'a [f32],
    /// [panels, panel].
    pub bias: &'a [f32],
    /// 0 for ReLU, minus infinity for none.
    pub floor: f32,
    /// `[pixels]`: where each pixel's channels go, `channels` numbers that are nobody else's.
    pub outputs: &'a [*mut f32],
    /// Products that are added up in a row before they join the total.
    pub chain: usize,
    /// Output channels.
    pub channels: usize,
}

pub(super) struct Run<'a, 'b, const M: usize, const V: usize>(pub(super) &'a Product<'b>);

impl<const M: usize, const V: usize> WithSimd for Run<'_, '_, M, V> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let job = self.0;
        let panel = V * S::F32_LANES;
        let depth = job.taps * job.run;
        for (panel_index, weights) in job.weights.chunks_exact(depth * panel).enumerate() {
            let first = panel_index * panel;
            let bias = &job.bias[first..first + panel];
            let channels = panel.min(job.channels - first);
            for (position, (outputs, inputs)) in job.outputs.chunks(M).zip(job.inputs.chunks(job.taps * M)).enumerate()
            {
                let (ahead, ahead_by) = if position < UNROLLED {
                    let of_tile = depth.div_ceil(UNROLLED) * panel;
                    (weights.as_ptr_range().end.wrapping_add(position * of_tile), panel)
                } else {
                    (weights.as_ptr(), 0)
                };
                let tile = Tile { job, inputs, outputs, weights, bias, ahead, ahead_by, first, channels };
                // SAFETY: chunks are of the lengths that Tile asks for, and pointers are as Product promises.
                unsafe {
                    match outputs.len() {
                        rows if rows == M => tile.run::<S, M, M, V>(simd),
                        1 => tile.run::<S, 1, M, V>(simd),
                        2 => tile.run::<S, 2, M, V>(simd),
                        3 => tile.run::<S, 3, M, V>(simd),
                        4 => tile.run::<S, 4, M, V>(simd),
                        5 => tile.run::<S, 5, M, V>(simd),
                        6 => tile.run::<S, 6, M, V>(simd),
                        7 => tile.run::<S, 7, M, V>(simd),
                        8 => tile.run::<S, 8, M, V>(simd),
                        9 => tile.run::<S, 9, M, V>(simd),
                        10 => tile.run::<S, 10, M, V>(simd),
                        _ => tile.run::<S, 11, M, V>(simd),
                    }
                }
            }
        }
    }
}

/// Products a turn of the innermost loop. With each turn goes a line of the next panel, which so has come nearer when it is
/// needed: this many tiles see to all of it.
pub(super) const UNROLLED: usize = 4;

/// sums += the k-th number of each row times a vector of weights.
///
/// # Safety
/// They can be read.
#[inline(always)]
pub(super) unsafe fn add_products<S: Simd, const R: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::f32s; V]; R],
    rows: [*const f32; R],
    k: usize,
    weights: *const f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let these: [S::f32s; V] = from_fn(|v| load::<S>(weights.add(v * S::F32_LANES)));
        for r in 0..R {
            let number = simd.splat_f32s(*rows[r].add(k));
            for v in 0..V {
                sums[r][v] = multiply_add(simd, number, these[v], sums[r][v]);
            }
        }
    }
}

/// Asks for the line at an address, which may be anywhere, into the second cache.
#[inline(always)]
pub(super) fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that could be seen, and faults nowhere.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Some pixels times one panel.
struct Tile<'a, 'b> {
    job: &'a Product<'b>,
    /// [taps, M].
    inputs: &'a [*const f32],
    outputs: &'a [*mut f32],
    /// [taps, run, panel].
    weights: &'a [f32],
    /// `[panel]`.
    bias: &'a [f32],
    /// What is prefetched, and how many numbers further on at each turn.
    ahead: *const f32,
    ahead_by: usize,
    /// The panel's first channel.
    first: usize,
    /// Channels of the panel that there are.
    channels: usize,
}

impl Tile<'_, '_> {
    /// R pixels, of a place for M.
    ///
    /// # Safety
    /// Lengths are as above, with R outputs; pointers are as [`Product`] promises.
    #[inline(always)]
    unsafe fn run<S: Simd, const R: usize, const M: usize, const V: usize>(&self, simd: S) {
        // SAFETY: the caller's promise, for each pointer that is followed below.
        unsafe {
            let zeros = [simd.splat_f32s(0.0); V];
            let bias: [S::f32s; V] = from_fn(|v| load::<S>(self.bias.as_ptr().add(v * S::F32_LANES)));
            // The first chain begins at the bias; where there are more, each joins the total at its end.
            let mut sums = [bias; R];
            let mut totals = [zeros; R];
            let mut weights = self.weights.as_ptr();
            let mut ahead = self.ahead;
            let mut left = self.job.taps * self.job.run;
            let is_one_chain = left <= self.job.chain.min(self.job.run);
            for taps in self.inputs.chunks_exact(M) {
                let rows: [*const f32; R] = from_fn(|r| taps[r]);
                let mut k = 0;
                while k < self.job.run {
                    let last = self.job.run.min(k + self.job.chain);
                    left -= last - k;
                    while k + UNROLLED <= last {
                        prefetch(ahead);
                        ahead = ahead.wrapping_add(self.ahead_by);
                        for u in 0..UNROLLED {
                            add_products::<S, R, V>(simd, &mut sums, rows, k + u, weights.add(u * V * S::F32_LANES));
                        }
                        weights = weights.add(UNROLLED * V * S::F32_LANES);
                        k += UNROLLED;
                    }
                    while k < last {
                        add_products::<S, R, V>(simd, &mut sums, rows, k, weights);
                        weights = weights.add(V * S::F32_LANES);
                        k += 1;
                    }
                    if left > 0 {
                        for r in 0..R {
                            for v in 0..V {
                                totals[r][v] = simd.add_f32s(totals[r][v], sums[r][v]);
                                sums[r][v] = zeros[v];
                            }
                        }
                    }
                }
            }
            if !is_one_chain {
                for r in 0..R {
                    for v in 0..V {
                        sums[r][v] = simd.add_f32s(totals[r][v], sums[r][v]);
                    }
                }
            }
            let floor = simd.splat_f32s(self.job.floor);
            for (r, sums) in sums.into_iter().enumerate() {
                let to = self.outputs[r].add(self.first);
                let sums = sums.map(|sum| simd.max_f32s(sum, floor));
                if self.channels == V * S::F32_LANES {
                    sums.into_iter().enumerate().for_each(|(v, sum)| store::<S>(to.add(v * S::F32_LANES), sum));
                } else {
                    to.copy_from_nonoverlapping(sums.as_ptr().cast(), self.channels);
                }
            }
        }
    }
}
