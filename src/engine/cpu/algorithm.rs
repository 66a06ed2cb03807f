//! Which way a convolution goes.
//!
//! Chosen by its kernel and channels, from measurements (the table in ARCHITECTURE.md), never by trying at start: trying flips with
//! the machine's mood, and with it the bits.

use super::minimal_filtering::MinimalFilter;
use crate::inception::Convolution;

/// Channels must fill vectors, whatever their length, where they are transformed.
const WHOLE_VECTORS: usize = 16;

/// A way to compute a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// A sum over taps and channels.
    Direct,
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
        let whole = [convolution.in_channels, convolution.out_channels].iter().all(|c| c % WHOLE_VECTORS == 0);
        if convolution.window.stride != 1 || !whole {
            return Self::Direct;
        }
        let filtered = |filter| Self::Filtered { filter };
        match convolution.window.kernel {
            // 8x8 maps in groups: 4 fits exactly, and the weights of 6 would be twice as many.
            [3, 3] if convolution.in_channels > 256 => filtered(MinimalFilter::F4_3),
            [3, 3] => filtered(MinimalFilter::F6_3),
            [5, 5] => filtered(MinimalFilter::F4_5),
            [1, 7] | [7, 1] => filtered(MinimalFilter::F6_7),
            [1, 3] | [3, 1] => filtered(MinimalFilter::F4_3),
            _ => Self::Direct,
        }
    }
}
