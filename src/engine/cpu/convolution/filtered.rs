//! A convolution by minimal filtering: tiles to their numbers at the points, a product a point, and back.

use rayon::prelude::*;

use super::super::kernels::{InputTransform, Kernels, Lie, MatrixProduct, OutputTransform, Steps};
use super::super::map::Map;
use super::super::memory::Memory;
use super::super::minimal_filtering::MinimalFilter;
use super::super::scratch::Scratch;
use super::{Block, KernelView, Numbers, blocks, in_panels};
use crate::inception::Convolution;

/// Numbers at the points of a block, before and after the product, which are to stay in the second cache; so long as it is
/// not too few or too many register tiles: the weights of all points are read once a block.
const BLOCK: usize = 400 << 10;
const FEW: usize = 2;
const MANY: usize = 9;
/// Products that are added up in a row before they join the total. A sum of n products in a row is off by the rounding of all
/// the sums before it, and the output transform multiplies that: short chains take
/// up to a third off the error of the features. A new chain costs as much as some 20 products.
const CHAIN: usize = 128;
/// Between one point's numbers and the next one's, so that they do not fall on the same lines of the cache.
const GAP: usize = 16;

pub(super) struct Filtered {
    filter: MinimalFilter,
    /// [places, panels, in, panel].
    weights: Memory,
    bias: Memory,
    /// As long, for the products.
    no_bias: Memory,
    floor: f32,
    accumulate: bool,
    /// Places along the axes: n or 1.
    points: [usize; 2],
    /// Outputs of a tile along the axes: m or 1.
    outputs: [usize; 2],
    /// Tiles of a block, at most.
    most: usize,
    /// Rows of a register tile: fewer tiles are no block.
    tile: usize,
    /// Output channels of a panel.
    panel: usize,
}

impl Filtered {
    pub(super) fn new(shape: &Convolution, filter: MinimalFilter, numbers: Numbers<'_>, kernels: &dyn Kernels) -> Self {
        let (panel, tile) = (kernels.panel(), kernels.tile());
        let along = |many: usize| shape.window.kernel.map(|taps| if taps == 1 { 1 } else { many });
        let (points, outputs) = (along(filter.points()), along(filter.outputs));
        let bias = in_panels(numbers.bias, panel);
        let no_bias = Memory::zeroed(bias.len());
        let places = points[0] * points[1];
        let mut weights = Memory::zeroed(places * shape.out_channels.next_multiple_of(panel) * shape.in_channels);
        transform_kernels(&mut weights, &filter, points, numbers.kernel, panel);
        let of_tile = points[0] * points[1] * (shape.in_channels + shape.out_channels);
        let most = (BLOCK / of_tile / tile).clamp(FEW, MANY) * tile;
        let Numbers { floor, accumulate, .. } = numbers;
        Self { filter, weights, bias, no_bias, floor, accumulate, points, outputs, most, tile, panel }
    }

    pub(super) fn refill(&mut self, kernel: &KernelView<'_>, bias: Option<&[f32]>) {
        transform_kernels(&mut self.weights, &self.filter, self.points, kernel, self.panel);
        if let Some(bias) = bias {
            self.bias[..bias.len()].copy_from_slice(bias);
        }
    }

    pub(super) fn scratch(&self, shape: &Convolution) -> usize {
        let places = self.points[0] * self.points[1];
        places * (self.most * shape.in_channels + GAP) + self.most * self.of_tile(shape)
    }

    /// Numbers between a panel of a tile's products and the next one, and of all of a tile's.
    fn panel_step(&self) -> usize {
        self.points[0] * self.points[1] * self.panel + GAP
    }

    fn of_tile(&self, shape: &Convolution) -> usize {
        shape.out_channels.div_ceil(self.panel) * self.panel_step()
    }

    /// Tiles along the axes.
    fn tiles(&self, output: &Map) -> [usize; 2] {
        [0, 1].map(|axis| output.size[axis].div_ceil(self.outputs[axis]))
    }

    pub(super) fn blocks(&self, output: &Map, least: usize) -> usize {
        let [down, across] = self.tiles(output);
        blocks(output.images * down * across, [self.tile, self.most], least)
    }

    /// # Safety
    /// As [`super::Convolution::run`].
    pub(super) unsafe fn run(
        &self,
        shape: &Convolution,
        kernels: &dyn Kernels,
        zeros: &[f32],
        scratch: &mut Scratch,
        [input, output]: [&Map; 2],
        block: Block,
    ) {
        let [down, across] = self.tiles(output);
        let tiles = block.of(output.images * down * across);
        let Scratch { inputs, outputs, values, nowhere, .. } = scratch;

        // Where the pixels are.
        inputs.clear();
        outputs.clear();
        for tile in tiles.clone() {
            let (image, tile) = (tile / (down * across), tile % (down * across));
            let [top, left] = [tile / across * self.outputs[0], tile % across * self.outputs[1]];
            for y in 0..self.points[0] {
                for x in 0..self.points[1] {
                    let from = input.tap(image, top + y, left + x, shape.window.padding);
                    inputs.push(from.map_or(zeros.as_ptr(), <*mut f32>::cast_const));
                }
            }
            for y in top..top + self.outputs[0] {
                for x in left..left + self.outputs[1] {
                    let inside = y < output.size[0] && x < output.size[1];
                    outputs.push(if inside { output.at(image, y, x) } else { nowhere.as_mut_ptr() });
                }
            }
        }

        let count = tiles.len();
        let places = self.points[0] * self.points[1];
        let step = count * shape.in_channels + GAP;
        let (before, after) = values.split_at_mut(places * step);
        let square = self.points[0] == self.points[1];
        let job = InputTransform {
            filter: self.filter,
            square,
            pixels: inputs,
            channels: shape.in_channels,
            values: before.as_mut_ptr(),
            steps: Steps { place: step, panel: shape.in_channels, next_panel: 0, tile: shape.in_channels },
        };
        // SAFETY: each pixel is one of the input or zeros; the values have room for all places.
        unsafe { kernels.input_transform(&job) }

        for (place, weights) in self.weights.chunks_exact(self.weights.len() / places).enumerate() {
            let job = MatrixProduct {
                inputs: before.as_ptr().wrapping_add(place * step),
                lie: Lie::Rows(shape.in_channels),
                rows: count,
                depth: shape.in_channels,
                chain: CHAIN,
                weights,
                bias: &self.no_bias,
                floor: f32::NEG_INFINITY,
                accumulate: false,
                outputs: after.as_mut_ptr().wrapping_add(place * self.panel),
                output_step: self.of_tile(shape),
                panel_step: self.panel_step(),
                channels: shape.out_channels,
            };
            // SAFETY: inputs and outputs are the place's tiles, one after the other.
            unsafe { kernels.matrix_product(&job) }
        }

        let job = OutputTransform {
            filter: self.filter,
            square,
            values: after.as_ptr(),
            panel: self.panel,
            panel_step: self.panel_step(),
            pixels: outputs,
            accumulate: self.accumulate,
            channels: shape.out_channels,
            bias: &self.bias,
            floor: self.floor,
        };
        // SAFETY: each pixel is one of the block's outputs, or nowhere.
        unsafe { kernels.output_transform(&job) }
    }
}

/// G g of each pair of channels, [places, panels, in, panel].
fn transform_kernels(
    weights: &mut [f32],
    filter: &MinimalFilter,
    points: [usize; 2],
    kernel: &KernelView<'_>,
    panel: usize,
) {
    let [out, channels] = kernel.channels();
    let panels = out.div_ceil(panel);
    let along = |points: usize| if points == 1 { vec![vec![1.0]] } else { filter.kernel_transform() };
    let transforms = [along(points[0]), along(points[1])];
    // By panel and place: a panel's places lie far apart.
    let mut by_panel: Vec<Vec<&mut [f32]>> = (0..panels).map(|_| Vec::with_capacity(points[0] * points[1])).collect();
    for (position, block) in weights.chunks_exact_mut(channels * panel).enumerate() {
        by_panel[position % panels].push(block);
    }
    let transforms = transforms.map(|rows| rows.into_iter().map(without_zeros).collect::<Vec<_>>());
    let taps = [0, 1].map(|axis| if points[axis] == 1 { 1 } else { filter.taps });
    by_panel.into_par_iter().enumerate().for_each(|(position, mut blocks)| {
        let first = position * panel;
        let outs = [first, out.min(first + panel)];
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                if panel.is_multiple_of(16) {
                    transform_panel::<16>(&transforms, taps, kernel, outs, &mut blocks);
                } else {
                    transform_panel::<8>(&transforms, taps, kernel, outs, &mut blocks);
                }
            },
        );
    });
}

/// A row of a transform, as the taps that count and their factors.
type Row = Vec<(usize, f64)>;

fn without_zeros(row: Vec<f64>) -> Row {
    row.into_iter().enumerate().filter(|&(_, factor)| factor != 0.0).collect()
}

/// G g of one panel's kernels, those from one output channel to another, along one axis after the other, so many kernels of a pair
/// of taps at a time: in arrays, which stay in registers.
#[inline(always)]
#[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]
fn transform_panel<const LANES: usize>(
    [vertical, horizontal]: &[Vec<Row>; 2],
    [height, width]: [usize; 2],
    kernel: &KernelView<'_>,
    [first, last]: [usize; 2],
    blocks: &mut [&mut [f32]],
) {
    let [_, channels] = kernel.channels();
    let panel = blocks[0].len() / channels;
    let mut taps = vec![[0.0_f64; LANES]; height * width];
    let mut half = vec![[0.0_f64; LANES]; vertical.len() * width];
    for channel in 0..channels {
        for from in (0..panel).step_by(LANES) {
            for lane in 0..LANES.min((last - first).saturating_sub(from)) {
                let (numbers, scale) = kernel.pair(first + from + lane, channel);
                for (tap, &at) in taps.iter_mut().zip(kernel.taps()) {
                    tap[lane] = f64::from(numbers[at] * scale);
                }
            }
            for (row, half) in vertical.iter().zip(half.chunks_exact_mut(width)) {
                for (x, half) in half.iter_mut().enumerate() {
                    *half = sum(row, &taps[x..], width);
                }
            }
            for (i, half) in half.chunks_exact(width).enumerate() {
                for (j, row) in horizontal.iter().enumerate() {
                    let value = sum(row, half, 1);
                    let to = &mut blocks[i * horizontal.len() + j][channel * panel + from..][..LANES];
                    for lane in 0..LANES {
                        to[lane] = value[lane] as f32;
                    }
                }
            }
        }
    }
}

/// A row times numbers a step apart.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
fn sum<const LANES: usize>(row: &Row, numbers: &[[f64; LANES]], step: usize) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for &(at, factor) in row {
        let numbers = &numbers[at * step];
        for lane in 0..LANES {
            sums[lane] += factor * numbers[lane];
        }
    }
    sums
}
