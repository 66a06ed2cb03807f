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

use super::super::algorithm::Algorithm;
use super::super::kernels::Kernels;
use super::{Convolution, Direct, Filtered, Numbers, Ready};
use crate::inception::{self, Window};

/// Every so-manieth pixel along both axes, from one on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub(super) step: usize,
    pub(super) first: [usize; 2],
}

impl Phase {
    /// All pixels.
    pub(super) const WHOLE: Self = Self { step: 1, first: [0, 0] };
}

/// A convolution a phase, the smallest kernel first; the bias goes with the first one, the floor with the last.
pub(super) fn convolutions(
    shape: &inception::Convolution,
    numbers: Numbers<'_>,
    kernels: &dyn Kernels,
) -> Vec<Convolution> {
    let step = shape.window.stride;
    let count = step * step;
    let no_bias = vec![0.0; numbers.bias.len()];
    let phase = |position: usize| {
        // The last tap is of the first phase where kernels are one longer than whole strides: from the last phase on, they grow.
        let first = [(count - 1 - position) / step, (count - 1 - position) % step];
        let (part, kernel) = taps_of(shape, numbers.kernel, first);
        let numbers = Numbers {
            kernel: &kernel,
            bias: if position == 0 { numbers.bias } else { &no_bias },
            floor: if position + 1 == count { numbers.floor } else { f32::NEG_INFINITY },
            accumulate: numbers.accumulate || position > 0,
        };
        let ready = match Algorithm::of(&part) {
            Algorithm::Filtered { filter } => Ready::Filtered(Filtered::new(&part, filter, numbers, kernels)),
            // Its pixels lie apart: they are gathered.
            _ => Ready::Direct(Direct::new(&part, numbers, kernels)),
        };
        Convolution { ready, shape: part, phase: Phase { step, first } }
    };
    (0..count).map(phase).collect()
}

/// Every so-manieth tap of a kernel, from one on: the convolution that they make, and their numbers.
fn taps_of(shape: &inception::Convolution, kernel: &[f32], first: [usize; 2]) -> (inception::Convolution, Vec<f32>) {
    let Window { kernel: [height, width], stride, .. } = shape.window;
    let rows: Vec<usize> = (first[0]..height).step_by(stride).collect();
    let columns: Vec<usize> = (first[1]..width).step_by(stride).collect();
    let window = Window { kernel: [rows.len(), columns.len()], stride: 1, padding: [0, 0] };
    let mut taps = Vec::with_capacity(kernel.len() / (height * width) * rows.len() * columns.len());
    for pair in kernel.chunks_exact(height * width) {
        for row in &rows {
            taps.extend(columns.iter().map(|column| pair[row * width + column]));
        }
    }
    (inception::Convolution { window, ..*shape }, taps)
}
