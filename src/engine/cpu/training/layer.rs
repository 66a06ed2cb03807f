//! The way back through one convolution or one pool alone, for whoever wants to test or to time it.
#![expect(unsafe_code, reason = "makes maps of slices")]

use super::super::convolution::KernelView;
use super::super::kernels::Instructions;
use super::super::map::Map;
use super::input_gradient::InputGradient;
use super::kernel_gradient::{KernelGradient, Rows};
use super::pools;
use super::workers::Workers;
use super::workspace::{Panels, Room};
use crate::inception::{Convolution, Op, Window};

/// The gradients of a convolution.
pub struct Layer {
    shape: Convolution,
    workers: Workers,
    by_input: InputGradient,
    by_kernel: KernelGradient,
    weights: Room,
    panels: Panels,
    kernel: Vec<f32>,
    scales: Vec<f32>,
}

impl Layer {
    /// Of a kernel `[out, in, height, width]`, which the convolution multiplies by scales `[out]`; `None` where this processor does
    /// not have the instructions, the lengths are not those of the shape, or nobody knows the gradient of the shape.
    #[must_use]
    pub fn new(shape: Convolution, instructions: Instructions, kernel: &[f32], scales: &[f32]) -> Option<Self> {
        if kernel.len() != shape.kernel_len() || scales.len() != shape.out_channels {
            return None;
        }
        let mut workers = Workers::new(instructions.kernels()?, shape.in_channels.max(shape.out_channels));
        let by_input = InputGradient::new(&shape, true, workers.kernels.as_ref())?;
        let by_kernel = KernelGradient::new(shape);
        workers.reserve(by_input.scratch().max(by_kernel.scratch(workers.kernels.panel())));
        let (kernel, scales) = (kernel.to_vec(), scales.to_vec());
        let (weights, panels) = (Room::new(), Panels::new());
        Some(Self { shape, workers, by_input, by_kernel, weights, panels, kernel, scales })
    }

    /// Adds the gradient by the inputs `[images, height, width, in]`, given the gradient by the outputs, likewise; `None` where the
    /// lengths do not fit, or the window.
    pub fn by_input(&mut self, by_output: &[f32], images: usize, size: [usize; 2], by_input: &mut [f32]) -> Option<()> {
        let [to, from] = self.maps(by_input.as_mut_ptr(), by_output, images, size, by_input.len())?;
        let kernel = KernelView::new(&self.shape, &self.kernel).scaled(&self.scales);
        let weights = self.weights.of(self.by_input.weights());
        self.by_input.lay_out(kernel, weights);
        // SAFETY: both maps are slices of the lengths that their shapes say, the inputs' gradient borrowed for writing.
        unsafe { self.by_input.run(&self.workers, weights, [&from, &to]) };
        Some(())
    }

    /// Adds the gradient by the kernel, given the inputs `[images, height, width, in]` and the gradient by the outputs; the gradient
    /// by the scales. `None` as above.
    pub fn by_kernel(
        &mut self,
        input: &[f32],
        by_output: &[f32],
        images: usize,
        size: [usize; 2],
        by_kernel: &mut [f32],
    ) -> Option<Vec<f64>> {
        let [input, from] = self.maps(input.as_ptr().cast_mut(), by_output, images, size, input.len())?;
        if by_kernel.len() != self.kernel.len() {
            return None;
        }
        let mut by_scale = vec![0.0; self.shape.out_channels];
        let rows = Rows {
            kernel: &self.kernel,
            scales: &self.scales,
            gradient: Some(by_kernel),
            by_scale: Some(&mut by_scale),
        };
        // SAFETY: as above; nothing is written to them.
        unsafe { self.by_kernel.run(&self.workers, [&input, &from], &mut self.panels, rows) };
        Some(by_scale)
    }

    fn maps(
        &self,
        input: *mut f32,
        by_output: &[f32],
        images: usize,
        size: [usize; 2],
        len: usize,
    ) -> Option<[Map; 2]> {
        let places = self.shape.window.places(size)?;
        maps(
            [input, by_output.as_ptr().cast_mut()],
            images,
            [size, places],
            [self.shape.in_channels, self.shape.out_channels],
        )
        .filter(|maps| fits(&maps[0], len) && fits(&maps[1], by_output.len()))
    }
}

/// Adds the gradient of a pool by its inputs `[images, height, width, channels]`, given these and the gradient by the outputs; `None`
/// for what is no pool, and where the lengths do not fit, or the window.
pub fn pool(
    op: &Op,
    input: &[f32],
    by_output: &[f32],
    [images, height, width, channels]: [usize; 4],
    by_input: &mut [f32],
) -> Option<()> {
    let size = [height, width];
    let places = match op {
        Op::MaxPool(window) | Op::AveragePool { window, .. } => Window::places(window, size)?,
        Op::GlobalAverage => [1, 1],
        _ => return None,
    };
    let workers = Workers::new(Instructions::Portable.kernels()?, channels);
    let [to, from] =
        maps([by_input.as_mut_ptr(), by_output.as_ptr().cast_mut()], images, [size, places], [channels; 2])?;
    let input_map = Map { data: input.as_ptr().cast_mut(), ..to };
    if !(fits(&to, by_input.len()) && fits(&input_map, input.len()) && fits(&from, by_output.len())) {
        return None;
    }
    // SAFETY: all maps are slices of the lengths that their shapes say, the inputs' gradient borrowed for writing.
    unsafe {
        match op {
            Op::MaxPool(window) => pools::maximum(&workers, window, &input_map, [&from, &to], true),
            Op::AveragePool { window, counts_padding } => {
                pools::average(&workers, window, *counts_padding, [&from, &to], true);
            }
            _ => pools::global_average(&workers, [&from, &to], true),
        }
    }
    Some(())
}

fn maps(data: [*mut f32; 2], images: usize, sizes: [[usize; 2]; 2], channels: [usize; 2]) -> Option<[Map; 2]> {
    (images > 0).then(|| [0, 1].map(|i| Map::dense(data[i], images, sizes[i], channels[i], channels[i])))
}

fn fits(map: &Map, len: usize) -> bool {
    map.images * map.pixels() * map.channels == len
}
