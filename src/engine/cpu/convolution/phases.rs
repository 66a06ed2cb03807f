//! A convolution of stride s as convolutions of stride 1, so that minimal filtering can have them too.
//!
//! Output i of three taps at stride 2 is x(2i) w0 + x(2i + 1) w1 + x(2i + 2) w2: over the even pixels a kernel of two taps, over the
//! odd ones a kernel of one. Along both axes these are four kernels of stride 1, each over a quarter of the pixels, and the
//! result is their sum:
//!
//! ```text
//!  w00 w01 w02        w00 w02    w01              even rows, even columns    even rows, odd columns
//!  w10 w11 w12   ─▶   w20 w22    w21      over
//!  w20 w21 w22        w10 w12    w11              odd rows, even columns     odd rows, odd columns
//! ```
//!
//! Nine products of the plain sum become 1 + 2 (4/3) + (4/3)^2 = 5.4 where the kernels of two taps are F(3, 2).

use super::super::kernels::Kernels;
use super::{Convolution, Epilogue};
use crate::inception::{self, Window};

/// Every so-manieth pixel along both axes, from one on.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// From one to the next.
    pub step: usize,
    /// The first, along both axes.
    pub first: [usize; 2],
}

impl Phase {
    /// All pixels.
    pub const WHOLE: Self = Self { step: 1, first: [0, 0] };
}

/// A convolution a phase, the smallest kernel first; the bias goes with the first one, the floor with the last.
pub(super) fn convolutions(
    shape: &inception::Convolution,
    epilogue: Epilogue<'_>,
    kernels: &dyn Kernels,
) -> Vec<Convolution> {
    let step = shape.window.stride;
    let count = step * step;
    let no_bias = vec![0.0; epilogue.bias.len()];
    let phase = |position: usize| {
        // The last tap is of the first phase where kernels are one longer than whole strides: from the last phase on, they grow.
        let first = [(count - 1 - position) / step, (count - 1 - position) % step];
        let [rows, columns] = [0, 1].map(|axis| (first[axis]..shape.window.kernel[axis]).step_by(step));
        let window = Window { kernel: [rows.len(), columns.len()], stride: 1, padding: [0, 0] };
        let taps = rows.flat_map(|row| columns.clone().map(move |column| row * shape.window.kernel[1] + column));
        let epilogue = Epilogue {
            bias: if position == 0 { epilogue.bias } else { &no_bias },
            floor: if position + 1 == count { epilogue.floor } else { f32::NEG_INFINITY },
            accumulate: epilogue.accumulate || position > 0,
        };
        let part = inception::Convolution { window, ..*shape };
        Convolution {
            phase: Phase { step, first },
            has_bias: position == 0,
            ..Convolution::of_taps(part, taps.collect(), epilogue, kernels)
        }
    };
    (0..count).map(phase).collect()
}
