//! A 1x1 convolution by Strassen's algorithm: seven products of quarters instead of eight.
//!
//! Rows and channels are cut into halves. With A the pixels and B the weights, in Winograd's form (1971; Higham, Accuracy and
//! Stability of Numerical Algorithms, chapter 23):
//!
//! ```text
//! S1 = A21 + A22    T1 = B12 - B11    P1 = A11 B11    P5 = S1 T1      C11 = P1 + P2
//! S2 = S1 - A11     T2 = B22 - T1     P2 = A12 B21    P6 = S2 T2      C12 = P1 + P6 + P5 + P3
//! S3 = A11 - A21    T3 = B22 - B12    P3 = S4 B22     P7 = S3 T3      C21 = P1 + P6 + P7 - P4
//! S4 = A12 - S2     T4 = T2 - B21     P4 = A22 T4                     C22 = P1 + P6 + P7 + P5
//! ```
//!
//! The upper half are the first of each pair of neighbouring pixels, the lower half the second ones. A product mixes both, so that
//! the two share their rounding; pairs never cross from one image to the next, and so an image's bits stay its own.
//!
//! T once, at load. The additions that are left are two passes over a block that lies in the second cache, some 2 % of the
//! products; more than one level would gain less and round more.

use std::ops::Range;

use rayon::prelude::*;

use super::super::kernels::{Kernels, Lie, MatrixProduct, QuarterResults, QuarterSums};
use super::super::map::Map;
use super::super::memory::Memory;
use super::super::scratch::Scratch;
use super::pointwise::{BLOCK, CHAIN};
use super::{Block, Epilogue, KernelView, Operands, blocks, in_panels};
use crate::inception::Convolution;
use crate::vectorised::vectorised;

pub(super) struct Strassen {
    pub(super) bias: Memory,
    no_bias: Memory,
    floor: f32,
    accumulate: bool,
    /// Half the input channels.
    depth: usize,
    /// Half the output channels.
    channels: usize,
    /// The same in whole panels.
    width: usize,
    /// Output channels of a panel.
    panel: usize,
    /// Pixels of a block, at most.
    most: usize,
    /// Rows of a register tile: fewer pairs are no block.
    tile: usize,
}

impl Strassen {
    pub(super) fn new(shape: &Convolution, epilogue: Epilogue<'_>, kernels: &dyn Kernels) -> Self {
        let (panel, tile) = (kernels.panel(), kernels.tile());
        let (depth, channels) = (shape.in_channels / 2, shape.out_channels / 2);
        let width = channels.next_multiple_of(panel);
        Self {
            bias: in_panels(epilogue.bias, panel),
            no_bias: Memory::zeroed(width),
            floor: epilogue.floor,
            accumulate: epilogue.accumulate,
            depth,
            channels,
            width,
            panel,
            most: (BLOCK / shape.in_channels / tile / 2).clamp(2, 8) * 2 * tile,
            tile,
        }
    }

    pub(super) fn weights(&self) -> usize {
        FACTORS.len() * self.of_factor()
    }

    /// Numbers of the weights of one of the products.
    const fn of_factor(&self) -> usize {
        self.width * self.depth
    }

    /// To those of P1 to P7, each [panels, depth, panel].
    pub(super) fn lay_out(&self, kernel: &KernelView<'_>, weights: &mut [f32]) {
        let mut factors = weights.chunks_exact_mut(self.of_factor());
        lay_out(std::array::from_fn(|_| factors.next().unwrap_or_default()), kernel, self.panel);
    }

    pub(super) fn scratch(&self) -> usize {
        self.most.div_ceil(2) * (4 * self.depth + 7 * self.width)
    }

    /// Runs of pixels that pair up, and the pixels of a run: those of all images where they leave none over, else those of one.
    fn runs_of_pixels(output: &Map) -> [usize; 2] {
        let of_image = output.pixels();
        if of_image.is_multiple_of(2) { [1, output.images * of_image] } else { [output.images, of_image] }
    }

    pub(super) fn blocks(&self, output: &Map, least: usize) -> usize {
        let [runs, pixels] = Self::runs_of_pixels(output);
        runs * blocks(pixels, [2 * self.tile, self.most], least.div_ceil(runs.max(1)))
    }

    /// The pixels of a block.
    fn pixels(output: &Map, block: Block) -> Range<usize> {
        let [runs, pixels] = Self::runs_of_pixels(output);
        let (run, block) = block.in_runs(runs);
        let pairs = block.of(pixels.div_ceil(2));
        run * pixels + 2 * pairs.start..run * pixels + pixels.min(2 * pairs.end)
    }

    /// # Safety
    /// As [`super::Convolution::run`]; both maps are dense.
    pub(super) unsafe fn run(
        &self,
        Operands { kernels, weights, .. }: Operands<'_>,
        scratch: &mut Scratch,
        [input, output]: [&Map; 2],
        block: Block,
    ) {
        let pixels = Self::pixels(output, block);
        let rows = [pixels.len().div_ceil(2), pixels.len() / 2];
        let [image, y, x] = output.position(pixels.start);
        let upper: *const f32 = input.at(image, y, x);
        let lower = upper.wrapping_add(input.stride);
        let step = 2 * input.stride;
        let of_sum = rows[0] * self.depth;
        let (sums, products) = scratch.values.split_at_mut(4 * of_sum);
        let products = &mut products[..7 * rows[0] * self.width];
        let mut job = QuarterSums { upper, lower, step, rows, depth: self.depth, sums };
        // SAFETY: the input's pixels lie one after the other, a stride apart.
        unsafe { kernels.quarter_sums(&mut job) }

        let sum = |i: usize| (sums[(i - 1) * of_sum..].as_ptr(), self.depth, rows[0]);
        let inputs = [
            (upper, step, rows[0]),
            (upper.wrapping_add(self.depth), step, rows[0]),
            sum(4),
            (lower.wrapping_add(self.depth), step, rows[1]),
            sum(1),
            sum(2),
            sum(3),
        ];
        let of_product = products.chunks_exact_mut(rows[0] * self.width);
        let factors = weights.chunks_exact(self.of_factor());
        for ((weights, (inputs, step, rows)), to) in factors.zip(inputs).zip(of_product) {
            let job = MatrixProduct {
                inputs,
                lie: Lie::Rows(step),
                rows,
                depth: self.depth,
                chain: CHAIN,
                weights,
                bias: &self.no_bias,
                floor: f32::NEG_INFINITY,
                accumulate: false,
                outputs: to.as_mut_ptr(),
                output_step: self.width,
                panel_step: kernels.panel(),
                channels: self.channels,
            };
            // SAFETY: rows are the input's pixels or sums of them, outputs a product's own.
            unsafe { kernels.matrix_product(&job) }
        }

        let job = QuarterResults {
            products,
            width: self.width,
            rows,
            channels: self.channels,
            bias: &self.bias,
            floor: self.floor,
            accumulate: self.accumulate,
            upper: output.at(image, y, x),
            lower: output.at(image, y, x).wrapping_add(output.stride),
            step: 2 * output.stride,
        };
        // SAFETY: the output's pixels lie one after the other, a stride apart.
        unsafe { kernels.quarter_results(&job) }
    }
}

/// What the second factors of P1 to P7 are made of: B11, B12, B21, B22.
const FACTORS: [[f64; 4]; 7] = [
    [1.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0],
    [0.0, 0.0, 0.0, 1.0],
    [1.0, -1.0, -1.0, 1.0],
    [-1.0, 1.0, 0.0, 0.0],
    [1.0, -1.0, 0.0, 1.0],
    [0.0, -1.0, 0.0, 1.0],
];

/// [out, in] to the factors, each [panels, depth, panel]; what is past the last channel is of no matter.
fn lay_out(factors: [&mut [f32]; 7], kernel: &KernelView<'_>, panel: usize) {
    let [_, depth] = kernel.channels().map(|channels| channels / 2);
    let of_panel = depth * panel;
    let [p1, p2, p3, p4, p5, p6, p7] = factors.map(|factor| factor.par_chunks_exact_mut(of_panel));
    (p1, p2, p3, p4, p5, p6, p7).into_par_iter().enumerate().for_each(|(position, (p1, p2, p3, p4, p5, p6, p7))| {
        let mut factors = [p1, p2, p3, p4, p5, p6, p7];
        vectorised(
            #[inline(always)]
            || {
                if panel.is_multiple_of(16) {
                    lay_out_panel::<16>(&mut factors, kernel, position * panel, panel);
                } else {
                    lay_out_panel::<8>(&mut factors, kernel, position * panel, panel);
                }
            },
        );
    });
}

/// The panel from a channel on, of all factors. As in the pointwise product, neither side is to wander through memory.
#[inline(always)]
fn lay_out_panel<const LANES: usize>(
    factors: &mut [&mut [f32]; 7],
    kernel: &KernelView<'_>,
    first: usize,
    panel: usize,
) {
    const STRIP: usize = 16;
    let [outs, depth] = kernel.channels().map(|channels| channels / 2);
    let mut quarters = [[[0.0_f32; LANES]; STRIP]; 4];
    for strip in (0..depth).step_by(STRIP) {
        let strip = strip..depth.min(strip + STRIP);
        for lane in (0..panel.min(outs - first)).step_by(LANES) {
            let lanes = first + lane..outs.min(first + lane + LANES);
            for (quarter, [across, down]) in quarters.iter_mut().zip([[0, 0], [1, 0], [0, 1], [1, 1]]) {
                let lanes = across * outs + lanes.start..across * outs + lanes.end;
                kernel.gather(lanes, down * depth + strip.start..down * depth + strip.end, quarter);
            }
            let [b11, b12, b21, b22] = &quarters;
            for (factor, of) in factors.iter_mut().zip(&FACTORS) {
                for (k, at) in strip.clone().enumerate() {
                    let to = &mut factor[at * panel + lane..][..LANES];
                    for lane in 0..LANES {
                        let sum = of[0] * f64::from(b11[k][lane])
                            + of[1] * f64::from(b12[k][lane])
                            + of[2] * f64::from(b21[k][lane])
                            + of[3] * f64::from(b22[k][lane]);
                        to[lane] = sum as f32;
                    }
                }
            }
        }
    }
}
