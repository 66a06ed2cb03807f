//! What is well-formed and yet no head or no embeddings.

use serde_json::{Value, json};

use crate::mutations::{with_header, with_text};
use crate::reading::{Reader, Reading};
use crate::valid;

/// The bytes of a valid file, by its name.
fn bytes(name: &str) -> (Reader, Vec<u8>) {
    let (_, reader, bytes) = valid::all().into_iter().find(|(other, _, _)| *other == name).unwrap();
    (reader, bytes)
}

/// What is said of a file that was changed.
fn refusal(reading: &Reading, name: &str, change: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let (reader, bytes) = bytes(name);
    let (outcome, _) = reading.of(reader, &change(&bytes));
    outcome.expect_err("it is read")
}

/// Of the metadata's `held_out`.
type Change = fn(&mut Value);

fn says(said: &str, expected: &str) {
    assert!(said.contains(expected), "{said:?} does not say {expected:?}");
}

#[test]
fn a_text_that_means_nothing_is_refused_with_its_reason() {
    let reading = Reading::new();
    let cases = [
        ("linear", "temperature", "0.0", "its temperature 0 is not above 0"),
        ("linear", "temperature", "-1.5", "its temperature -1.5 is not above 0"),
        ("linear", "temperature", "1e999", "`temperature` of its metadata"),
        ("linear", "thresholds", "[0.5,1.5]", "its threshold 1.5 is no probability"),
        ("linear", "thresholds", "[-0.1,0.5]", "its threshold -0.1 is no probability"),
        ("linear", "thresholds", "[0.5,NaN]", "`thresholds` of its metadata"),
        ("linear", "thresholds", "[0.5]", "its thresholds are not those of its 2 classes"),
        ("linear", "classes", "[\"a\",\"a\"]", "it names the class \"a\" twice"),
        ("linear", "classes", "[\"a\"]", "fewer than two classes"),
        ("linear_model", "temperature", "0.0", "its temperature 0 is not above 0"),
        ("linear_model", "kind", "dense", "it has no tensor `head.dense1.weight`"),
        ("linear_model", "format", "headstock.model/2", "this version of headstock reads headstock.model/1"),
        ("dense_model", "kind", "linear", "it has no tensor `head.weight`"),
        ("embeddings", "classes", "[\"a\",\"a\"]", "it names the class \"a\" twice"),
        ("embeddings", "classes", "[\"a\"]", "the label 1 is beyond its 1 classes"),
        ("embeddings", "paths", "[\"a\"]", "`embeddings` is F32 [3, 4], not F32 [1, 2048]"),
    ];
    for (name, key, text, expected) in cases {
        says(&refusal(&reading, name, |bytes| with_text(bytes, key, text)), expected);
    }
}

#[test]
fn tensors_that_overlap_leave_gaps_or_do_not_fill_the_file_are_refused() {
    let reading = Reading::new();
    let moved = |by: i64| {
        move |bytes: &[u8]| {
            with_header(bytes, |header| {
                let offsets = &mut header["bias"]["data_offsets"];
                *offsets = json!([offsets[0].as_i64().unwrap() + by, offsets[1].as_i64().unwrap() + by]);
            })
        }
    };
    says(&refusal(&reading, "linear", moved(-4)), "no safetensors");
    says(&refusal(&reading, "linear", moved(4)), "no safetensors");
    says(&refusal(&reading, "linear", |bytes| [bytes, &[0]].concat()), "something behind its last tensor");
    says(&refusal(&reading, "linear", |bytes| bytes[..bytes.len() - 1].to_vec()), "cut off");
}

#[test]
fn rows_of_no_numbers_or_of_more_than_the_file_bears_out_are_refused() {
    let reading = Reading::new();
    let shape = |shape: [u64; 2]| {
        move |bytes: &[u8]| {
            let none = with_text(bytes, "paths", "[]");
            let none = with_header(&none, |header| {
                header["embeddings"] = json!({ "dtype": "F32", "shape": shape, "data_offsets": [0, 0] });
            });
            none[..none.len() - 48].to_vec()
        }
    };
    // No rows: any length of them agrees with a file without a byte of data.
    says(&refusal(&reading, "embeddings_without_labels", shape([0, u64::MAX])), "`embeddings` is F32 [0, ");
    says(&refusal(&reading, "embeddings_without_labels", shape([0, 0])), "`embeddings` is F32 [0, 0]");
    let (_, none) = bytes("embeddings_without_labels");
    assert_eq!(reading.of(Reader::Embeddings, &shape([0, 2048])(&none)).0, Ok(()), "no rows are no fault");

    let no_hidden = |bytes: &[u8]| {
        let changed = with_header(bytes, |header| {
            for (name, shape) in
                [("dense1.weight", json!([0, 4])), ("dense1.bias", json!([0])), ("dense2.weight", json!([2, 0]))]
            {
                header[name] = json!({ "dtype": "F32", "shape": shape, "data_offsets": [0, 0] });
            }
            header["dense2.bias"]["data_offsets"] = json!([0, 8]);
        });
        changed[..changed.len() - 84].to_vec()
    };
    says(&refusal(&reading, "dense", no_hidden), "`dense2.weight` is of shape [2, 0]");
}

#[test]
fn held_out_rows_that_contradict_the_head_are_refused() {
    let reading = Reading::new();
    let text = |change: Change| {
        move |bytes: &[u8]| {
            with_header(bytes, |header| {
                let text = &mut header["__metadata__"]["held_out"];
                let mut held_out: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
                change(&mut held_out);
                *text = json!(held_out.to_string());
            })
        }
    };
    let metrics = "its metrics are not those of its 2 classes";
    let cases: [(Change, &str); 5] = [
        (|held_out| held_out["paths"] = json!(["a"]), "`held_out.labels` is I64 [3], not I64 [1]"),
        (|held_out| held_out["metrics"]["confusion"] = json!([[1, 2]]), metrics),
        (|held_out| held_out["metrics"]["confusion"] = json!([[1, 2], [3]]), metrics),
        (|held_out| held_out["metrics"]["classes"][0]["class"] = json!("z"), metrics),
        (|held_out| held_out["metrics"] = json!(null), "`held_out` of its metadata"),
    ];
    for (change, expected) in cases {
        says(&refusal(&reading, "held_out", text(change)), expected);
    }

    // The labels are the first tensor, the probabilities the next.
    let data = |at: usize, number: Vec<u8>| {
        move |bytes: &[u8]| {
            let first = bytes.len() - (3 * 8 + 4 * (3 * 2 + 3 * 2 + 2 * 4 + 2));
            let mut bytes = bytes.to_vec();
            bytes[first + at..first + at + number.len()].copy_from_slice(&number);
            bytes
        }
    };
    let label = |label: i64| data(8, label.to_le_bytes().to_vec());
    says(&refusal(&reading, "held_out", label(2)), "`held_out.labels` goes beyond its 2 classes");
    says(&refusal(&reading, "held_out", label(-1)), "`held_out.labels` goes beyond its 2 classes");
    let probability = |p: f32| data(24, p.to_le_bytes().to_vec());
    says(&refusal(&reading, "held_out", probability(1.5)), "no probabilities");
    says(&refusal(&reading, "held_out", probability(-0.5)), "no probabilities");
    says(&refusal(&reading, "held_out", probability(f32::NAN)), "not finite");
}
