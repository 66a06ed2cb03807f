//! The file of a head: what is written is read back, by us and by others, and what is broken is refused with its reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

use headstock::embeddings::Provenance;
use headstock::head::{Dense, Head, Linear, Model};
use ndarray::{Array2, s};
use safetensors::SafeTensors;
use serde_json::json;

/// Numbers without a pattern, in (-1, 1).
fn numbers(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Array2::from_shape_simple_fn((rows, columns), || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

fn head(model: Model) -> Head {
    Head {
        classes: ["a", "b \"quoted\"", "ü"].map(str::to_owned).to_vec(),
        model,
        temperature: 1.25,
        thresholds: Some(vec![0.5, 0.25, 0.75]),
        provenance: Provenance {
            weights: "0123".to_owned(),
            variant: "tf2015".to_owned(),
            preprocess: "{}".to_owned(),
            version: "0.1.0".to_owned(),
        },
        fit: json!({ "alpha": 0.1 }),
        held_out: None,
    }
}

fn linear() -> Head {
    head(Model::Linear(Linear { weight: numbers(3, 20, 1), bias: vec![0.1, -0.2, 0.3] }))
}

fn dense() -> Head {
    head(Model::Dense(Dense {
        weight1: numbers(7, 20, 2),
        bias1: numbers(1, 7, 3).into_raw_vec_and_offset().0,
        weight2: numbers(3, 7, 4),
        bias2: vec![0.1, -0.2, 0.3],
    }))
}

#[test]
fn what_is_written_is_read_back_and_the_bytes_are_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    for head in [linear(), dense()] {
        head.write(&path).unwrap();
        let first = std::fs::read(&path).unwrap();
        assert_eq!(Head::read(&path).unwrap(), head);
        head.write(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
    }
}

#[test]
fn any_program_gets_the_probabilities_from_the_file_by_the_formula_of_the_promise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    linear().write(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| -> Vec<f64> {
        let tensor = tensors.tensor(name).unwrap();
        tensor.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
    };
    let (weight, bias) = (floats("weight"), floats("bias"));
    let rows = numbers(5, 20, 9);
    let ours = Head::read(&path).unwrap().probabilities(rows.view());
    for (row, ours) in rows.rows().into_iter().zip(ours.rows()) {
        let logit =
            |k: usize| bias[k] + row.iter().enumerate().map(|(i, &x)| f64::from(x) * weight[k * 20 + i]).sum::<f64>();
        let exp: Vec<f64> = (0..3).map(|k| logit(k).exp()).collect();
        let sum: f64 = exp.iter().sum();
        for (k, &p) in ours.iter().enumerate() {
            assert!((f64::from(p) - exp[k] / sum).abs() < 1e-6, "class {k}: {p} against {}", exp[k] / sum);
        }
    }
}

#[test]
fn a_rows_logits_do_not_depend_on_its_batch() {
    let rows = numbers(130, 20, 5);
    for head in [linear(), dense()] {
        let together = head.logits(rows.view());
        for size in [1, 3, 64, 65, 129] {
            for start in (0..rows.nrows()).step_by(size) {
                let end = (start + size).min(rows.nrows());
                assert_eq!(head.logits(rows.slice(s![start..end, ..])), together.slice(s![start..end, ..]));
            }
        }
    }
}

#[test]
fn a_dense_head_is_relu_between_two_affine_maps() {
    let Model::Dense(dense) = dense().model else { unreachable!() };
    let rows = numbers(4, 20, 6);
    let ours = dense.logits(rows.view());
    for (row, ours) in rows.rows().into_iter().zip(ours.rows()) {
        let dot = |a: &[f64], b: ndarray::ArrayView1<'_, f32>| -> f64 {
            a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum()
        };
        let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        let hidden: Vec<f64> =
            (0..7).map(|h| (f64::from(dense.bias1[h]) + dot(&row, dense.weight1.row(h))).max(0.0)).collect();
        for (k, &logit) in ours.iter().enumerate() {
            let expected = f64::from(dense.bias2[k]) + dot(&hidden, dense.weight2.row(k));
            assert!((f64::from(logit) - expected).abs() < 1e-5);
        }
    }
}

#[test]
fn a_probability_below_the_threshold_is_no_decision_and_the_first_of_equals_wins() {
    let head = linear();
    let decide = |p: [f32; 3], threshold| head.decide(ndarray::ArrayView1::from(&p), threshold);
    assert_eq!(decide([0.4, 0.3, 0.3], None), None, "its own threshold is 0.5");
    assert_eq!(decide([0.3, 0.4, 0.3], None), Some(1), "its own threshold is 0.25");
    assert_eq!(decide([0.4, 0.4, 0.2], Some(0.0)), Some(0));
    assert_eq!(decide([0.1, 0.2, 0.7], Some(0.8)), None);
}

/// What is said of a head whose bytes were changed.
fn refusal(change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    linear().write(&path).unwrap();
    std::fs::write(&path, change(std::fs::read(&path).unwrap())).unwrap();
    let error = Head::read(&path).unwrap_err().to_string();
    assert!(error.contains("head.safetensors") && error.contains("as a head"), "{error}");
    error
}

/// Replaces text in the header by text of the same length.
fn header(from: &'static str, to: &'static str) -> impl FnOnce(Vec<u8>) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    move |mut bytes| {
        let place = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
        bytes
    }
}

#[test]
fn a_file_that_is_no_head_is_refused_with_its_reason() {
    let cases: [(String, &str); 9] = [
        (refusal(|bytes| bytes[..bytes.len() - 1].to_vec()), "cut off"),
        (refusal(|bytes| bytes[..100].to_vec()), "no safetensors"),
        (refusal(|_| Vec::new()), "no safetensors"),
        (refusal(header("headstock.head/1", "headstock.head/2")), "reads headstock.head/1"),
        (refusal(header("linear", "linnea")), "kind is 'linnea'"),
        (refusal(header("\"bias\"", "\"bios\"")), "no tensor `bias`"),
        (refusal(header("[3,20]", "[4,15]")), "`weight` is F32 [4, 15]"),
        (refusal(header("[3,20]", "[9,99]")), "no safetensors"),
        (
            refusal(|mut bytes| {
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
                bytes
            }),
            "not finite",
        ),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    }
}
