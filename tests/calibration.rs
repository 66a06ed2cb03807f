//! Temperatures, held to those of `scipy` (`scripts/golden_logistic.py`), and thresholds: what must be true of any.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use headstock::head::{most_probable, softmax, temperature, temperature_near_one, thresholds};
use ndarray::{Array2, array};
use proptest::prelude::*;
use serde::Deserialize;
use support::heads::numbers;

#[derive(Deserialize)]
struct Golden {
    temperatures: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    seed: u64,
    rows: usize,
    classes: usize,
    scale: f32,
    temperature: f64,
}

/// Labels without a pattern, and logits that often know them.
fn judged(rows: usize, classes: usize, scale: f32, seed: u64) -> (Array2<f32>, Vec<usize>) {
    let label = |u: &f32| ((f64::midpoint(f64::from(*u), 1.0) * classes as f64) as usize).min(classes - 1);
    let labels: Vec<usize> = numbers(rows, 1, seed).iter().map(label).collect();
    let mut logits = numbers(rows, classes, seed + 1);
    labels.iter().enumerate().for_each(|(row, &label)| logits[[row, label]] += 1.0);
    (logits * scale, labels)
}

fn decisions(logits: &Array2<f32>) -> Vec<Option<usize>> {
    logits.rows().into_iter().map(most_probable).collect()
}

fn log_loss(logits: &Array2<f32>, labels: &[usize], temperature: f64) -> f64 {
    let of_row = |(row, &label): (ndarray::ArrayView1<'_, f32>, &usize)| {
        let own = f64::from(row[label]);
        row.iter().map(|&z| ((f64::from(z) - own) / temperature).exp()).sum::<f64>().ln()
    };
    logits.rows().into_iter().zip(labels).map(of_row).sum()
}

#[test]
fn few_rows_do_not_run_away_with_a_temperature_that_is_believed_near_one_and_many_decide_it() {
    // All right, and sure enough: the sharper the better, as far as these rows know.
    let sure = |rows: usize| -> (Array2<f32>, Vec<usize>) {
        let labels: Vec<usize> = (0..rows).map(|row| row % 3).collect();
        (Array2::from_shape_fn((rows, 3), |(row, class)| if labels[row] == class { 3.0 } else { 0.0 }), labels)
    };
    let (logits, labels) = sure(15);
    assert!(temperature(logits.view(), &labels) < 0.06);
    let near = temperature_near_one(logits.view(), &labels);
    assert!((0.6..1.0).contains(&near), "{near}");
    let (none, no_labels) = sure(0);
    assert!((temperature_near_one(none.view(), &no_labels) - 1.0).abs() < 1e-6);

    for scale in [0.5, 3.0] {
        let (logits, labels) = judged(20_000, 4, scale, 5);
        let (near, own) = (temperature_near_one(logits.view(), &labels), temperature(logits.view(), &labels));
        assert!((near / own - 1.0).abs() < 0.02, "{near} against {own}");
    }
}

#[test]
fn temperatures_are_scipys() {
    let golden: Golden = serde_json::from_str(include_str!("golden/logistic.json")).unwrap();
    for case in golden.temperatures {
        let (logits, labels) = judged(case.rows, case.classes, case.scale, case.seed);
        let ours = temperature(logits.view(), &labels);
        assert!((ours / case.temperature - 1.0).abs() < 1e-6, "{ours} against {}", case.temperature);
    }
}

#[test]
fn a_temperature_is_a_number_where_there_is_no_best_one() {
    let sure = array![[9.0_f32, 0.0], [0.0, 9.0]];
    assert_eq!(temperature(sure.view(), &[0, 1]), 0.05, "all right: the surer the better");
    assert_eq!(temperature(sure.view(), &[1, 0]), 20.0, "all wrong: the less sure the better");
    assert_eq!(temperature(Array2::zeros((2, 2)).view(), &[0, 1]), 1.0, "nothing to divide");
    assert_eq!(temperature(Array2::zeros((0, 2)).view(), &[]), 1.0, "nothing at all");
    let huge = array![[3e38_f32, -3e38], [-3e38, 3e38], [3e38, 0.0]];
    assert!((0.05..=20.0).contains(&temperature(huge.view(), &[0, 1, 1])));
}

proptest! {
    #[test]
    fn a_temperature_takes_back_what_logits_are_multiplied_by(rows in 40_usize..200, by in 0.3_f32..3.0, seed in 1_u64..1000) {
        let (logits, labels) = judged(rows, 3, 1.5, seed);
        let (plain, scaled) = (temperature(logits.view(), &labels), temperature((&logits * by).view(), &labels));
        prop_assert!((scaled / plain / f64::from(by) - 1.0).abs() < 1e-5, "{plain} {scaled} {by}");
        prop_assert_eq!(decisions(&softmax(&logits / plain as f32)), decisions(&logits));
        // Neither more nor less of it is better.
        let best = log_loss(&logits, &labels, plain);
        for other in [0.9, 0.999, 1.0 / plain, 1.001, 1.1] {
            prop_assert!(log_loss(&logits, &labels, plain * other) >= best * (1.0 - 1e-12));
        }
    }

    #[test]
    fn a_threshold_is_the_lowest_that_reaches_the_precision(
        rows in 1_usize..150, precision in 0.0..1.0_f64, coarse: bool, seed in 1_u64..1000,
    ) {
        let (logits, labels) = judged(rows, 3, 2.0, seed);
        let mut p = softmax(logits);
        if coarse {
            // Many of the same.
            p.mapv_inplace(|p| (p * 8.0).round() / 8.0);
        }
        let found = thresholds(p.view(), &labels, precision);
        prop_assert_eq!(found.len(), 3);
        for (class, &found) in found.iter().enumerate() {
            let decided: Vec<(f64, bool)> = p.rows().into_iter().zip(&labels)
                .filter(|(row, _)| most_probable(*row) == Some(class))
                .map(|(row, &label)| (f64::from(row[class]), label == class))
                .collect();
            let reaches = |threshold: f64| {
                let kept: Vec<bool> = decided.iter().filter(|(p, _)| *p >= threshold).map(|(_, right)| *right).collect();
                !kept.is_empty() && kept.iter().filter(|right| **right).count() as f64 / kept.len() as f64 >= precision
            };
            // Only where a decision lies does anything change.
            let lowest = decided.iter().map(|(p, _)| *p).filter(|&p| reaches(p)).reduce(f64::min);
            prop_assert_eq!(found, lowest.unwrap_or(1.0));
        }
    }
}

#[test]
fn a_precision_that_is_met_exactly_is_met() {
    // 55 of 100 are right; 0.55 * 100 is more than 55 in floating point.
    let p = Array2::from_shape_fn((100, 2), |(_, class)| [0.75_f32, 0.25][class]);
    let labels: Vec<usize> = (0..100).map(|row| usize::from(row >= 55)).collect();
    assert_eq!(thresholds(p.view(), &labels, 0.55), [0.75, 1.0]);
}
