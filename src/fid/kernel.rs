//! The kernel distance (KID): the unbiased estimate of the squared maximum mean discrepancy under the kernel
//! `k(x, y) = (x·y / F + 1)³`, over subsets drawn without replacement.
//!
//! ```text
//! rows of both ─▶ RandomState: a subset of the one, a subset of the other ─▶ k within, k across ─▶ MMD²   each subset a thread
//!                                                                                                 └▶ mean, deviation
//! ```
//!
//! As torch-fidelity defines it, whose draws these are: the same seed and the same rows in the same order give its subsets. It
//! sums in float32, and here all is float64.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, Par};
use ndarray::ArrayView2;
use rayon::prelude::*;

use super::RandomState;

/// Which subsets are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsets {
    /// How many.
    pub count: usize,
    /// Rows of each set in each of them.
    pub size: usize,
    /// Of [`RandomState`].
    pub seed: u32,
}

/// The distance, by subsets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelDistance {
    /// The mean of the subsets' estimates: KID. Slightly below zero where there is no difference to see.
    pub mean: f64,
    /// Their standard deviation (over n, not n - 1): what torch-fidelity prints after the ±.
    pub standard_deviation: f64,
    /// The standard error of the mean: the deviation over the root of the number of subsets. It tells what other draws from the
    /// same rows would have changed, and nothing of other rows.
    pub standard_error: f64,
}

/// Sets of which no subsets can be drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// Rows of different lengths.
    #[error("one set has {0} features and the other {1}")]
    Features(usize, usize),
    /// Fewer rows than a subset takes.
    #[error("subsets of {size} images cannot be drawn from {rows}")]
    TooFew {
        /// Rows that a subset takes.
        size: usize,
        /// Rows that there are.
        rows: usize,
    },
    /// An unbiased estimate needs pairs.
    #[error("subsets must have two images or more, and there must be one of them or more")]
    NoPairs,
    /// Not a number, or infinite.
    #[error("some of the features are not finite numbers; extract them again")]
    NotFinite,
}

/// The distance of rows `a` [N, F] from rows `b` [M, F].
///
/// # Errors
/// Where no subsets can be drawn, or a number is not finite.
pub fn kernel_distance(
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    subsets: &Subsets,
) -> Result<KernelDistance, KernelError> {
    if a.ncols() != b.ncols() {
        return Err(KernelError::Features(a.ncols(), b.ncols()));
    }
    let size = subsets.size;
    let rows = a.nrows().min(b.nrows());
    if rows < size {
        return Err(KernelError::TooFew { size, rows });
    }
    if size < 2 || subsets.count == 0 {
        return Err(KernelError::NoPairs);
    }
    if a.iter().chain(&b).any(|x| !x.is_finite()) {
        return Err(KernelError::NotFinite);
    }
    // One stream of numbers for all: the draws come first, in order.
    let mut random = RandomState::new(subsets.seed);
    let mut draw = || (random.choice(a.nrows(), size), random.choice(b.nrows(), size));
    let drawn: Vec<_> = (0..subsets.count).map(|_| draw()).collect();
    let estimate = |(of_a, of_b): &(Vec<usize>, Vec<usize>)| discrepancy(&columns(a, of_a), &columns(b, of_b));
    let estimates: Vec<f64> = drawn.par_iter().map(estimate).collect();

    let count = subsets.count as f64;
    let mean = estimates.iter().sum::<f64>() / count;
    let variance = estimates.iter().map(|estimate| (estimate - mean) * (estimate - mean)).sum::<f64>() / count;
    let standard_deviation = variance.sqrt();
    Ok(KernelDistance { mean, standard_deviation, standard_error: standard_deviation / count.sqrt() })
}

/// Some of the rows, a row a column.
fn columns(rows: ArrayView2<'_, f32>, chosen: &[usize]) -> Mat<f64> {
    Mat::from_fn(rows.ncols(), chosen.len(), |feature, row| f64::from(rows[(chosen[row], feature)]))
}

/// The unbiased estimate of MMD² from equally many rows of each set.
fn discrepancy(x: &Mat<f64>, y: &Mat<f64>) -> f64 {
    let m = x.ncols() as f64;
    let within = |x| 2.0 * below_diagonal(x) / (m * (m - 1.0));
    within(x) + within(y) - 2.0 * across(x, y) / (m * m)
}

/// The kernel from the product of two rows.
fn kernel(product: f64, features: usize) -> f64 {
    let k = product / features as f64 + 1.0;
    k * k * k
}

/// The sum of the kernel over pairs of different rows, each pair once.
fn below_diagonal(x: &Mat<f64>) -> f64 {
    let rows = x.ncols();
    let mut products = Mat::zeros(rows, rows);
    triangular::matmul(
        products.as_mut(),
        BlockStructure::StrictTriangularLower,
        Accum::Replace,
        x.transpose(),
        BlockStructure::Rectangular,
        x.as_ref(),
        BlockStructure::Rectangular,
        1.0,
        Par::Seq,
    );
    let column =
        |column: usize| products.col(column).iter().skip(column + 1).map(|&p| kernel(p, x.nrows())).sum::<f64>();
    (0..rows).map(column).sum()
}

/// The sum of the kernel over all pairs of a row of the one and a row of the other.
fn across(x: &Mat<f64>, y: &Mat<f64>) -> f64 {
    let mut products = Mat::zeros(x.ncols(), y.ncols());
    matmul(products.as_mut(), Accum::Replace, x.transpose(), y.as_ref(), 1.0, Par::Seq);
    products.col_iter().map(|column| column.iter().map(|&p| kernel(p, x.nrows())).sum::<f64>()).sum()
}
