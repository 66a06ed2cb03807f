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
    /// The first number of the first row,
    pub inputs: *const f32,
    /// and where the others are.
    pub lie: Lie,
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
    /// Whether what is at the outputs is a part of the sum.
    pub accumulate: bool,
    /// [rows, panels, panel]: where the first row's channels go,
    pub outputs: *mut f32,
    /// numbers from one row to the next,
    pub output_step: usize,
    /// and from one panel to the next.
    pub panel_step: usize,
    /// Output channels.
    pub channels: usize,
}

/// How rows lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// [rows, depth], so many numbers from one row to the next.
    Rows(usize),
    /// [depth, panel]: row by row they are columns of a panel, which is as wide as those of the weights. The product is that of a
    /// transposed matrix, without transposing it.
    Columns,
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
            let channels = panel.min(job.channels - first);
            let panel = Panel {
                job,
                weights,
                bias: &job.bias[first..first + panel],
                outputs: job.outputs.wrapping_add(position * job.panel_step),
                channels,
            };
            // SAFETY: pointers and lengths are as MatrixProduct promises.
            unsafe {
                match job.lie {
                    Lie::Rows(step) => panel.all::<S, Apart, M, V>(simd, Apart(step), [rows, taller, tiles]),
                    Lie::Columns => panel.all::<S, Beside, M, V>(simd, Beside, [rows, taller, tiles]),
                }
            }
        }
    }
}

/// Where the k-th number of row r is: what [`Lie`] says, known when it is compiled.
trait Rows: Copy {
    /// From one row to the next.
    fn step(self) -> usize;

    /// From the first row's first number on, in panels that are so wide.
    fn at(self, panel: usize, r: usize, k: usize) -> usize;
}

#[derive(Clone, Copy)]
struct Apart(usize);

#[derive(Clone, Copy)]
struct Beside;

impl Rows for Apart {
    #[inline(always)]
    fn step(self) -> usize {
        self.0
    }

    #[inline(always)]
    fn at(self, _: usize, r: usize, k: usize) -> usize {
        r * self.0 + k
    }
}

impl Rows for Beside {
    #[inline(always)]
    fn step(self) -> usize {
        1
    }

    #[inline(always)]
    fn at(self, panel: usize, r: usize, k: usize) -> usize {
        k * panel + r
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
    /// All rows, in register tiles of so many rows, some of them one taller.
    ///
    /// # Safety
    /// Lengths are as above, pointers as [`MatrixProduct`] promises.
    #[inline(always)]
    unsafe fn all<S: Simd, L: Rows, const M: usize, const V: usize>(
        &self,
        simd: S,
        lie: L,
        [rows, taller, tiles]: [usize; 3],
    ) {
        for (rows, tiles) in [(rows + 1, [0, taller]), (rows, [taller, tiles])] {
            // SAFETY: the caller's promise.
            unsafe {
                // A panel that is at most half full would be as much work as a full one.
                if V == 2 && self.channels <= S::F32_LANES {
                    self.tiles::<S, L, M, V, 1>(simd, lie, rows, tiles);
                } else {
                    self.tiles::<S, L, M, V, V>(simd, lie, rows, tiles);
                }
            }
        }
    }

    /// The register tiles from one on to another, of so many rows each, M at most. Those before are a row taller. Panels are V
    /// vectors wide, of which U are asked for.
    ///
    /// # Safety
    /// As [`Self::all`].
    #[inline(always)]
    unsafe fn tiles<S: Simd, L: Rows, const M: usize, const V: usize, const U: usize>(
        &self,
        simd: S,
        lie: L,
        rows: usize,
        tiles: [usize; 2],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match rows {
                0 => {}
                1 => self.tiles_of::<S, L, 1, V, U>(simd, lie, tiles),
                2 => self.tiles_of::<S, L, 2, V, U>(simd, lie, tiles),
                3 => self.tiles_of::<S, L, 3, V, U>(simd, lie, tiles),
                4 => self.tiles_of::<S, L, 4, V, U>(simd, lie, tiles),
                5 if M > 5 => self.tiles_of::<S, L, 5, V, U>(simd, lie, tiles),
                6 if M > 6 => self.tiles_of::<S, L, 6, V, U>(simd, lie, tiles),
                7 if M > 7 => self.tiles_of::<S, L, 7, V, U>(simd, lie, tiles),
                8 if M > 8 => self.tiles_of::<S, L, 8, V, U>(simd, lie, tiles),
                9 if M > 9 => self.tiles_of::<S, L, 9, V, U>(simd, lie, tiles),
                10 if M > 10 => self.tiles_of::<S, L, 10, V, U>(simd, lie, tiles),
                11 if M > 11 => self.tiles_of::<S, L, 11, V, U>(simd, lie, tiles),
                _ => self.tiles_of::<S, L, M, V, U>(simd, lie, tiles),
            }
        }
    }

    /// # Safety
    /// As [`Self::all`].
    #[inline(always)]
    unsafe fn tiles_of<S: Simd, L: Rows, const R: usize, const V: usize, const U: usize>(
        &self,
        simd: S,
        lie: L,
        [from, to]: [usize; 2],
    ) {
        // Those before are a row taller.
        let row = from * (R + 1);
        // SAFETY: the caller's promise.
        unsafe {
            let mut input = self.job.inputs.wrapping_add(row * lie.step());
            let mut output = self.outputs.wrapping_add(row * self.job.output_step);
            for tile in from..to {
                if self.channels == U * S::F32_LANES {
                    self.tile::<S, L, R, V, U>(simd, lie, tile, input, output, self.job.output_step);
                } else {
                    // To where there is room, and from there what is wanted.
                    let mut whole = [[simd.splat_f32s(0.0); U]; R];
                    let step = U * S::F32_LANES;
                    let whole = whole.as_mut_ptr().cast::<f32>();
                    if self.job.accumulate {
                        for r in 0..R {
                            let from = output.add(r * self.job.output_step);
                            whole.add(r * step).copy_from_nonoverlapping(from, self.channels);
                        }
                    }
                    self.tile::<S, L, R, V, U>(simd, lie, tile, input, whole, step);
                    for r in 0..R {
                        let to = output.add(r * self.job.output_step);
                        to.copy_from_nonoverlapping(whole.add(r * step), self.channels);
                    }
                }
                input = input.wrapping_add(R * lie.step());
                output = output.wrapping_add(R * self.job.output_step);
            }
        }
    }

    /// R rows from an input to an output.
    ///
    /// # Safety
    /// As [`Self::tiles`].
    #[inline(always)]
    unsafe fn tile<S: Simd, L: Rows, const R: usize, const V: usize, const U: usize>(
        &self,
        simd: S,
        lie: L,
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
            let rows: [*const f32; R] = from_fn(|r| input.add(lie.at(panel, r, 0)));
            let bias: [S::f32s; U] = from_fn(|v| load::<S>(self.bias.as_ptr().add(v * S::F32_LANES)));
            let mut fetch = Ahead { at: ahead, by: ahead_by };
            let first_chain = Chain { rows, lie, from: 0, to: job.depth.min(job.chain) };
            let mut sums = first_chain.add::<S, V, U>(simd, [bias; R], self.weights, &mut fetch);
            if job.chain < job.depth {
                let zeros = [[simd.splat_f32s(0.0); U]; R];
                let mut totals = sums;
                for k in (job.chain..job.depth).step_by(job.chain) {
                    let next = Chain { rows, lie, from: k, to: job.depth.min(k + job.chain) };
                    sums = next.add::<S, V, U>(simd, zeros, self.weights, &mut fetch);
                    for r in 0..R {
                        for v in 0..U {
                            totals[r][v] = simd.add_f32s(totals[r][v], sums[r][v]);
                        }
                    }
                }
                sums = totals;
            }
            if job.accumulate {
                for r in 0..R {
                    for v in 0..U {
                        let before = load::<S>(output.add(r * output_step + v * S::F32_LANES));
                        sums[r][v] = simd.add_f32s(before, sums[r][v]);
                    }
                }
            }
            let floor = simd.splat_f32s(job.floor);
            for r in 0..R {
                for v in 0..U {
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
struct Chain<L, const R: usize> {
    rows: [*const f32; R],
    lie: L,
    from: usize,
    to: usize,
}

impl<L: Rows, const R: usize> Chain<L, R> {
    /// The sums, and the products of these numbers and their weights, of [depth, panel].
    ///
    /// # Safety
    /// They can be read.
    #[inline(always)]
    unsafe fn add<S: Simd, const V: usize, const U: usize>(
        self,
        simd: S,
        mut sums: [[S::f32s; U]; R],
        weights: &[f32],
        ahead: &mut Ahead,
    ) -> [[S::f32s; U]; R] {
        let panel = V * S::F32_LANES;
        let mut k = self.from;
        // SAFETY: the caller's promise.
        unsafe {
            let mut weights = weights.as_ptr().add(k * panel);
            while k + UNROLLED <= self.to {
                prefetch(ahead.at);
                ahead.at = ahead.at.wrapping_add(ahead.by);
                for u in 0..UNROLLED {
                    self.add_products::<S, V, U>(simd, &mut sums, k + u, weights.add(u * panel));
                }
                weights = weights.add(UNROLLED * panel);
                k += UNROLLED;
            }
            while k < self.to {
                self.add_products::<S, V, U>(simd, &mut sums, k, weights);
                weights = weights.add(panel);
                k += 1;
            }
        }
        sums
    }

    /// sums += the k-th number of each row times a vector of weights.
    ///
    /// # Safety
    /// They can be read.
    #[inline(always)]
    unsafe fn add_products<S: Simd, const V: usize, const U: usize>(
        &self,
        simd: S,
        sums: &mut [[S::f32s; U]; R],
        k: usize,
        weights: *const f32,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let these: [S::f32s; U] = from_fn(|v| load::<S>(weights.add(v * S::F32_LANES)));
            let mut first = self.rows[0];
            for r in 0..R {
                // Counted from every fourth row: for an address a row there are too few registers.
                if r % 4 == 0 {
                    first = unrelated(self.rows[r].add(self.lie.at(V * S::F32_LANES, 0, k)));
                }
                let number = simd.splat_f32s(*first.add(self.lie.at(V * S::F32_LANES, r % 4, 0)));
                for v in 0..U {
                    sums[r][v] = multiply_add(simd, number, these[v], sums[r][v]);
                }
            }
        }
    }
}

/// Products a turn of the innermost loop. With each turn goes a line of the next panel, which so has come nearer when it is
/// needed: this many tiles see to all of it.
const UNROLLED: usize = 4;

/// The same address, of which the compiler does not know that it is: it would keep an address for each row instead, most of
/// them on the stack (measured: a fifth slower with twelve rows).
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block, reason = "nothing is read or written by it")]
fn unrelated(mut address: *const f32) -> *const f32 {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: no instruction at all.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) address, options(pure, nomem, nostack, preserves_flags));
    }
    address
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
