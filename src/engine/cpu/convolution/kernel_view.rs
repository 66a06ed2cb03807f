//! A kernel as a convolution sees it, wherever and in whichever order its numbers lie.
//!
//! The gradient by the inputs is a convolution too, with the same kernel transposed and flipped; a phase of a larger stride is one with
//! some of its taps; a folded batch norm is a factor a channel. None of that needs a copy of the kernel:
//!
//! ```text
//! [out, in, taps]    number(o, c, t) = numbers[o * step + c * step + offset(t)] * scale(o) * scale(c)
//! ```

use std::ops::Range;

use super::super::stream;
use crate::inception::Convolution;

/// A kernel `[out, in, taps]`, scaled by its channels.
#[derive(Clone)]
pub struct KernelView<'a> {
    numbers: &'a [f32],
    /// Channels,
    channels: [usize; 2],
    /// numbers from one to the next, of the outputs and of the inputs,
    steps: [usize; 2],
    /// and their factors.
    scales: [Option<&'a [f32]>; 2],
    /// Where each tap is, row by row.
    taps: Vec<usize>,
    /// Numbers of a pair of channels, those of taps that are left out included.
    of_pair: usize,
}

impl<'a> KernelView<'a> {
    /// A kernel as it lies in torchvision's checkpoints.
    pub fn new(shape: &Convolution, numbers: &'a [f32]) -> Self {
        let [out, channels, height, width] = shape.kernel_shape();
        let taps = height * width;
        Self {
            numbers,
            channels: [out, channels],
            steps: [channels * taps, taps],
            scales: [None, None],
            taps: (0..taps).collect(),
            of_pair: taps,
        }
    }

    /// The same with a factor for each output channel.
    pub fn scaled(self, scales: &'a [f32]) -> Self {
        Self { scales: [Some(scales), self.scales[1]], ..self }
    }

    /// Outputs for inputs, and the last tap first.
    pub fn transposed(mut self) -> Self {
        self.channels.reverse();
        self.steps.reverse();
        self.scales.reverse();
        self.taps.reverse();
        self
    }

    /// With some of its taps only.
    pub fn select(&self, taps: &[usize]) -> Self {
        Self { taps: taps.iter().map(|&tap| self.taps[tap]).collect(), ..self.clone() }
    }

    /// Output and input channels.
    pub const fn channels(&self) -> [usize; 2] {
        self.channels
    }

    /// Where each tap of a pair of channels is, from the first number of the pair on.
    pub fn taps(&self) -> &[usize] {
        &self.taps
    }

    /// The numbers of some neighbouring output channels, at most as many as there are lanes, and some input channels: [in, taps, out],
    /// scaled. What is beyond the last output channel is of no matter.
    ///
    /// Whole lanes are transposed in vectors, whichever way the numbers lie.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]
    pub fn gather<const LANES: usize>(&self, outs: Range<usize>, channels: Range<usize>, numbers: &mut [[f32; LANES]]) {
        let taps = self.taps.len();
        let all_in_order = taps == self.of_pair && self.taps.is_sorted();
        let first = outs.start * self.steps[0] + channels.start * self.steps[1];
        let mut by_lane = [1.0; LANES];
        if let Some(scales) = self.scales[0] {
            by_lane[..outs.len()].copy_from_slice(&scales[outs.clone()]);
        }
        let factor = |channel: usize| self.scales[1].map_or(1.0, |scales| scales[channel]);
        if outs.len() == LANES
            && all_in_order
            && self.steps[1] == taps
            && self.scales[1].is_none()
            && (channels.len() * taps).is_multiple_of(LANES)
        {
            // An output channel's numbers are a row.
            let len = channels.len() * taps;
            for (square, to) in numbers[..len].chunks_exact_mut(LANES).enumerate() {
                let rows = &self.numbers[first + square * LANES..];
                for column in (0..LANES).step_by(SIDE) {
                    transpose(&rows[column..], self.steps[0], &by_lane, &mut to[column..]);
                }
            }
        } else if outs.len() == LANES && self.steps[0] == self.of_pair {
            // An input channel's numbers are.
            for (channel, numbers) in channels.zip(numbers.chunks_exact_mut(taps)) {
                let row = &self.numbers[channel * self.steps[1] + outs.start * self.steps[0]..][..LANES * self.of_pair];
                let by_lane = by_lane.map(|scale| scale * factor(channel));
                match self.of_pair {
                    1 => numbers[0] = std::array::from_fn(|lane| row[lane] * by_lane[lane]),
                    3 => deinterleave::<LANES, 3>(row, &self.taps, &by_lane, numbers),
                    7 => deinterleave::<LANES, 7>(row, &self.taps, &by_lane, numbers),
                    9 => deinterleave::<LANES, 9>(row, &self.taps, &by_lane, numbers),
                    25 => deinterleave::<LANES, 25>(row, &self.taps, &by_lane, numbers),
                    of_pair => {
                        for (to, &at) in numbers.iter_mut().zip(&self.taps) {
                            for lane in 0..LANES {
                                to[lane] = row[lane * of_pair + at] * by_lane[lane];
                            }
                        }
                    }
                }
            }
        } else {
            for (lane, out) in outs.enumerate() {
                for (numbers, channel) in numbers.chunks_exact_mut(taps).zip(channels.clone()) {
                    let from = &self.numbers[out * self.steps[0] + channel * self.steps[1]..];
                    for (to, &at) in numbers.iter_mut().zip(&self.taps) {
                        to[lane] = from[at] * (by_lane[lane] * factor(channel));
                    }
                }
            }
        }
    }

    /// Has the numbers of these channels fetched: the hardware does not foresee the next of many short rows.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as above")]
    pub fn prefetch(&self, outs: Range<usize>, channels: Range<usize>) {
        let [(rows, step), (along, within)] = if self.steps[0] > self.steps[1] {
            [(outs, self.steps[0]), (channels, self.steps[1])]
        } else {
            [(channels, self.steps[1]), (outs, self.steps[0])]
        };
        for row in rows {
            let first = row * step + along.start * within;
            stream::prefetch(self.numbers[first..].as_ptr(), along.len() * within);
        }
    }
}

/// Side of a square that is transposed in registers.
const SIDE: usize = 4;

/// The first numbers of a row a lane, each `step` behind the one before, scaled: to columns.
#[inline(always)]
#[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]
fn transpose<const LANES: usize>(rows: &[f32], step: usize, scales: &[f32; LANES], to: &mut [[f32; LANES]]) {
    let to = &mut to[..SIDE];
    for lane in (0..LANES).step_by(SIDE) {
        let square: [[f32; SIDE]; SIDE] =
            std::array::from_fn(|row| std::array::from_fn(|at| rows[(lane + row) * step..][..SIDE][at]));
        for (column, to) in to.iter_mut().enumerate() {
            let numbers: [f32; SIDE] = std::array::from_fn(|row| square[row][column] * scales[lane + row]);
            to[lane..lane + SIDE].copy_from_slice(&numbers);
        }
    }
}

/// [lanes, numbers of a pair] to [taps, lanes], scaled.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
fn deinterleave<const LANES: usize, const OF_PAIR: usize>(
    row: &[f32],
    taps: &[usize],
    scales: &[f32; LANES],
    to: &mut [[f32; LANES]],
) {
    let mut columns = [[0.0; LANES]; OF_PAIR];
    let (squares, rest) = (OF_PAIR / SIDE * SIDE, OF_PAIR % SIDE);
    for at in (0..squares).step_by(SIDE) {
        transpose(&row[at..], OF_PAIR, scales, &mut columns[at..]);
    }
    if rest > 0 && squares > 0 {
        // Some of its columns are there already.
        transpose(&row[OF_PAIR - SIDE..], OF_PAIR, scales, &mut columns[OF_PAIR - SIDE..]);
    } else if rest > 0 {
        for (at, column) in columns.iter_mut().enumerate() {
            for lane in 0..LANES {
                column[lane] = row[lane * OF_PAIR + at] * scales[lane];
            }
        }
    }
    for (to, &at) in to.iter_mut().zip(taps) {
        *to = columns[at];
    }
}
