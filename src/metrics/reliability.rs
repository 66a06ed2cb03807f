//! How sure a classifier is against how often it is right.

use ndarray::ArrayView1;

use super::measure::most_probable;

/// Bins of equal width, as Guo et al., "On Calibration of Modern Neural Networks", 2017.
pub const RELIABILITY_BINS: usize = 15;

/// The rows whose most probable class is about so probable: bin b of B holds those in (b/B, (b + 1)/B].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReliabilityBin {
    /// How many rows there are.
    pub rows: usize,
    /// How many of them are of their most probable class.
    pub right: usize,
    /// The sum of the probabilities of their most probable classes.
    pub sure: f64,
}

impl ReliabilityBin {
    /// The mean probability of the most probable class; none where there are no rows.
    #[must_use]
    pub fn confidence(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.sure / self.rows as f64)
    }

    /// The part of the rows that is right; none where there are no rows.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.right as f64 / self.rows as f64)
    }
}

/// The bins of rows, each its label and the probabilities of the K classes, `[K]`.
pub fn reliability<'a>(
    rows: impl IntoIterator<Item = (usize, ArrayView1<'a, f64>)>,
) -> [ReliabilityBin; RELIABILITY_BINS] {
    let mut bins = [ReliabilityBin::default(); RELIABILITY_BINS];
    for (label, row) in rows {
        let class = most_probable(row);
        let bin = ((row[class] * RELIABILITY_BINS as f64).ceil() as usize).clamp(1, RELIABILITY_BINS) - 1;
        bins[bin].rows += 1;
        bins[bin].right += usize::from(class == label);
        bins[bin].sure += row[class];
    }
    bins
}
