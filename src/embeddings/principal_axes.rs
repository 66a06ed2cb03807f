//! The directions in which rows differ most, for a map of them and for telling far rows apart cheaply.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj,
};
use faer::linalg::matmul::matmul;
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::{Accum, Conj, Mat, MatRef, Par, Side, Spec};
use ndarray::parallel::prelude::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use ndarray::{Array2, ArrayView2, Axis};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows that are enough to know the directions.
const SEEN: usize = 1 << 12;
/// Axes that are looked for beside those asked for: the last ones converge slowly.
const SPARE: usize = 6;
const ITERATIONS: usize = 12;
/// Rows that a thread takes at a time.
const BLOCK: usize = 256;

/// A mean and orthonormal axes.
#[derive(Clone, Debug)]
pub struct PrincipalAxes {
    mean: Vec<f32>,
    /// [F, A].
    axes: Mat<f32>,
}

impl PrincipalAxes {
    /// The first `count` principal axes of rows [N, F], fewer where there are fewer features; of many rows, those of every
    /// so-manieth. By subspace iteration (Halko, Martinsson, Tropp 2011), from a fixed seed; the largest number of each axis
    /// is positive.
    #[must_use]
    pub fn of(rows: ArrayView2<'_, f32>, count: usize) -> Self {
        let features = rows.ncols();
        let some = rows.slice(ndarray::s![..;rows.nrows().div_ceil(SEEN).max(1), ..]);
        let mean: Vec<f32> = some.mean_axis(Axis(0)).map_or_else(|| vec![0.0; features], |mean| mean.to_vec());
        // One row after the other, in columns.
        let centred = Mat::from_fn(features, some.nrows(), |feature, row| some[(row, feature)] - mean[feature]);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let side = (count + SPARE).min(features);
        let mut basis = Mat::from_fn(features, side, |_, _| rng.random::<f32>() - 0.5);
        for _ in 0..ITERATIONS {
            basis = orthonormal(&basis);
            basis = times(centred.as_ref(), &times(centred.as_ref().transpose(), &basis));
        }
        let basis = orthonormal(&basis);
        let seen = times(centred.as_ref().transpose(), &basis);
        let axes = match times(seen.as_ref().transpose(), &seen).self_adjoint_eigen(Side::Lower) {
            // Ascending: the last ones are the first.
            Ok(eigen) => times(basis.as_ref(), &eigen.U().reverse_cols().to_owned()),
            Err(_) => basis,
        };
        let mut axes = axes.subcols(0, count.min(side)).to_owned();
        for axis in 0..axes.ncols() {
            let largest = |largest: f32, &x: &f32| if x.abs() > largest.abs() { x } else { largest };
            if axes.col(axis).iter().fold(0.0, largest) < 0.0 {
                axes.col_mut(axis).iter_mut().for_each(|x| *x = -*x);
            }
        }
        Self { mean, axes }
    }

    /// Coordinates [N, A] of rows [N, F] along the axes, from the mean.
    #[must_use]
    pub fn coordinates(&self, rows: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut out = Array2::zeros((rows.nrows(), self.axes.ncols()));
        let blocks = out.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter();
        blocks.zip(rows.axis_chunks_iter(Axis(0), BLOCK)).for_each(|(mut out, rows)| {
            let centred =
                Mat::from_fn(rows.ncols(), rows.nrows(), |feature, row| rows[(row, feature)] - self.mean[feature]);
            let coordinates = times(self.axes.as_ref().transpose(), &centred);
            out.indexed_iter_mut().for_each(|((row, axis), x)| *x = coordinates[(axis, row)]);
        });
        out
    }
}

fn times(left: MatRef<'_, f32>, right: &Mat<f32>) -> Mat<f32> {
    let mut out = Mat::zeros(left.nrows(), right.ncols());
    matmul(out.as_mut(), Accum::Replace, left, right.as_ref(), 1.0, Par::Seq);
    out
}

/// The Q of a QR decomposition, on one thread: faer's own `qr` takes all there are, and their number shows in the bits.
fn orthonormal(basis: &Mat<f32>) -> Mat<f32> {
    let (rows, columns) = (basis.nrows(), basis.ncols());
    let block = recommended_block_size::<f32>(rows, columns);
    let mut reflections = basis.clone();
    let mut coefficients = Mat::zeros(block, rows.min(columns));
    let scratch = qr_in_place_scratch::<f32>(rows, columns, block, Par::Seq, Spec::default());
    let (reflected, scaled) = (reflections.as_mut(), coefficients.as_mut());
    qr_in_place(reflected, scaled, Par::Seq, MemStack::new(&mut MemBuffer::new(scratch)), Spec::default());

    let mut q = Mat::identity(rows, rows.min(columns));
    let scratch = apply_block_householder_sequence_on_the_left_in_place_scratch::<f32>(rows, block, q.ncols());
    apply_block_householder_sequence_on_the_left_in_place_with_conj(
        reflections.as_ref(),
        coefficients.as_ref(),
        Conj::No,
        q.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
    );
    q
}
