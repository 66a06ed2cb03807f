//! Near-duplicates, held to comparing all pairs, and the principal axes that find them, held to NumPy's
//! (`scripts/golden_logistic.py`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use headstock::embeddings::{NEAR, NearDuplicate, PrincipalAxes, near_duplicates};
use ndarray::{Array2, ArrayView1, Axis, array, concatenate, s};
use proptest::prelude::*;
use serde::Deserialize;
use support::heads::numbers;

#[derive(Deserialize)]
struct Golden {
    axes: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    seed: u64,
    rows: usize,
    features: usize,
    /// Singular values, from the largest down.
    strengths: Vec<f64>,
    /// [N, 2].
    coordinates: Vec<f64>,
}

fn cosine(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    let dot = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The nearest of all, one after the other.
fn by_force(left: &Array2<f32>, right: &Array2<f32>, counts: impl Fn(usize, usize) -> bool) -> Vec<NearDuplicate> {
    let nearest = |row: usize| {
        let pairs = (0..right.nrows()).filter(|&other| counts(row, other));
        let pairs = pairs.map(|other| (other, cosine(left.row(row), right.row(other))));
        let (right, cosine) = pairs.filter(|pair| pair.1 >= NEAR).max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(NearDuplicate { left: row, right, cosine })
    };
    (0..left.nrows()).filter_map(nearest).collect()
}

/// Rows as far from the first ones as `away` says, each by another part of it.
fn neighbours(of: &Array2<f32>, away: f32, seed: u64) -> Array2<f32> {
    let mut rows = of + &(numbers(of.nrows(), of.ncols(), seed) * away);
    let lengths = numbers(of.nrows(), 1, seed + 1);
    rows.rows_mut().into_iter().zip(&lengths).for_each(|(mut row, length)| row *= 1.5 + length);
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_near_duplicates_are_found_and_no_others(
        count in 1_usize..60, features in 2_usize..90, away in 0.0..0.12_f32, alike in 0.0..4.0_f32, seed in 1_u64..1000,
    ) {
        // Rows of a collection have much in common: a large mean.
        let right = numbers(count, features, seed) + alike;
        let left = neighbours(&right, away * (1.0 + alike), seed + 1);
        let left = concatenate(Axis(0), &[left.view(), numbers(5, features, seed + 3).view()]).unwrap();
        for counts in [|_: usize, _: usize| true, |left, right| left % 2 != right % 2] {
            let (ours, theirs) = (near_duplicates(left.view(), right.view(), counts), by_force(&left, &right, counts));
            // On the edge rounding decides.
            let sure = |found: &[NearDuplicate]| -> Vec<usize> {
                found.iter().filter(|pair| pair.cosine > NEAR + 1e-6).map(|pair| pair.left).collect()
            };
            let all = |found: &[NearDuplicate]| -> Vec<usize> { found.iter().map(|pair| pair.left).collect() };
            prop_assert!(sure(&ours).iter().all(|left| all(&theirs).contains(left)));
            prop_assert!(sure(&theirs).iter().all(|left| all(&ours).contains(left)));
            prop_assert!(ours.windows(2).all(|pair| pair[0].left < pair[1].left));
            for pair in &ours {
                prop_assert!(counts(pair.left, pair.right) && pair.cosine >= NEAR);
                prop_assert!((pair.cosine - cosine(left.row(pair.left), right.row(pair.right))).abs() < 1e-6);
                if let Some(nearest) = theirs.iter().find(|nearest| nearest.left == pair.left) {
                    prop_assert!((pair.cosine - nearest.cosine).abs() < 1e-6);
                }
            }
        }
    }
}

#[test]
fn near_duplicates_are_found_across_blocks() {
    let right = numbers(1300, 40, 3);
    let left = neighbours(&right.slice(s![..;-1, ..]).to_owned(), 1e-3, 5);
    let found = near_duplicates(left.view(), right.view(), |_, _| true);
    assert_eq!(found.len(), 1300);
    assert!(found.iter().all(|pair| pair.left + pair.right == 1299));
}

#[test]
fn rows_of_zeros_and_of_huge_numbers_hide_no_others() {
    let right = array![[0.0_f32, 0.0, 0.0], [1.0, 2.0, 3.0], [3e38, 3e38, 0.0], [1e-42, 0.0, 1e-42]];
    let left = array![[2.0_f32, 4.0, 6.001], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]];
    let found = near_duplicates(left.view(), right.view(), |_, _| true);
    let pairs: Vec<(usize, usize)> = found.iter().map(|pair| (pair.left, pair.right)).collect();
    assert_eq!(pairs, [(0, 1), (2, 2), (3, 3)]);
}

#[test]
fn no_rows_have_no_near_duplicates() {
    let (none, some) = (Array2::zeros((0, 3)), Array2::ones((2, 3)));
    for (left, right) in [(&none, &none), (&none, &some), (&some, &none)] {
        assert!(near_duplicates(left.view(), right.view(), |_, _| true).is_empty());
    }
}

#[test]
fn principal_axes_are_numpys() {
    let golden: Golden = serde_json::from_str(include_str!("golden/logistic.json")).unwrap();
    for case in golden.axes {
        let mut rows = numbers(case.rows, case.features, case.seed);
        rows.columns_mut().into_iter().enumerate().for_each(|(f, mut column)| column *= 0.5_f32.powi(f as i32));
        let ours = PrincipalAxes::of(rows.view(), 4).coordinates(rows.view()).mapv(f64::from);
        for (axis, strength) in ours.columns().into_iter().zip(&case.strengths) {
            assert!((axis.dot(&axis).sqrt() / strength - 1.0).abs() < 1e-5);
        }
        let theirs = Array2::from_shape_vec((case.rows, 2), case.coordinates).unwrap();
        let away = (&ours.slice(s![.., ..2]) - &theirs).fold(0.0, |most: f64, x| most.max(x.abs()));
        assert!(away < 1e-5, "{away}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn principal_axes_are_orthonormal(rows in 1_usize..60, features in 1_usize..50, count in 1_usize..40, seed in 1_u64..1000) {
        let axes = PrincipalAxes::of(numbers(rows, features, seed).view(), count);
        // The axes themselves: where the unit vectors lie, less where the origin does.
        let origin = axes.coordinates(Array2::zeros((1, features)).view());
        let axes = axes.coordinates(Array2::eye(features).view()) - &origin;
        prop_assert_eq!(axes.ncols(), count.min(features));
        let products = axes.t().dot(&axes) - Array2::<f32>::eye(axes.ncols());
        prop_assert!(products.iter().all(|x| x.abs() < 1e-4), "{products}");
    }
}

#[test]
fn rows_that_are_all_the_same_have_axes_too() {
    let rows = Array2::from_elem((7, 5), 2.5_f32);
    let coordinates = PrincipalAxes::of(rows.view(), 2).coordinates(rows.view());
    assert_eq!(coordinates, Array2::<f32>::zeros((7, 2)));
}
