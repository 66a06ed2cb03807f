//! Which way a convolution goes.
//!
//! Chosen by its kernel and channels, from measurements (the table in ARCHITECTURE.md), never by trying at start: trying flips with
//! the machine's mood, and with it the bits.

use super::minimal_filtering::MinimalFilter;
use crate::inception::{Convolution, Window};

/// Channels must fill vectors, whatever their length, where they are transformed.
const WHOLE_VECTORS: usize = 16;

/// A way to compute a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// A sum over taps and channels.
    Direct,
    /// A matrix product: pixels by channels.
    Pointwise,
    /// Minimal filtering along both axes (a square kernel), or along the one that the kernel has.
    Filtered {
        /// The filter along each axis.
        filter: MinimalFilter,
    },
}

impl Algorithm {
    /// The fastest that keeps to the accuracy promised.
    #[must_use]
    pub fn of(convolution: &Convolution) -> Self {
        let filtered = |filter| Self::Filtered { filter };
        let fastest = match convolution.window.kernel {
            [1, 1] => Self::Pointwise,
            // 8x8 maps in groups: 4 fits exactly, and the weights of 6 would be twice as many.
            [3, 3] if convolution.in_channels > 256 => filtered(MinimalFilter::F4_3),
            [3, 3] => filtered(MinimalFilter::F6_3),
            [5, 5] => filtered(MinimalFilter::F4_5),
            [1, 7] | [7, 1] => filtered(MinimalFilter::F6_7),
            [1, 3] | [3, 1] => filtered(MinimalFilter::F4_3),
            _ => Self::Direct,
        };
        if fastest.suits(convolution) { fastest } else { Self::Direct }
    }

    /// Whether it can compute this convolution.
    #[must_use]
    pub fn suits(&self, convolution: &Convolution) -> bool {
        let Window { kernel, stride, padding } = convolution.window;
        match self {
            Self::Direct => true,
            Self::Pointwise => kernel == [1, 1] && stride == 1 && padding == [0, 0],
            Self::Filtered { filter } => {
                let channels = [convolution.in_channels, convolution.out_channels];
                let [short, long] = [kernel[0].min(kernel[1]), kernel[0].max(kernel[1])];
                stride == 1
                    && long == filter.taps
                    && (short == 1 || short == long)
                    && channels.iter().all(|channels| channels % WHOLE_VECTORS == 0)
            }
        }
    }
}
