//! The metrics, held to scikit-learn's (`scripts/golden_metrics.py`) and to what must be true of any.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

use headstock::metrics::{McNemar, Metrics, precision_recall_curve, reliability, roc_curve};
use ndarray::Array2;
use proptest::prelude::*;
use serde_json::Value;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

fn close(ours: f64, theirs: &Value, what: &str) {
    let theirs = theirs.as_f64().unwrap();
    assert!((ours - theirs).abs() < 1e-12 * theirs.abs().max(1.0), "{what}: {ours} against {theirs}");
}

#[test]
fn every_metric_is_scikit_learns() {
    let golden: Value = serde_json::from_str(include_str!("golden/metrics.json")).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let classes = case["classes"].as_u64().unwrap() as usize;
        let labels: Vec<usize> = serde_json::from_value(case["labels"].clone()).unwrap();
        let rows: Vec<Vec<f64>> = serde_json::from_value(case["probabilities"].clone()).unwrap();
        let probabilities = Array2::from_shape_vec((rows.len(), classes), rows.concat()).unwrap();
        let ours = Metrics::new(&names(classes), &labels, probabilities.view());
        let name = case["name"].as_str().unwrap();
        assert_eq!(ours.rows, labels.len());
        close(ours.accuracy, &case["accuracy"], name);
        close(ours.balanced_accuracy, &case["balanced_accuracy"], name);
        close(ours.macro_f1, &case["macro_f1"], name);
        close(ours.log_loss, &case["log_loss"], name);
        assert_eq!(serde_json::to_value(&ours.confusion).unwrap(), case["confusion"], "{name}");
        for (k, class) in ours.classes.iter().enumerate() {
            close(class.precision, &case["precision"][k], name);
            close(class.recall, &case["recall"][k], name);
            close(class.f1, &case["f1"][k], name);
            assert_eq!(class.support as u64, case["support"][k].as_u64().unwrap());
            for (ours, theirs) in
                [(class.roc_auc, &case["roc_auc"][k]), (class.average_precision, &case["average_precision"][k])]
            {
                match ours {
                    Some(ours) => close(ours, theirs, name),
                    None => assert!(theirs.is_null(), "{name}: none against {theirs}"),
                }
            }
        }
    }
}

/// Holds points of a curve to scikit-learn's, number by number; of an infinite threshold theirs is null.
fn close_curve(ours: Option<Vec<[f64; 3]>>, theirs: &Value, what: &str) {
    let Some(ours) = ours else { return assert!(theirs.is_null(), "{what}: none against {theirs}") };
    let theirs = theirs.as_array().unwrap();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        for (&ours, theirs) in ours.iter().zip(theirs.as_array().unwrap()) {
            if theirs.is_null() { assert_eq!(ours, f64::INFINITY, "{what}") } else { close(ours, theirs, what) }
        }
    }
}

#[test]
fn every_point_of_the_curves_is_scikit_learns() {
    let golden: Value = serde_json::from_str(include_str!("golden/metrics.json")).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let labels: Vec<usize> = serde_json::from_value(case["labels"].clone()).unwrap();
        let rows: Vec<Vec<f64>> = serde_json::from_value(case["probabilities"].clone()).unwrap();
        for class in 0..case["classes"].as_u64().unwrap() as usize {
            let scores: Vec<f64> = rows.iter().map(|row| row[class]).collect();
            let is_class: Vec<bool> = labels.iter().map(|&label| label == class).collect();
            let roc = roc_curve(&scores, &is_class).map(|points| {
                points.iter().map(|p| [p.threshold, p.false_positive_rate, p.true_positive_rate]).collect()
            });
            let precision_recall = precision_recall_curve(&scores, &is_class)
                .map(|points| points.iter().map(|p| [p.threshold, p.precision, p.recall]).collect());
            let name = format!("{}, class {class}", case["name"].as_str().unwrap());
            close_curve(roc, &case["roc_curve"][class], &name);
            close_curve(precision_recall, &case["precision_recall_curve"][class], &name);
        }
    }
}

#[test]
fn wilsons_interval_of_nine_right_in_ten_is_the_textbooks() {
    let labels: Vec<usize> = vec![0; 10];
    let p = Array2::from_shape_fn((10, 2), |(row, class)| if (row == 0) == (class == 1) { 0.9 } else { 0.1 });
    let [low, high] = Metrics::new(&names(2), &labels, p.view()).accuracy_interval;
    assert!((low - 0.595_850).abs() < 1e-6 && (high - 0.982_124).abs() < 1e-6, "{low} to {high}");
}

#[test]
fn no_rows_are_no_panic() {
    let metrics = Metrics::new(&names(3), &[], Array2::zeros((0, 3)).view());
    assert_eq!((metrics.rows, metrics.accuracy_interval), (0, [0.0, 1.0]));
}

/// Labels and probabilities of up to 40 rows of 2 to 5 classes.
fn decisions() -> impl Strategy<Value = (usize, Vec<usize>, Array2<f64>)> {
    (2_usize..6, 1_usize..40).prop_flat_map(|(classes, rows)| {
        let labels = prop::collection::vec(0..classes, rows);
        let weights = prop::collection::vec(1_u32..20, rows * classes);
        (labels, weights).prop_map(move |(labels, weights)| {
            let mut p = Array2::from_shape_vec((rows, classes), weights).unwrap().mapv(f64::from);
            p.rows_mut().into_iter().for_each(|mut row| row /= row.sum());
            (classes, labels, p)
        })
    })
}

proptest! {
    #[test]
    fn counts_add_up_and_parts_lie_between_0_and_1((classes, labels, p) in decisions()) {
        let metrics = Metrics::new(&names(classes), &labels, p.view());
        prop_assert_eq!(metrics.confusion.iter().flatten().sum::<usize>(), labels.len());
        prop_assert_eq!(metrics.classes.iter().map(|class| class.support).sum::<usize>(), labels.len());
        let [low, high] = metrics.accuracy_interval;
        prop_assert!(0.0 <= low && low <= metrics.accuracy && metrics.accuracy <= high && high <= 1.0);
        for part in [metrics.balanced_accuracy, metrics.macro_f1, metrics.calibration_error] {
            prop_assert!((0.0..=1.0).contains(&part));
        }
    }

    #[test]
    fn the_calibration_error_is_the_gap_of_the_reliability_bins_weighted_by_rows((classes, labels, p) in decisions()) {
        let bins = reliability(labels.iter().copied().zip(p.rows()));
        prop_assert_eq!(bins.iter().map(|bin| bin.rows).sum::<usize>(), labels.len());
        let gap: f64 = bins
            .iter()
            .filter_map(|bin| Some(bin.rows as f64 * (bin.confidence()? - bin.accuracy()?).abs()))
            .sum();
        let metrics = Metrics::new(&names(classes), &labels, p.view());
        prop_assert!((metrics.calibration_error - gap / labels.len() as f64).abs() < 1e-12);
        for (b, bin) in bins.iter().enumerate() {
            let (low, high) = (b as f64 / bins.len() as f64 - 1e-12, (b + 1) as f64 / bins.len() as f64 + 1e-12);
            prop_assert!(bin.confidence().is_none_or(|sure| low <= sure && sure <= high));
        }
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter((classes, labels, p) in decisions()) {
        let backwards: Vec<usize> = labels.iter().rev().copied().collect();
        let turned = p.slice(ndarray::s![..;-1, ..]);
        let (a, b) =
            (Metrics::new(&names(classes), &labels, p.view()), Metrics::new(&names(classes), &backwards, turned));
        prop_assert_eq!(a.confusion, b.confusion);
        prop_assert!((a.log_loss - b.log_loss).abs() < 1e-12);
        for (a, b) in a.classes.iter().zip(&b.classes) {
            prop_assert_eq!((a.roc_auc, a.average_precision), (b.roc_auc, b.average_precision));
        }
    }

    #[test]
    fn two_classes_have_the_same_area_and_turned_scores_the_rest_of_it(
        labels in prop::collection::vec(0_usize..2, 2..40), weights in prop::collection::vec(0_u32..=16, 40)
    ) {
        let p = Array2::from_shape_fn((labels.len(), 2), |(row, class)| {
            let p = f64::from(weights[row]) / 16.0;
            if class == 0 { p } else { 1.0 - p }
        });
        let turned = p.slice(ndarray::s![.., ..;-1]);
        let area = |p| Metrics::new(&names(2), &labels, p).classes[0].roc_auc;
        let both = Metrics::new(&names(2), &labels, p.view());
        prop_assert_eq!(both.classes[0].roc_auc, both.classes[1].roc_auc);
        if let (Some(a), Some(b)) = (area(p.view()), area(turned)) {
            prop_assert!((a + b - 1.0).abs() < 1e-12);
        }
    }
}

/// Rows of which the first decides this many rightly where the second does not, and the other way round, among others.
fn disagreeing(only_first: usize, only_second: usize) -> McNemar {
    let rows = std::iter::repeat_n;
    let disagree = rows((true, false), only_first).chain(rows((false, true), only_second));
    McNemar::new(disagree.chain(rows((true, true), 3)).chain(rows((false, false), 2)))
}

#[test]
fn the_paired_test_is_the_exact_one_of_scipy() {
    let golden: Value = serde_json::from_str(include_str!("golden/mcnemar.json")).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let count = |key: &str| case[key].as_u64().unwrap() as usize;
        let (only_first, only_second) = (count("only_first"), count("only_second"));
        let ours = disagreeing(only_first, only_second);
        assert_eq!((ours.both, ours.only_first, ours.only_second, ours.neither), (3, only_first, only_second, 2));
        let (p, theirs) = (ours.p_value, case["p_value"].as_f64().unwrap());
        assert!((p - theirs).abs() <= 1e-10 * theirs, "{only_first} and {only_second}: {p} against {theirs}");
    }
}

proptest! {
    #[test]
    fn the_paired_test_knows_no_first_and_doubts_the_more_the_more_uneven_the_counts_are(
        total in 1_usize..3000, part in 0.0..0.5
    ) {
        let smaller = (total as f64 * part) as usize;
        let p = disagreeing(smaller, total - smaller).p_value;
        prop_assert_eq!(p, disagreeing(total - smaller, smaller).p_value);
        prop_assert!((0.0..=1.0).contains(&p));
        if smaller > 0 {
            let more_uneven = disagreeing(smaller - 1, total - smaller + 1).p_value;
            prop_assert!(more_uneven < p || p == 0.0 || p == 1.0, "{} {}", more_uneven, p);
        }
    }
}
