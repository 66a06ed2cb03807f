//! The gradient of a convolution by its kernel: for each tap, the product of what it saw and the outputs' gradient.
//!
//! ```text
//! inputs      ─▶ in panels, place by place ─╮
//!                                           ├─▶ a block: a product a place ─▶ [places, out, in] ─▶ [out, in, taps]
//! gradients   ─▶ in panels, place by place ─╯            (over pixels, or tiles)     in the second cache
//! ```
//!
//! A place is a tap (`taps`), or a point of minimal filtering (`filtered`). Each product is cut by output and input channels, never
//! over what is summed, so the bits do not depend on the threads.
#![expect(unsafe_code, reason = "follows the pointers of maps")]

mod filtered;
mod kernel_transform;
mod sums;
mod taps;

pub use sums::Rows;
use sums::Sums;

use super::super::algorithm::Algorithm;
use super::super::map::Map;
use super::super::minimal_filtering::MinimalFilter;
use super::workers::Workers;
use super::workspace::Panels;
use crate::inception::Convolution;
use filtered::Filtered;

/// How a kernel's gradient is computed.
pub struct KernelGradient {
    shape: Convolution,
    way: Way,
}

enum Way {
    Taps,
    Filtered(Filtered),
}

/// Products that are added up in a row before they join the total. What multiplies the rounding of sums in the forward direction, the
/// output transform, multiplies nothing here: chains of 128 are no nearer to float64's gradients.
const CHAIN: usize = 512;

impl KernelGradient {
    pub fn new(shape: Convolution) -> Self {
        let way = match Algorithm::of(&shape) {
            Algorithm::Filtered { filter } => Way::Filtered(Filtered::new(&shape, for_sums_of_tiles(&shape, filter))),
            _ => Way::Taps,
        };
        Self { shape, way }
    }

    /// Numbers of scratch that a block needs.
    pub fn scratch(&self, panel: usize) -> usize {
        match &self.way {
            Way::Taps => taps::scratch(&self.shape, panel),
            Way::Filtered(filtered) => filtered.scratch(panel),
        }
    }

    /// From the inputs and the gradient of the outputs to each output channel's gradient.
    ///
    /// # Safety
    /// Both maps are memory that lives, of the shapes of this convolution, and nobody writes them meanwhile.
    pub unsafe fn run(&self, workers: &Workers, maps: [&Map; 2], room: &mut Panels, rows: Rows<'_>) {
        // SAFETY: the caller's promise.
        unsafe {
            match &self.way {
                Way::Taps => taps::run(&self.shape, workers, maps, room, rows),
                Way::Filtered(filtered) => filtered.run(&self.shape, workers, maps, room, rows),
            }
        }
    }
}

/// The filter for sums over tiles. Square kernels of many channels are on small maps: large tiles would be few, sums short, and
/// their places more memory than the kernel has.
fn for_sums_of_tiles(shape: &Convolution, filter: MinimalFilter) -> MinimalFilter {
    if shape.window.kernel == [3, 3] && filter == MinimalFilter::F4_3 { MinimalFilter::F2_3 } else { filter }
}
