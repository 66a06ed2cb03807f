//! Which way a convolution goes.
//!
//! Chosen by its kernel and channels, from measurements (the table in ARCHITECTURE.md), never by trying at start: trying flips with
//! the machine's mood, and with it the bits.

use super::minimal_filtering::MinimalFilter;
use crate::inception::{Convolution, Window};

/// Channels must fill vectors, whatever their length, where they are transformed.
const WHOLE_VECTORS: usize = 16;

/// Channels, in and out, from which on Strassen's additions are few beside the products that they save.
const MANY_CHANNELS: [usize; 2] = [512, 128];

/// A way to compute a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// A sum over taps and channels.
    Direct,
    /// A matrix product: pixels by channels.
    Pointwise,
    /// The same by seven products of quarters instead of eight.
    Strassen,
    /// Minimal filtering along both axes (a square kernel), or along the one that the kernel has.
    Filtered {
        /// The filter along each axis.
        filter: MinimalFilter,
    },
    /// Of a larger stride: the sum of convolutions of stride 1, each over some of the pixels.
    Phases,
}

impl Algorithm {
    /// The fastest that keeps to the accuracy promised.
    #[must_use]
    pub fn of(convolution: &Convolution) -> Self {
        let filtered = |filter| Self::Filtered { filter };
        let fastest = match convolution.window.kernel {
            [3, 3] if convolution.window.stride == 2 => Self::Phases,
            [1, 1] if Self::Strassen.suits(convolution) => Self::Strassen,
            [1, 1] => Self::Pointwise,
            // 8x8 maps in groups: 4 fits exactly, and the weights of 6 would be twice as many.
            [3, 3] if convolution.in_channels > 256 => filtered(MinimalFilter::F4_3),
            [3, 3] => filtered(MinimalFilter::F6_3),
            [5, 5] => filtered(MinimalFilter::F4_5),
            [1, 7] | [7, 1] => filtered(MinimalFilter::F6_7),
            [1, 3] | [3, 1] => filtered(MinimalFilter::F4_3),
            [2, 1 | 2] | [1, 2] => filtered(MinimalFilter::F3_2),
            _ => Self::Direct,
        };
        if fastest.suits(convolution) { fastest } else { Self::Direct }
    }

    /// Multiplications of an image with so many outputs along each axis, ragged tiles counted as whole ones: what is left of
    /// `places * kernel_len`.
    #[must_use]
    pub fn multiplications(&self, convolution: &Convolution, places: [usize; 2]) -> usize {
        let pairs = convolution.in_channels * convolution.out_channels;
        let kernel = convolution.window.kernel;
        match self {
            Self::Direct | Self::Pointwise => places[0] * places[1] * convolution.kernel_len(),
            Self::Strassen => places[0] * places[1] * pairs / 8 * 7,
            Self::Filtered { filter } => {
                let along = |axis: usize| match kernel[axis] {
                    1 => places[axis],
                    _ => places[axis].div_ceil(filter.outputs) * filter.points(),
                };
                along(0) * along(1) * pairs
            }
            Self::Phases => {
                let stride = convolution.window.stride;
                let of_phase = |phase: usize| {
                    let first = [phase / stride, phase % stride];
                    let kernel = [0, 1].map(|axis| (kernel[axis] - first[axis]).div_ceil(stride));
                    let window = Window { kernel, stride: 1, padding: [0, 0] };
                    let part = Convolution { window, ..*convolution };
                    Self::of(&part).multiplications(&part, places)
                };
                (0..stride * stride).map(of_phase).sum()
            }
        }
    }

    /// Whether it can compute this convolution.
    #[must_use]
    pub fn suits(&self, convolution: &Convolution) -> bool {
        let Window { kernel, stride, padding } = convolution.window;
        let whole_vectors =
            || [convolution.in_channels, convolution.out_channels].iter().all(|channels| channels % WHOLE_VECTORS == 0);
        match self {
            Self::Direct => true,
            Self::Phases => {
                stride > 1 && kernel.iter().all(|&taps| taps >= stride) && padding == [0, 0] && whole_vectors()
            }
            Self::Pointwise => kernel == [1, 1] && stride == 1 && padding == [0, 0],
            Self::Strassen => {
                let channels = [convolution.in_channels, convolution.out_channels];
                Self::Pointwise.suits(convolution)
                    && channels.iter().all(|channels| channels % (2 * WHOLE_VECTORS) == 0)
                    && channels[0] >= MANY_CHANNELS[0]
                    && channels[1] >= MANY_CHANNELS[1]
            }
            Self::Filtered { filter } => {
                let [short, long] = [kernel[0].min(kernel[1]), kernel[0].max(kernel[1])];
                stride == 1 && long == filter.taps && (short == 1 || short == long) && whole_vectors()
            }
        }
    }
}
