//! Tap by tap: what the tap saw of each output's pixel, times the gradient there, summed over the pixels.
//!
//! The gradients are packed into panels once; of the inputs each block packs its own channels, some pixels at a time, so that
//! they are read once and stay in the second cache. So do its sums, until they are done.

use super::super::super::kernels::{Lie, MatrixProduct};
use super::super::super::map::Map;
use super::super::super::stream;
use super::super::workers::{Shared, Workers};
use super::super::workspace::Panels;
use super::{CHAIN, Rows};
use crate::inception::Convolution;
use crate::vectorised::vectorised;

/// Pixels whose inputs are packed at a time.
const PIXELS: usize = 256;
/// Panels of input channels of a block.
const PANELS: usize = 2;
/// Numbers of the gradient that are packed at a time, at most.
const PACKED: usize = 4 << 20;
/// Pixels of the gradient that a block packs.
const STRIP: usize = 64;
/// Pixels that are on their way from memory: those of a block lie too far apart to be foreseen.
const AHEAD: usize = 8;

pub fn scratch(shape: &Convolution, panel: usize) -> usize {
    (PIXELS + shape.out_channels) * PANELS * panel
}

/// # Safety
/// As [`super::KernelGradient::run`].
pub unsafe fn run(
    shape: &Convolution,
    workers: &Workers,
    [input, by_output]: [&Map; 2],
    room: &mut Panels,
    rows: Rows<'_>,
) {
    let kernels = workers.kernels.as_ref();
    let panel = kernels.panel();
    let [out, channels, height, width] = shape.kernel_shape();
    let (taps, panels) = (height * width, out.div_ceil(panel));
    let pixels = by_output.images * by_output.pixels();
    let at_once = (PACKED / (panels * panel) / PIXELS).max(1) * PIXELS;
    let gradients = Shared::new(room.gradients.of(panels * panel * at_once.min(pixels)).as_mut_ptr());
    let groups = channels.div_ceil(PANELS * panel);

    rows.in_blocks(shape, taps * groups, |rows| {
        for from in (0..pixels).step_by(at_once) {
            let count = at_once.min(pixels - from);
            workers.each(count.div_ceil(STRIP), |_, strip| {
                for pixel in strip * STRIP..count.min((strip + 1) * STRIP) {
                    let [image, y, x] = by_output.position(from + pixel);
                    let gradient = by_output.at(image, y, x);
                    for first in (0..out).step_by(panel) {
                        let to = gradients.at(first * count + pixel * panel);
                        // SAFETY: the panel's channels that there are; pixels are of one strip each.
                        unsafe { to.copy_from_nonoverlapping(gradient.add(first), panel.min(out - first)) };
                    }
                }
            });
            workers.each(taps * groups, |scratch, block| {
                let (tap, group) = (block / groups, block % groups);
                let first = group * PANELS * panel;
                let these = (PANELS * panel).min(channels - first);
                let of_block = these.next_multiple_of(panel);
                let (packed, sums) = scratch.values.split_at_mut(PIXELS * PANELS * panel);
                for begin in (0..count).step_by(PIXELS) {
                    let depth = PIXELS.min(count - begin);
                    let packed = &mut packed[..depth * of_block];
                    let seen = &mut scratch.inputs;
                    seen.clear();
                    seen.extend((from + begin..from + begin + depth).map(|pixel| {
                        let [image, y, x] = by_output.position(pixel);
                        let [top, left] = [y, x].map(|at| at * shape.window.stride);
                        let pixel = input.tap(image, top + tap / width, left + tap % width, shape.window.padding);
                        pixel.map_or(workers.zeros.as_ptr(), <*mut f32>::cast_const).wrapping_add(first)
                    }));
                    for (k, &pixel) in seen.iter().enumerate() {
                        if let Some(&next) = seen.get(k + AHEAD) {
                            stream::prefetch(next, these);
                        }
                        for c in (0..these).step_by(panel) {
                            let to = packed[c * depth + k * panel..].as_mut_ptr();
                            // SAFETY: the panel's channels that there are, of a pixel or of as many zeros.
                            unsafe { to.copy_from_nonoverlapping(pixel.add(c), panel.min(these - c)) };
                        }
                    }
                    for o in (0..out).step_by(panel) {
                        if begin + depth == count {
                            let outs = o..out.min(o + panel);
                            outs.for_each(|o| rows.prefetch(o, [first * taps + tap, taps], these));
                        }
                        let job = MatrixProduct {
                            inputs: gradients.at(o * count + begin * panel),
                            lie: Lie::Columns,
                            rows: panel.min(out - o),
                            depth,
                            chain: CHAIN,
                            weights: packed,
                            bias: &workers.zeros,
                            floor: f32::NEG_INFINITY,
                            accumulate: begin > 0,
                            outputs: sums[o * these..].as_mut_ptr(),
                            output_step: these,
                            panel_step: panel,
                            channels: these,
                        };
                        // SAFETY: the gradient has been packed; outputs are this thread's.
                        unsafe { kernels.matrix_product(&job) }
                    }
                }
                vectorised(
                    #[inline(always)]
                    || {
                        for (o, sums) in sums.chunks_exact(these).enumerate().take(out) {
                            // SAFETY: of these channels a tap's, which no other block has.
                            unsafe { rows.add(block, o, [first * taps + tap, taps], sums) }
                        }
                    },
                );
            });
        }
    });
}
