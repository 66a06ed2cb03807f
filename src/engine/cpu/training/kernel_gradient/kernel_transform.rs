//! G' a: sums at the points of minimal filtering to the gradient of kernels.
//!
//! ```text
//! [places] of 16 input channels ─▶ down, along ─▶ [taps] of them ─▶ transposed in registers ─▶ [in, taps]
//!                                  (float64)
//! ```
//!
//! As in G, the even powers of the points p and -p agree and the odd ones differ in their sign: the sum of the two is multiplied by the
//! even powers, their difference by the odd ones.

use super::super::super::minimal_filtering::MinimalFilter;

/// Input channels that are transformed at a time.
pub const LANES: usize = 16;
/// Taps of a kernel, at most, and as many more as are written beyond the last one.
pub const MOST: usize = 49 + SIDE;
/// Side of a square that is transposed in registers.
const SIDE: usize = 4;

/// Numbers of as many channels.
type Lanes<T> = [T; LANES];

/// G' along one axis or along both.
pub struct KernelTransform {
    taps: usize,
    points: usize,
    is_square: bool,
    /// What the sum at 0 is multiplied by.
    at_zero: f64,
    /// By pair of points, the powers of the first, each divided by the same.
    pairs: Vec<Vec<f64>>,
}

impl KernelTransform {
    pub fn new(filter: &MinimalFilter, is_square: bool) -> Self {
        let rows = filter.kernel_transform();
        let pairs = rows[1..filter.points() - 1].iter().step_by(2).cloned().collect();
        Self { taps: filter.taps, points: filter.points(), is_square, at_zero: rows[0][0], pairs }
    }

    /// From the sums at the places to `[in, taps]`; what is beyond is of no matter.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]
    pub fn run(&self, at: impl Fn(usize) -> Lanes<f32>, kernels: &mut [f32; LANES * MOST]) {
        match (self.taps, self.points) {
            (2, _) => self.of::<2, 4, 1>(at, kernels),
            (3, 4) => self.of::<3, 4, 1>(at, kernels),
            (3, 6) => self.of::<3, 6, 2>(at, kernels),
            (3, _) => self.of::<3, 8, 3>(at, kernels),
            (5, 6) => self.of::<5, 6, 2>(at, kernels),
            (5, _) => self.of::<5, 8, 3>(at, kernels),
            (_, 8) => self.of::<7, 8, 3>(at, kernels),
            (_, 10) => self.of::<7, 10, 4>(at, kernels),
            _ => self.of::<7, 12, 5>(at, kernels),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as above")]
    #[expect(clippy::needless_range_loop, reason = "a column of all rows")]
    fn of<const TAPS: usize, const POINTS: usize, const PAIRS: usize>(
        &self,
        at: impl Fn(usize) -> Lanes<f32>,
        kernels: &mut [f32; LANES * MOST],
    ) {
        let mut taps = [[0.0; LANES]; MOST];
        if !self.is_square {
            self.along::<f32, TAPS, POINTS, PAIRS>(&std::array::from_fn(at), |tap, lane, number| {
                taps[tap][lane] = number as f32;
            });
            return interleave(&taps, TAPS, kernels);
        }
        let mut half = [[[0.0_f64; LANES]; POINTS]; TAPS];
        for x in 0..POINTS {
            let column = std::array::from_fn(|y| at(y * POINTS + x));
            self.along::<f32, TAPS, POINTS, PAIRS>(&column, |tap, lane, number| half[tap][x][lane] = number);
        }
        for (y, half) in half.iter().enumerate() {
            self.along::<f64, TAPS, POINTS, PAIRS>(half, |tap, lane, number| {
                taps[y * TAPS + tap][lane] = number as f32;
            });
        }
        interleave(&taps, TAPS * TAPS, kernels);
    }

    /// Along one axis. Lanes are the outermost loop, and all within is of known length: so it becomes vectors.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as above")]
    #[expect(clippy::needless_range_loop, reason = "a lane of several arrays")]
    fn along<T: Copy + Into<f64>, const TAPS: usize, const POINTS: usize, const PAIRS: usize>(
        &self,
        points: &[Lanes<T>; POINTS],
        mut to: impl FnMut(usize, usize, f64),
    ) {
        let powers: [[f64; TAPS]; PAIRS] = std::array::from_fn(|pair| std::array::from_fn(|tap| self.pairs[pair][tap]));
        for lane in 0..LANES {
            let mut taps = [0.0_f64; TAPS];
            taps[0] = self.at_zero * points[0][lane].into();
            taps[TAPS - 1] = points[POINTS - 1][lane].into();
            for pair in 0..PAIRS {
                let [plus, minus]: [f64; 2] = [points[2 * pair + 1][lane].into(), points[2 * pair + 2][lane].into()];
                let by_parity = [plus + minus, plus - minus];
                for tap in 0..TAPS {
                    taps[tap] += powers[pair][tap] * by_parity[tap % 2];
                }
            }
            for (tap, &number) in taps.iter().enumerate() {
                to(tap, lane, number);
            }
        }
    }
}

/// [taps, in] to [in, taps].
#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
fn interleave(taps: &[Lanes<f32>; MOST], count: usize, to: &mut [f32; LANES * MOST]) {
    // The last square begins among those that are there already; where there is none before it, what it writes beyond a channel's
    // taps is the next channel's, which comes after it.
    for first in (0..count).step_by(SIDE).map(|first| first.min(count.saturating_sub(SIDE))) {
        for lane in (0..LANES).step_by(SIDE) {
            let square: [[f32; SIDE]; SIDE] =
                std::array::from_fn(|tap| std::array::from_fn(|at| taps[first + tap][lane + at]));
            for at in 0..SIDE {
                let numbers: [f32; SIDE] = std::array::from_fn(|tap| square[tap][at]);
                to[(lane + at) * count + first..][..SIDE].copy_from_slice(&numbers);
            }
        }
    }
}
