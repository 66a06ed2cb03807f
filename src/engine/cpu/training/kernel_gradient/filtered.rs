//! By minimal filtering, transposed.
//!
//! y = A' [(G g) * (B' d)] is linear in g, and what it does to g, done to dy the other way round, is the gradient:
//!
//! ```text
//! dg = G' [ sum over tiles of (A dy) * (B' d) ]
//! ```
//!
//! The tiles and the transform of the inputs are those of the forward direction; over two axes it is the same along one after the
//! other. Where the sum over taps and pixels has m r products a tile and pair of channels, this has m + r - 1.

use super::super::super::kernels::{GradientTransform, InputTransform, Lie, MatrixProduct, Steps};
use super::super::super::map::Map;
use super::super::super::minimal_filtering::MinimalFilter;
use super::super::workers::{Shared, Workers};
use super::super::workspace::Panels;
use super::kernel_transform::{KernelTransform, LANES, MOST};
use super::{CHAIN, Rows, Sums};
use crate::inception::Convolution;
use crate::vectorised::vectorised;

/// Numbers at the points, of inputs and gradients together, that are there at a time, at most: the last cache's.
const AT_ONCE: usize = 4 << 20;
/// Numbers of all places' sums of a block, at most: the second cache's, with what they are sums of.
const SUMS: usize = 64 << 10;
/// Tiles that a block transforms.
const STRIP: usize = 12;
/// Between one place and the next, so that they do not fall on the same lines of the cache.
const GAP: usize = 16;

pub struct Filtered {
    filter: MinimalFilter,
    /// Places along the axes: n or 1.
    points: [usize; 2],
    /// Outputs of a tile along the axes: m or 1.
    outputs: [usize; 2],
    taps: usize,
    transform: KernelTransform,
}

impl Filtered {
    pub fn new(shape: &Convolution, filter: MinimalFilter) -> Self {
        let along = |many: usize| shape.window.kernel.map(|taps| if taps == 1 { 1 } else { many });
        let [height, width] = shape.window.kernel;
        Self {
            filter,
            points: along(filter.points()),
            outputs: along(filter.outputs),
            taps: height * width,
            transform: KernelTransform::new(&filter, height == width),
        }
    }

    /// Panels of input channels of a block.
    fn panels(&self, panel: usize) -> usize {
        (SUMS / (self.points[0] * self.points[1] * panel * panel)).max(1)
    }

    /// Numbers of scratch that a block needs.
    pub fn scratch(&self, panel: usize) -> usize {
        self.points[0] * self.points[1] * panel * self.panels(panel) * panel
    }

    /// # Safety
    /// As [`super::KernelGradient::run`].
    pub unsafe fn run(
        &self,
        shape: &Convolution,
        workers: &Workers,
        maps: [&Map; 2],
        room: &mut Panels,
        rows: Rows<'_>,
    ) {
        let kernels = workers.kernels.as_ref();
        let panel = kernels.panel();
        let [out, channels] = [shape.out_channels, shape.in_channels];
        let [of_out, of_in] = [out, channels].map(|channels| channels.next_multiple_of(panel));
        let places = self.points[0] * self.points[1];
        let across = [0, 1].map(|axis| maps[1].size[axis].div_ceil(self.outputs[axis]));
        let tiles = maps[1].images * across[0] * across[1];
        let at_once = (AT_ONCE / (places * (of_in + of_out))).max(STRIP).min(tiles);
        let inputs = room.inputs.of(places * (at_once * of_in + GAP));
        let gradients = room.gradients.of(places * (at_once * of_out + GAP));
        let [inputs, gradients] = [inputs, gradients].map(|room| Shared::new(room.as_mut_ptr()));
        let width = self.panels(panel) * panel;
        let (panels, groups) = (of_out / panel, channels.div_ceil(width));

        rows.in_blocks(shape, groups, |rows| {
            for from in (0..tiles).step_by(at_once) {
                let count = at_once.min(tiles - from);
                let [of_inputs, of_gradients] = [of_in, of_out].map(|width| count * width + GAP);
                workers.each(count.div_ceil(STRIP), |scratch, strip| {
                    let strip = [strip * STRIP, count.min((strip + 1) * STRIP)];
                    let steps = |place| Steps { place, panel, next_panel: count * panel, tile: panel };
                    let pixels = &mut scratch.inputs;
                    self.pixels(shape, workers, maps, across, strip.map(|tile| from + tile), pixels);
                    let (of_input, of_gradient) = pixels.split_at((strip[1] - strip[0]) * places);
                    let square = self.points[0] == self.points[1];
                    let offset = strip[0] * panel;
                    let input = InputTransform {
                        filter: self.filter,
                        square,
                        pixels: of_input,
                        channels,
                        values: inputs.at(offset),
                        steps: steps(of_inputs),
                    };
                    let gradient = GradientTransform {
                        filter: self.filter,
                        square,
                        pixels: of_gradient,
                        channels: out,
                        values: gradients.at(offset),
                        steps: steps(of_gradients),
                    };
                    // SAFETY: each pixel is one of the maps or zeros; tiles are of one strip each.
                    unsafe {
                        kernels.input_transform(&input);
                        kernels.gradient_transform(&gradient);
                    }
                });
                workers.each(panels * groups, |scratch, block| {
                    let (group, o) = (block / panels, block % panels * panel);
                    let [outs, first] = [panel.min(out - o), group * width];
                    let these = width.min(channels - first);
                    let sums = &mut scratch.values[..places * outs * these];
                    let taps = shape.window.kernel[0] * shape.window.kernel[1];
                    (o..o + outs).for_each(|o| rows.prefetch(o, [first * taps, 1], these * taps));
                    for place in 0..places {
                        let weights = inputs.at(place * of_inputs + first * count).cast_const();
                        // SAFETY: the place's inputs have been transformed, and nobody writes them now.
                        let weights =
                            unsafe { std::slice::from_raw_parts(weights, count * these.next_multiple_of(panel)) };
                        let job = MatrixProduct {
                            inputs: gradients.at(place * of_gradients + o * count),
                            lie: Lie::Columns,
                            rows: outs,
                            depth: count,
                            chain: CHAIN,
                            weights,
                            bias: &workers.zeros,
                            floor: f32::NEG_INFINITY,
                            accumulate: false,
                            outputs: sums[place * outs * these..].as_mut_ptr(),
                            output_step: these,
                            panel_step: panel,
                            channels: these,
                        };
                        // SAFETY: so have its gradients; outputs are this thread's.
                        unsafe { kernels.matrix_product(&job) }
                    }
                    vectorised(
                        #[inline(always)]
                        || {
                            for row in 0..outs {
                                // SAFETY: of an output channel these inputs', which no other block has.
                                unsafe { self.add(rows, [group, o + row], first, [outs, row, these], sums) }
                            }
                        },
                    );
                });
            }
        });
    }

    /// G' of [places, outs, these] for one of the output channels.
    ///
    /// # Safety
    /// No other block has this output channel's kernels of these input channels.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]
    unsafe fn add(
        &self,
        rows: &Sums<'_>,
        [group, o]: [usize; 2],
        first: usize,
        [outs, row, these]: [usize; 3],
        sums: &[f32],
    ) {
        let taps = self.taps;
        let mut kernels = [0.0_f32; LANES * MOST];
        for from in (0..these).step_by(LANES) {
            let lanes = LANES.min(these - from);
            let at = |place: usize| {
                let sums = &sums[(place * outs + row) * these + from..][..lanes];
                sums.first_chunk::<LANES>().copied().unwrap_or_else(|| {
                    let mut of_lanes = [0.0; LANES];
                    of_lanes[..lanes].copy_from_slice(sums);
                    of_lanes
                })
            };
            self.transform.run(at, &mut kernels);
            // SAFETY: the caller's promise.
            unsafe { rows.add(group, o, [(first + from) * taps, 1], &kernels[..lanes * taps]) }
        }
    }

    /// Where the inputs of some tiles begin, and then where the gradients of their outputs do.
    fn pixels(
        &self,
        shape: &Convolution,
        workers: &Workers,
        [input, by_output]: [&Map; 2],
        [down, across]: [usize; 2],
        [first, last]: [usize; 2],
        pixels: &mut Vec<*const f32>,
    ) {
        let zeros = workers.zeros.as_ptr();
        let tiles = (first..last).map(|tile| {
            let (image, tile) = (tile / (down * across), tile % (down * across));
            [image, tile / across * self.outputs[0], tile % across * self.outputs[1]]
        });
        pixels.clear();
        for [image, top, left] in tiles.clone() {
            for y in 0..self.points[0] {
                for x in 0..self.points[1] {
                    let from = input.tap(image, top + y, left + x, shape.window.padding);
                    pixels.push(from.map_or(zeros, <*mut f32>::cast_const));
                }
            }
        }
        for [image, top, left] in tiles {
            for y in 0..self.outputs[0] {
                for x in 0..self.outputs[1] {
                    let from = by_output.tap(image, top + y, left + x, [0, 0]);
                    pixels.push(from.map_or(zeros, <*mut f32>::cast_const));
                }
            }
        }
    }
}
