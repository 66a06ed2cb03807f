//! Rows times weights: the loop where nearly all of the time goes.

use std::array::from_fn;

use pulp::{Simd, WithSimd};

use super::{load, multiply_add, store};

/// For each row and output channel: max(floor, bias + sum over the row's numbers * weight).
///
/// The sum runs over the numbers in their order, whatever the number of rows, so the bits of a row are its own. A sum of n
/// products in a row is off by the rounding of all the sums before it; `chain` cuts it into shorter ones.
///
/// Rows are a step apart, with no pointer to each: at the points of minimal filtering sums are short, and following pointers
/// took as long as a third of the sum.
pub struct MatrixProduct<'a> {
    /// [rows, depth]: the first number of the first row,
    pub inputs: *const f32,
    /// and numbers from one row to the next.
    pub input_step: usize,
    /// Rows.
    pub rows: usize,
    /// Numbers of a row.
    pub depth: usize,
    /// Products that are added up in a row before they join the total.
    pub chain: usize,
    /// [panels, depth, panel], zeros past the last channel.
    pub weights: &'a [f32],
    /// [panels, panel].
    pub bias: &'a [f32],
    /// 0 for ReLU, minus infinity for none.
    pub floor: f32,
    /// [rows, panels, panel]: where the first row's channels go,
    pub outputs: *mut f32,
    /// numbers from one row to the next,
    pub output_step: usize,
    /// and from one panel to the next.
    pub panel_step: usize,
    /// Output channels.
    pub channels: usize,
}

pub(super) struct Run<'a, 'b, const M: usize, const V: usize>(pub(super) &'a MatrixProduct<'b>);

impl<const M: usize, const V: usize> WithSimd for Run<'_, '_, M, V> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let job = self.0;
        let panel = V * S::F32_LANES;
        // As even as can be: a register tile with few rows waits for its own sums.
        let tiles = job.rows.div_ceil(M).max(1);
        let (rows, taller) = (job.rows / tiles, job.rows % tiles);
        for (position, weights) in job.weights.chunks_exact(job.depth * panel).enumerate() {
            let first = position * panel;
            let panel = Panel {
                job,
                weights,
                bias: &job.bias[first..first + panel],
                outputs: job.outputs.wrapping_add(position * job.panel_step),
                channels: panel.min(job.channels - first),
            };
            // SAFETY: pointers and lengths are as MatrixProduct promises.
            unsafe {
                panel.tiles::<S, M, V>(simd, rows + 1, [0, taller]);
                panel.tiles::<S, M, V>(simd, rows, [taller, tiles]);
            }
        }
    }
}

/// All rows times one panel.
struct Panel<'a, 'b> {
    job: &'a MatrixProduct<'b>,
    /// [depth, panel].
    weights: &'a [f32],
    /// `[panel]`.
    bias: &'a [f32],
    /// The first row's channels of this panel.
    outputs: *mut f32,
    /// Channels of the panel that there are.
    channels: usize,
}

impl Panel<'_, '_> {
    /// The register tiles from one on to another, of so many rows each, M at most. Those before are a row taller.
    ///
    /// # Safety
    /// Lengths are as above, pointers as [`MatrixProduct`] promises.
    #[inline(always)]
    unsafe fn tiles<S: Simd, const M: usize, const V: usize>(&self, simd: S, rows: usize, tiles: [usize; 2]) {
        // SAFETY: the caller's promise.
        unsafe {
            match rows {
                0 => {}
                1 => self.tiles_of::<S, 1, V>(simd, tiles),
                2 => self.tiles_of::<S, 2, V>(simd, tiles),
                3 => self.tiles_of::<S, 3, V>(simd, tiles),
                4 => self.tiles_of::<S, 4, V>(simd, tiles),
                5 if M > 5 => self.tiles_of::<S, 5, V>(simd, tiles),
                6 if M > 6 => self.tiles_of::<S, 6, V>(simd, tiles),
                7 if M > 7 => self.tiles_of::<S, 7, V>(simd, tiles),
                8 if M > 8 => self.tiles_of::<S, 8, V>(simd, tiles),
                9 if M > 9 => self.tiles_of::<S, 9, V>(simd, tiles),
                10 if M > 10 => self.tiles_of::<S, 10, V>(simd, tiles),
                11 if M > 11 => self.tiles_of::<S, 11, V>(simd, tiles),
                _ => self.tiles_of::<S, M, V>(simd, tiles),
            }
        }
    }

    /// # Safety
    /// As [`Self::tiles`].
    #[inline(always)]
    unsafe fn tiles_of<S: Simd, const R: usize, const V: usize>(&self, simd: S, [from, to]: [usize; 2]) {
        // Those before are a row taller.
        let row = from * (R + 1);
        // SAFETY: the caller's promise.
        unsafe {
            let mut input = self.job.inputs.wrapping_add(row * self.job.input_step);
            let mut output = self.outputs.wrapping_add(row * self.job.output_step);
            for tile in from..to {
                if self.channels == V * S::F32_LANES {
                    self.tile::<S, R, V>(simd, tile, input, output, self.job.output_step);
                } else {
                    // To where there is room, and from there what is wanted.
                    let mut whole = [[simd.splat_f32s(0.0); V]; R];
                    let step = V * S::F32_LANES;
                    let whole = whole.as_mut_ptr().cast::<f32>();
                    self.tile::<S, R, V>(simd, tile, input, whole, step);
                    for r in 0..R {
                        let to = output.add(r * self.job.output_step);
                        to.copy_from_nonoverlapping(whole.add(r * step), self.channels);
                    }
                }
                input = input.wrapping_add(R * self.job.input_step);
                output = output.wrapping_add(R * self.job.output_step);
            }
        }
    }

    /// R rows from an input to an output.
    ///
    /// # Safety
    /// As [`Self::tiles`].
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        tile: usize,
        input: *const f32,
        output: *mut f32,
        output_step: usize,
    ) {
        let job = self.job;
        let panel = V * S::F32_LANES;
        // The first tiles see to the next panel's weights, see [`UNROLLED`].
        let (ahead, ahead_by) = if tile < UNROLLED {
            let of_tile = job.depth.div_ceil(UNROLLED) * panel;
            (self.weights.as_ptr_range().end.wrapping_add(tile * of_tile), panel)
        } else {
            (self.weights.as_ptr(), 0)
        };
        // SAFETY: the caller's promise, for each pointer that is followed below.
        unsafe {
            let rows: [*const f32; R] = from_fn(|r| input.add(r * job.input_step));
            let bias: [S::f32s; V] = from_fn(|v| load::<S>(self.bias.as_ptr().add(v * S::F32_LANES)));
            let mut fetch = Ahead { at: ahead, by: ahead_by };
            let first_chain = Chain { rows, from: 0, to: job.depth.min(job.chain) };
            let mut sums = first_chain.add::<S, V>(simd, [bias; R], self.weights, &mut fetch);
            if job.chain < job.depth {
                let zeros = [[simd.splat_f32s(0.0); V]; R];
                let mut totals = sums;
                for k in (job.chain..job.depth).step_by(job.chain) {
                    let next = Chain { rows, from: k, to: job.depth.min(k + job.chain) };
                    sums = next.add::<S, V>(simd, zeros, self.weights, &mut fetch);
                    for r in 0..R {
                        for v in 0..V {
                            totals[r][v] = simd.add_f32s(totals[r][v], sums[r][v]);
                        }
                    }
                }
                sums = totals;
            }
            let floor = simd.splat_f32s(job.floor);
            for r in 0..R {
                for v in 0..V {
                    let to = output.add(r * output_step + v * S::F32_LANES);
                    store::<S>(to, simd.max_f32s(sums[r][v], floor));
                }
            }
        }
    }
}

/// What is prefetched, and how many numbers further on at each turn.
struct Ahead {
    at: *const f32,
    by: usize,
}

/// Some numbers of R rows.
struct Chain<const R: usize> {
    rows: [*const f32; R],
    from: usize,
    to: usize,
}

impl<const R: usize> Chain<R> {
    /// The sums, and the products of these numbers and their weights, of [depth, panel].
    ///
    /// # Safety
    /// They can be read.
    #[inline(always)]
    unsafe fn add<S: Simd, const V: usize>(
        self,
        simd: S,
        mut sums: [[S::f32s; V]; R],
        weights: &[f32],
        ahead: &mut Ahead,
    ) -> [[S::f32s; V]; R] {
        let panel = V * S::F32_LANES;
        let mut k = self.from;
        // SAFETY: the caller's promise.
        unsafe {
            let mut weights = weights.as_ptr().add(k * panel);
            while k + UNROLLED <= self.to {
                prefetch(ahead.at);
                ahead.at = ahead.at.wrapping_add(ahead.by);
                for u in 0..UNROLLED {
                    add_products::<S, R, V>(simd, &mut sums, self.rows, k + u, weights.add(u * panel));
                }
                weights = weights.add(UNROLLED * panel);
                k += UNROLLED;
            }
            while k < self.to {
                add_products::<S, R, V>(simd, &mut sums, self.rows, k, weights);
                weights = weights.add(panel);
                k += 1;
            }
        }
        sums
    }
}

/// Products a turn of the innermost loop. With each turn goes a line of the next panel, which so has come nearer when it is
/// needed: this many tiles see to all of it.
const UNROLLED: usize = 4;

/// sums += the k-th number of each row times a vector of weights.
///
/// # Safety
/// They can be read.
#[inline(always)]
unsafe fn add_products<S: Simd, const R: usize, const V: usize>(
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
