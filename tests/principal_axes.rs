//! Principal axes of rows as long as the network's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use headstock::embeddings::PrincipalAxes;
use ndarray::Array2;
use support::heads::numbers;

#[test]
fn coordinates_are_the_same_to_the_bit_for_any_number_of_threads() {
    let rows = numbers(96, 2048, 1);
    for count in [2, 32] {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| PrincipalAxes::of(rows.view(), count).coordinates(rows.view()))
        };
        let one = with(1);
        assert!([2, 3, 8].iter().all(|&threads| with(threads) == one), "{count} axes");
    }
}

#[test]
fn rows_of_a_plane_keep_their_distances() {
    let (inside, plane) = (numbers(50, 2, 2), numbers(2, 2048, 3));
    let rows: Array2<f32> = inside.dot(&plane);
    let coordinates = PrincipalAxes::of(rows.view(), 2).coordinates(rows.view());
    let distance = |of: &Array2<f32>, i: usize, j: usize| {
        let difference = &of.row(i) - &of.row(j);
        difference.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
    };
    for (i, j) in (0..50).flat_map(|i| (0..i).map(move |j| (i, j))) {
        let (of_rows, of_coordinates) = (distance(&rows, i, j), distance(&coordinates, i, j));
        assert!((of_rows - of_coordinates).abs() < 1e-4 * of_rows.max(1.0), "{i} {j}: {of_rows} {of_coordinates}");
    }
}
