//! The mean and the covariance of a set of rows: all that FID knows of it.

use faer::Mat;

/// Mean and covariance, float64.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// `[F]`.
    pub mean: Vec<f64>,
    /// [F, F], symmetric: the sum of squared deviations over N - 1, as `np.cov(rows, rowvar=False)`.
    pub covariance: Mat<f64>,
}

/// Rows that have no statistics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatisticsError {
    /// One row, or none, has no covariance.
    #[error("a covariance needs two images or more, and there {}", if *.0 == 1 { "is 1" } else { "are none" })]
    TooFew(usize),
    /// Not a number, or infinite.
    #[error("some of the features are not finite numbers; extract them again")]
    NotFinite,
}

impl Statistics {
    /// Numbers in a row, F.
    #[must_use]
    pub fn features(&self) -> usize {
        self.mean.len()
    }
}
