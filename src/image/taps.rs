//! Which input pixels a resampled pixel is made of, and how much each counts: Pillow's definition, shared by the resize of
//! bytes and that of floats.

use std::ops::Range;

use super::axis::Axis;

/// The weighting of the input pixels around the centre of an output pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// A triangle, one input pixel to either side.
    Bilinear,
    /// Keys' cubic with a = -0.5, two input pixels to either side.
    Bicubic,
}

impl Kernel {
    /// How far the kernel reaches, in input pixels, where nothing is made smaller.
    fn support(self) -> f64 {
        match self {
            Kernel::Bilinear => 1.0,
            Kernel::Bicubic => 2.0,
        }
    }

    /// The weight at a distance from the centre.
    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            Kernel::Bilinear if x < 1.0 => 1.0 - x,
            Kernel::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Kernel::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// Whether Pillow 13 resamples the columns before the rows: where the height loses more than twice the pixels that the
/// width does.
pub(super) fn columns_go_first(x: &Axis, y: &Axis) -> bool {
    let lost = |axis: &Axis| axis.input as i64 - axis.output as i64;
    lost(y) > 0 && lost(y) > 2 * lost(x)
}

/// For each wanted output pixel of an axis, the run of input pixels that it is made of and their weights.
pub(super) struct Taps<W> {
    /// First input pixel of each run, and where its weights lie in `weights`.
    runs: Vec<(usize, Range<usize>)>,
    weights: Vec<W>,
}

impl Taps<f64> {
    /// The weights of each run sum to one.
    pub(super) fn new(axis: &Axis, kernel: Kernel) -> Self {
        let scale = axis.input as f64 / axis.output as f64;
        let stretch = scale.max(1.0);
        let support = kernel.support() * stretch;

        let mut taps = Self { runs: Vec::with_capacity(axis.wanted.len()), weights: Vec::new() };
        let mut run = Vec::new();
        for output in axis.wanted.clone() {
            let centre = (output as f64 + 0.5) * scale;
            // A cast drops the fraction and takes what is negative to zero.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(axis.input);
            let distance = |input: usize| (input as f64 - centre + 0.5) * (1.0 / stretch);
            run.clear();
            run.extend((first..end).map(|input| kernel.weight(distance(input))));
            let total: f64 = run.iter().sum();

            let start = taps.weights.len();
            taps.weights.extend(run.iter().map(|weight| weight / total));
            taps.runs.push((first, start..taps.weights.len()));
        }
        taps
    }

    /// The same taps with weights of another kind.
    pub(super) fn map<W>(self, weight: impl Fn(f64) -> W) -> Taps<W> {
        Taps { runs: self.runs, weights: self.weights.into_iter().map(weight).collect() }
    }
}

impl<W> Taps<W> {
    /// How many output pixels.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// For each output pixel, the first of its input pixels and the weights from there on.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[W])> {
        self.runs.iter().map(|(first, weights)| (*first, &self.weights[weights.clone()]))
    }

    /// The input pixels that any output pixel is made of.
    pub(super) fn inputs(&self) -> Range<usize> {
        let first = self.iter().map(|(first, _)| first).min().unwrap_or(0);
        let end = self.iter().map(|(first, weights)| first + weights.len()).max().unwrap_or(0);
        first..end
    }

    /// The same taps on an input that lacks its first `start` pixels.
    pub(super) fn counted_from(mut self, start: usize) -> Self {
        self.runs.iter_mut().for_each(|(first, _)| *first -= start);
        self
    }
}
