//! One axis of a resize. Width and height never meet, so everything is said once, for one of them.

use std::ops::Range;

/// How one side of a picture is scaled, and which part of the result is wanted.
///
/// Pixels outside the wanted part are never computed: a 1 x 5000 picture whose shorter side goes to 342 would be 342 x
/// 1,710,000, of which 299 rows are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// Length before, in pixels.
    pub input: usize,
    /// Length after, in pixels, if all of it were computed.
    pub output: usize,
    /// The pixels of the output that are wanted.
    pub wanted: Range<usize>,
}

impl Axis {
    /// All of the side, scaled from `input` to `output` pixels.
    #[must_use]
    pub fn whole(input: usize, output: usize) -> Self {
        Self { input, output, wanted: 0..output }
    }

    /// The middle `side` pixels of the side, scaled from `input` to `output` pixels. Where the middle falls between
    /// two pixels, it goes to the even one, as in torchvision's `center_crop` (Python's `int(round((output - side) / 2))`).
    ///
    /// # Panics
    /// When `output` is shorter than `side`.
    #[must_use]
    pub fn centre(input: usize, output: usize, side: usize) -> Self {
        assert!(side <= output, "can't cut {side} pixels out of {output}");
        let margin = output - side;
        let start = (margin as f64 / 2.0).round_ties_even() as usize;
        Self { input, output, wanted: start..start + side }
    }
}
