//! A convolution by minimal filtering: tiles to their numbers at the points, a product a point, and back.

use rayon::prelude::*;

use super::super::kernels::{InputTransform, Kernels, OutputTransform, Product};
use super::super::map::Map;
use super::super::memory::Memory;
use super::super::minimal_filtering::MinimalFilter;
use super::super::scratch::Scratch;
use super::{Numbers, in_panels};
use crate::inception::Convolution;

/// Numbers at the points of a block's inputs and outputs, at most: they are to stay in the second cache.
const BLOCK: usize = 128 << 10;
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
    /// Places along the axes: n or 1.
    points: [usize; 2],
    /// Outputs of a tile along the axes: m or 1.
    outputs: [usize; 2],
    /// Tiles of a block.
    block: usize,
}

impl Filtered {
    pub(super) fn new(
        shape: &Convolution,
        filter: MinimalFilter,
        numbers: Numbers<'_>,
        kernels: &dyn Kernels,
    ) -> Self {
        let (panel, tile) = (kernels.panel(), kernels.tile());
        let along = |many: usize| shape.window.kernel.map(|taps| if taps == 1 { 1 } else { many });
        let (points, outputs) = (along(filter.points()), along(filter.outputs));
        let places = points[0] * points[1];
        let of_tile = places * (shape.in_channels + shape.out_channels);
        let block = (BLOCK / of_tile / tile).clamp(2, 8) * tile;
        let bias = in_panels(numbers.bias, panel);
        let no_bias = Memory::zeroed(bias.len());
        let weights = transform_kernels(shape, &filter, points, numbers.kernel, panel);
        Self { filter, weights, bias, no_bias, floor: numbers.floor, points, outputs, block }
    }

    pub(super) fn scratch(&self, shape: &Convolution) -> usize {
        let places = self.points[0] * self.points[1];
        places * (self.block * (shape.in_channels + shape.out_channels) + 2 * GAP)
    }

    /// Tiles along the axes.
    fn tiles(&self, output: &Map) -> [usize; 2] {
        [0, 1].map(|axis| output.size[axis].div_ceil(self.outputs[axis]))
    }

    pub(super) fn blocks(&self, output: &Map) -> usize {
        let [down, across] = self.tiles(output);
        (output.images * down * across).div_ceil(self.block)
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
        block: usize,
    ) {
        let [down, across] = self.tiles(output);
        let first = block * self.block;
        let last = (first + self.block).min(output.images * down * across);
        let Scratch { inputs, outputs, products, values, nowhere, .. } = scratch;

        // Where the pixels are.
        inputs.clear();
        outputs.clear();
        for tile in first..last {
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

        let count = last - first;
        let places = self.points[0] * self.points[1];
        let steps = [count * shape.in_channels + GAP, count * shape.out_channels + GAP];
        let (before, after) = values.split_at_mut(places * steps[0]);
        let square = self.points[0] == self.points[1];
        let job = InputTransform {
            filter: self.filter,
            square,
            pixels: inputs,
            channels: shape.in_channels,
            values: before.as_mut_ptr(),
            step: steps[0],
        };
        // SAFETY: each pixel is one of the input or zeros; the values have room for all places.
        unsafe { kernels.input_transform(&job) }

        products.clear();
        products.extend((0..count).map(|tile| after.as_mut_ptr().wrapping_add(tile * shape.out_channels)));
        inputs.clear();
        inputs.extend(
            (0..count.next_multiple_of(kernels.tile()))
                .map(|tile| before.as_ptr().wrapping_add(tile * shape.in_channels)),
        );
        for (place, weights) in self.weights.chunks_exact(self.weights.len() / places).enumerate() {
            let job = Product {
                inputs,
                taps: 1,
                run: shape.in_channels,
                weights,
                bias: &self.no_bias,
                floor: f32::NEG_INFINITY,
                outputs: products,
                channels: shape.out_channels,
                shift: steps.map(|step| place * step),
            };
            // SAFETY: inputs and outputs are the place's tiles, one after the other.
            unsafe { kernels.product(&job) }
        }

        let job = OutputTransform {
            filter: self.filter,
            square,
            values: after.as_ptr(),
            step: steps[1],
            pixels: outputs,
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
    shape: &Convolution,
    filter: &MinimalFilter,
    points: [usize; 2],
    kernel: &[f32],
    panel: usize,
) -> Memory {
    let [out, channels, height, width] = shape.kernel_shape();
    let places = points[0] * points[1];
    let padded = out.next_multiple_of(panel);
    let along = |points: usize| if points == 1 { vec![vec![1.0]] } else { filter.kernel_transform() };
    let (vertical, horizontal) = (along(points[0]), along(points[1]));
    // G over both axes at once: [places, taps].
    let mut both = Vec::with_capacity(places * height * width);
    for down in &vertical {
        for across in &horizontal {
            both.extend(down.iter().flat_map(|d| across.iter().map(move |a| d * a)));
        }
    }
    let mut weights = Memory::zeroed(places * padded * channels);
    let planes = weights.par_chunks_exact_mut(padded * channels);
    planes.zip(both.par_chunks_exact(height * width)).for_each(|(plane, row)| {
        for (o, kernel) in kernel.chunks_exact(channels * height * width).enumerate() {
            let column = &mut plane[o / panel * channels * panel + o % panel..];
            for (c, taps) in kernel.chunks_exact(height * width).enumerate() {
                let value: f64 = row.iter().zip(taps).map(|(g, &tap)| g * f64::from(tap)).sum();
                column[c * panel] = value as f32;
            }
        }
    });
    weights
}
