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
use super::super::workspace::Workspace;
use super::CHAIN;
use crate::inception::Convolution;

/// Numbers at the points, of inputs and gradients together, that are there at a time, at most: the last cache's.
const AT_ONCE: usize = 4 << 20;
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
    /// G along the axes, [points, taps].
    pub transforms: [Vec<Vec<f64>>; 2],
}

impl Filtered {
    pub fn new(shape: &Convolution, filter: MinimalFilter) -> Self {
        let along = |many: usize| shape.window.kernel.map(|taps| if taps == 1 { 1 } else { many });
        let transform = |taps| if taps == 1 { vec![vec![1.0]] } else { filter.kernel_transform() };
        Self {
            filter,
            points: along(filter.points()),
            outputs: along(filter.outputs),
            transforms: shape.window.kernel.map(transform),
        }
    }

    /// [places, out, in].
    ///
    /// # Safety
    /// As [`super::KernelGradient::run`].
    pub unsafe fn products<'a>(
        &self,
        shape: &Convolution,
        workers: &Workers,
        maps: [&Map; 2],
        workspace: &'a mut Workspace,
    ) -> &'a [f32] {
        let kernels = workers.kernels.as_ref();
        let panel = kernels.panel();
        let [out, channels] = [shape.out_channels, shape.in_channels];
        let [of_out, of_in] = [out, channels].map(|channels| channels.next_multiple_of(panel));
        let places = self.points[0] * self.points[1];
        let across = [0, 1].map(|axis| maps[1].size[axis].div_ceil(self.outputs[axis]));
        let tiles = maps[1].images * across[0] * across[1];
        let at_once = (AT_ONCE / (places * (of_in + of_out))).max(STRIP).min(tiles);
        let inputs = workspace.inputs.of(places * (at_once * of_in + GAP));
        let gradients = workspace.gradients.of(places * (at_once * of_out + GAP));
        let [inputs, gradients] = [inputs, gradients].map(|room| Shared::new(room.as_mut_ptr()));
        let products = workspace.products.of(places * out * channels);
        let sums = Shared::new(products.as_mut_ptr());

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
            let panels = of_out / panel;
            workers.each(places * panels, |_, block| {
                let (place, o) = (block / panels, block % panels * panel);
                // SAFETY: the place's inputs have been transformed, and nobody writes them now.
                let weights =
                    unsafe { std::slice::from_raw_parts(inputs.at(place * of_inputs).cast_const(), count * of_in) };
                let job = MatrixProduct {
                    inputs: gradients.at(place * of_gradients + o * count),
                    lie: Lie::Columns,
                    rows: panel.min(out - o),
                    depth: count,
                    chain: CHAIN,
                    weights,
                    bias: &workers.zeros,
                    floor: f32::NEG_INFINITY,
                    accumulate: from > 0,
                    outputs: sums.at((place * out + o) * channels),
                    output_step: channels,
                    panel_step: panel,
                    channels,
                };
                // SAFETY: so have its gradients; outputs are a place's and some channels', which no other block has.
                unsafe { kernels.matrix_product(&job) }
            });
        }
        products
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
