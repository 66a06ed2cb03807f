//! G g: kernels to their numbers at the points of minimal filtering, laid out for the products.
//!
//! ```text
//! [out, in, taps] ─▶ gathered, 16 input channels of a panel  ─▶ down, along ─▶ [places, panels, in, panel]
//!                    [in, taps, panel], scaled                  (float64)
//! ```
//!
//! Of the points p and -p of a pair the even powers agree and the odd ones differ in their sign, so that both come from two sums. A place's
//! numbers are written in runs: as many places as there are lie far apart, and a line of the cache that is written in halves is
//! fetched twice.

use std::ops::Range;

use rayon::prelude::*;

use super::super::minimal_filtering::MinimalFilter;
use super::super::stream;
use super::KernelView;
use crate::vectorised::vectorised;

/// Input channels of a panel that are transformed at a time: they stay in the first cache.
const STRIP: usize = 16;

/// G down and along.
pub(super) struct KernelTransform {
    axes: [Axis; 2],
}

/// G along one axis.
struct Axis {
    taps: usize,
    /// The rows, in their order.
    parts: Vec<Part>,
}

enum Part {
    /// A tap times a number.
    Tap(usize, f64),
    /// The points p and -p: the powers of p, each divided by the same.
    Pair(Vec<f64>),
}

impl Axis {
    /// The axis that kernels have one tap along.
    fn one() -> Self {
        Self { taps: 1, parts: vec![Part::Tap(0, 1.0)] }
    }

    fn of(filter: &MinimalFilter) -> Self {
        let rows = filter.kernel_transform();
        let infinity = filter.points() - 1;
        let mut parts = vec![Part::Tap(0, rows[0][0])];
        parts.extend((1..infinity).step_by(2).map(|point| Part::Pair(rows[point].clone())));
        parts.push(Part::Tap(filter.taps - 1, 1.0));
        Self { taps: filter.taps, parts }
    }

    fn points(&self) -> usize {
        self.parts.iter().map(Part::points).sum()
    }
}

impl KernelTransform {
    /// For so many points along the axes.
    pub(super) fn new(filter: &MinimalFilter, points: [usize; 2]) -> Self {
        Self { axes: points.map(|points| if points == 1 { Axis::one() } else { Axis::of(filter) }) }
    }

    /// G g of each pair of channels, [places, panels, in, panel]; what is past the last channel is of no matter.
    pub(super) fn lay_out(&self, weights: &mut [f32], kernel: &KernelView<'_>, panel: usize) {
        let [out, channels] = kernel.channels();
        let panels = out.div_ceil(panel);
        let places: usize = self.axes.iter().map(Axis::points).product();
        // By panel, its strips one after the other; of each, the runs of all places.
        let strips = channels.div_ceil(STRIP);
        let mut by_strip: Vec<Vec<&mut [f32]>> = Vec::new();
        by_strip.resize_with(panels * strips, || Vec::with_capacity(places));
        for (position, block) in weights.chunks_exact_mut(channels * panel).enumerate() {
            for (strip, run) in block.chunks_mut(STRIP * panel).enumerate() {
                by_strip[position % panels * strips + strip].push(run);
            }
        }
        by_strip.par_chunks_mut(strips).enumerate().for_each(|(position, by_strip)| {
            let outs = position * panel..out.min((position + 1) * panel);
            vectorised(
                #[inline(always)]
                || {
                    if panel.is_multiple_of(16) {
                        self.lay_out_panel::<16>(by_strip, kernel, &outs, panel);
                    } else {
                        self.lay_out_panel::<8>(by_strip, kernel, &outs, panel);
                    }
                },
            );
        });
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]
    fn lay_out_panel<const LANES: usize>(
        &self,
        by_strip: &mut [Vec<&mut [f32]>],
        kernel: &KernelView<'_>,
        outs: &Range<usize>,
        panel: usize,
    ) {
        let [down, along] = &self.axes;
        let [_, all] = kernel.channels();
        let (groups, of_pair, width) = (panel / LANES, down.taps * along.taps, along.taps);
        // [groups, in, taps], and [groups, in, width] of a point down or of two.
        let mut numbers = vec![[0.0_f32; LANES]; groups * STRIP * of_pair];
        let mut half =
            [(); 2].map(|()| vec![[0.0_f64; LANES]; if down.taps == 1 { 0 } else { numbers.len() / down.taps }]);
        for (strip, runs) in by_strip.iter_mut().enumerate() {
            let first = strip * STRIP;
            let channels = first..first + runs[0].len() / panel;
            kernel.prefetch(outs.clone(), channels.end..all.min(channels.end + STRIP));
            for (group, numbers) in numbers.chunks_exact_mut(STRIP * of_pair).enumerate() {
                let lanes = outs.start + group * LANES..outs.end.min(outs.start + (group + 1) * LANES);
                kernel.gather(lanes, channels.clone(), numbers);
            }
            if let Some(axis) = [along, down].into_iter().find(|axis| axis.taps == of_pair) {
                axis.write(&numbers, runs, panel);
                continue;
            }
            let mut runs = runs.chunks_exact_mut(along.points());
            for part in &down.parts {
                let [upper, lower] = &mut half;
                down.half(part, &numbers, [upper, lower], width);
                for (half, runs) in half.iter().zip(runs.by_ref().take(part.points())) {
                    along.write(half, runs, panel);
                }
            }
        }
    }
}

impl Axis {
    /// The columns of [pairs, taps, width] at one point or two, [pairs, width].
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as above")]
    fn half<const LANES: usize>(
        &self,
        part: &Part,
        numbers: &[[f32; LANES]],
        halves: [&mut [[f64; LANES]]; 2],
        width: usize,
    ) {
        match self.taps {
            2 => part.half::<LANES, 2>(numbers, halves, width),
            3 => part.half::<LANES, 3>(numbers, halves, width),
            5 => part.half::<LANES, 5>(numbers, halves, width),
            _ => part.half::<LANES, 7>(numbers, halves, width),
        }
    }

    /// The numbers at each point of [groups, in, taps], to the points' runs [in, groups].
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as above")]
    fn write<T: Copy + Into<f64>, const LANES: usize>(
        &self,
        numbers: &[[T; LANES]],
        runs: &mut [&mut [f32]],
        panel: usize,
    ) {
        match self.taps {
            1 => self.write_taps::<T, LANES, 1>(numbers, runs, panel),
            2 => self.write_taps::<T, LANES, 2>(numbers, runs, panel),
            3 => self.write_taps::<T, LANES, 3>(numbers, runs, panel),
            5 => self.write_taps::<T, LANES, 5>(numbers, runs, panel),
            _ => self.write_taps::<T, LANES, 7>(numbers, runs, panel),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as above")]
    fn write_taps<T: Copy + Into<f64>, const LANES: usize, const TAPS: usize>(
        &self,
        numbers: &[[T; LANES]],
        runs: &mut [&mut [f32]],
        panel: usize,
    ) {
        let (pairs, _) = numbers.as_chunks::<TAPS>();
        let mut runs = runs.iter_mut();
        for part in &self.parts {
            let Some(run) = runs.next() else { return };
            let places = |c: usize| (0..panel / LANES).map(move |group| (group * STRIP + c, c * panel + group * LANES));
            let channels = run.len() / panel;
            match part {
                Part::Tap(tap, factor) => {
                    for (pair, to) in (0..channels).flat_map(places) {
                        let numbers = &pairs[pair][*tap];
                        let mut at_point = [0.0; LANES];
                        for lane in 0..LANES {
                            at_point[lane] = (numbers[lane].into() * factor) as f32;
                        }
                        stream::store(&mut run[to..], &at_point);
                    }
                }
                Part::Pair(powers) => {
                    let (Some(other), Some(powers)) = (runs.next(), powers.first_chunk::<TAPS>()) else { return };
                    for (pair, to) in (0..channels).flat_map(places) {
                        let [even, odd] = sums(powers, &pairs[pair]);
                        let [mut at_point, mut at_other] = [[0.0; LANES]; 2];
                        for lane in 0..LANES {
                            at_point[lane] = (even[lane] + odd[lane]) as f32;
                            at_other[lane] = (even[lane] - odd[lane]) as f32;
                        }
                        stream::store(&mut run[to..], &at_point);
                        stream::store(&mut other[to..], &at_other);
                    }
                }
            }
        }
        stream::fence();
    }
}

impl Part {
    const fn points(&self) -> usize {
        match self {
            Self::Tap(..) => 1,
            Self::Pair(_) => 2,
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as above")]
    fn half<const LANES: usize, const TAPS: usize>(
        &self,
        numbers: &[[f32; LANES]],
        [upper, lower]: [&mut [[f64; LANES]]; 2],
        width: usize,
    ) {
        // [pairs, width] columns of TAPS numbers, `width` apart.
        let columns = numbers.chunks_exact(TAPS * width).flat_map(|pair| (0..width).map(move |x| &pair[x..]));
        match self {
            Self::Tap(tap, factor) => {
                for (column, upper) in columns.zip(upper) {
                    for lane in 0..LANES {
                        upper[lane] = f64::from(column[tap * width][lane]) * factor;
                    }
                }
            }
            Self::Pair(powers) => {
                let Some(powers) = powers.first_chunk::<TAPS>() else { return };
                for ((column, upper), lower) in columns.zip(upper).zip(lower) {
                    let taps: [[f32; LANES]; TAPS] = std::array::from_fn(|tap| column[tap * width]);
                    let [even, odd] = sums(powers, &taps);
                    for lane in 0..LANES {
                        upper[lane] = even[lane] + odd[lane];
                        lower[lane] = even[lane] - odd[lane];
                    }
                }
            }
        }
    }
}

/// The sums of the even powers and of the odd ones.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
fn sums<T: Copy + Into<f64>, const LANES: usize, const TAPS: usize>(
    powers: &[f64; TAPS],
    taps: &[[T; LANES]; TAPS],
) -> [[f64; LANES]; 2] {
    let mut sums = [[0.0; LANES]; 2];
    for (at, (power, tap)) in powers.iter().zip(taps).enumerate() {
        for lane in 0..LANES {
            sums[at % 2][lane] += power * tap[lane].into();
        }
    }
    sums
}
