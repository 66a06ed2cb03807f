//! Where the places of a feature map lie in the image.

use super::{Network, Op, Window};

/// The centres of what the places of a feature map look at, the same along both axes: place `i` looks at the surroundings
/// of `first + i * step`, in pixels from the image's edge.
///
/// Convolutions without padding make this differ from an even division of the image: the last 8x8 map begins 37.5 pixels
/// from the edge, not 18.7.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Of place 0; the middle of the image's first pixel is 0.5.
    pub first: f64,
    /// From one place to the next.
    pub step: f64,
}

impl Network {
    /// The grid of the last node's map. (Kernels and paddings that differ by axis leave the centres where they are.)
    #[must_use]
    pub fn grid(&self) -> Grid {
        let mut grids: Vec<Grid> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            // The branches of a block meet again on one grid, so the first input speaks for all.
            let before = node.inputs.first().map_or(Grid { first: 0.5, step: 1.0 }, |&input| grids[input]);
            grids.push(match &node.op {
                Op::Convolution(convolution) => before.under(&convolution.window),
                Op::MaxPool(window) | Op::AveragePool { window, .. } => before.under(window),
                Op::Input | Op::Concat | Op::GlobalAverage => before,
            });
        }
        grids.last().copied().unwrap_or(Grid { first: 0.5, step: 1.0 })
    }
}

impl Grid {
    /// The grid of a window that slides over this one.
    fn under(self, window: &Window) -> Self {
        let middle = (window.kernel[0] as f64 - 1.0) / 2.0 - window.padding[0] as f64;
        Self { first: self.first + middle * self.step, step: self.step * window.stride as f64 }
    }
}
