//! Standardisation: every feature brought to mean 0 and deviation 1 over the rows that are learnt from.

use ndarray::parallel::prelude::{IntoParallelIterator, ParallelIterator};
use ndarray::{Array2, ArrayView2, Axis};

/// Rows whose sums are taken together. Always as many, so that sums do not depend on the number of threads.
const BLOCK: usize = 256;

/// Deviations below this are none: weights divided by them would leave float32.
const FAINTEST: f64 = 1e-30;

/// The mean and the deviation of F features.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// `[F]`.
    pub mean: Vec<f64>,
    /// `[F]`, standard deviations over the rows (divided by N); 1 for a feature that is the same in all of them.
    pub scale: Vec<f64>,
}

impl Scaler {
    /// The scaler of rows [N, F], N at least 1; what scikit-learn's `StandardScaler` finds.
    #[must_use]
    pub fn fit(rows: ArrayView2<'_, f32>) -> Self {
        let count = rows.nrows() as f64;
        let mean: Vec<f64> = sums(rows, |_, x| x).into_iter().map(|sum| sum / count).collect();
        // Two passes: the square of the mean may be a million times the variance.
        let squares = sums(rows, |feature, x| (x - mean[feature]).powi(2));
        let scale = squares.iter().zip(&mean).map(|(sum, mean)| deviation(sum / count, *mean, count)).collect();
        Self { mean, scale }
    }

    /// Rows [N, F], standardised.
    #[must_use]
    pub fn transform(&self, rows: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut out = rows.to_owned();
        out.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().for_each(|mut block| {
            for mut row in block.rows_mut() {
                for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                    *x = ((f64::from(*x) - mean) / scale) as f32;
                }
            }
        });
        out
    }
}

/// The root of a variance, or 1 where it is no more than the rounding of a constant (the bound is scikit-learn's).
fn deviation(variance: f64, mean: f64, count: f64) -> f64 {
    let rounding = count * f64::EPSILON * variance + (count * mean * f64::EPSILON).powi(2);
    let deviation = variance.sqrt();
    if variance <= rounding || deviation < FAINTEST { 1.0 } else { deviation }
}

/// The sum over the rows of a function of each number and its feature.
fn sums(rows: ArrayView2<'_, f32>, of: impl Fn(usize, f64) -> f64 + Sync) -> Vec<f64> {
    let of_block = |block: ArrayView2<'_, f32>| {
        let mut sums = vec![0.0; block.ncols()];
        for row in block.rows() {
            for (feature, (sum, x)) in sums.iter_mut().zip(row).enumerate() {
                *sum += of(feature, f64::from(*x));
            }
        }
        sums
    };
    let blocks: Vec<Vec<f64>> = rows.axis_chunks_iter(Axis(0), BLOCK).into_par_iter().map(of_block).collect();
    let mut total = vec![0.0; rows.ncols()];
    for block in blocks {
        total.iter_mut().zip(block).for_each(|(total, sum)| *total += sum);
    }
    total
}
