//! A convolution by minimal filtering: tiles to their numbers at the points, a product a point, and back.

use super::super::kernels::{InputTransform, Kernels, Lie, MatrixProduct, OutputTransform, Steps};
use super::super::map::Map;
use super::super::memory::Memory;
use super::super::minimal_filtering::MinimalFilter;
use super::super::scratch::Scratch;
use super::kernel_transform::KernelTransform;
use super::{Block, Epilogue, KernelView, Operands, blocks, in_panels};
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
    pub(super) bias: Memory,
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
    pub(super) fn new(
        shape: &Convolution,
        filter: MinimalFilter,
        epilogue: Epilogue<'_>,
        kernels: &dyn Kernels,
    ) -> Self {
        let (panel, tile) = (kernels.panel(), kernels.tile());
        let along = |many: usize| shape.window.kernel.map(|taps| if taps == 1 { 1 } else { many });
        let (points, outputs) = (along(filter.points()), along(filter.outputs));
        let bias = in_panels(epilogue.bias, panel);
        let no_bias = Memory::zeroed(bias.len());
        let of_tile = points[0] * points[1] * (shape.in_channels + shape.out_channels);
        let most = (BLOCK / of_tile / tile).clamp(FEW, MANY) * tile;
        let Epilogue { floor, accumulate, .. } = epilogue;
        Self { filter, bias, no_bias, floor, accumulate, points, outputs, most, tile, panel }
    }

    pub(super) fn weights(&self, shape: &Convolution) -> usize {
        self.points[0] * self.points[1] * shape.out_channels.next_multiple_of(self.panel) * shape.in_channels
    }

    /// To [places, panels, in, panel].
    pub(super) fn lay_out(&self, kernel: &KernelView<'_>, weights: &mut [f32]) {
        KernelTransform::new(&self.filter, self.points).lay_out(weights, kernel, self.panel);
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
        Operands { kernels, zeros, weights }: Operands<'_>,
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

        for (place, weights) in weights.chunks_exact(weights.len() / places).enumerate() {
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
