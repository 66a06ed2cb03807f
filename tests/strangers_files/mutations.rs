//! Thousands of broken files, the same ones each time.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use crate::reading::Reading;
use crate::valid;

pub fn header_len(bytes: &[u8]) -> usize {
    u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
}

fn header(bytes: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(&bytes[8..8 + header_len(bytes)]).unwrap()
}

/// A file with this text for a header, and the tensors' bytes of another.
pub fn with_header_text(bytes: &[u8], header: &str) -> Vec<u8> {
    let data = &bytes[8 + header_len(bytes)..];
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A file whose header was changed, and the length before it with it.
pub fn with_header(bytes: &[u8], change: impl FnOnce(&mut Map<String, Value>)) -> Vec<u8> {
    let mut header = header(bytes);
    change(&mut header);
    with_header_text(bytes, &Value::Object(header).to_string())
}

/// A file whose metadata was changed.
pub fn with_text(bytes: &[u8], key: &str, text: &str) -> Vec<u8> {
    with_header(bytes, |header| header["__metadata__"][key] = json!(text))
}

#[test]
fn valid_files_are_read() {
    let reading = Reading::new();
    for (name, reader, bytes) in valid::all() {
        assert!(reading.hold(reader, &bytes, name), "{name} is refused");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let reading = Reading::new();
    for (name, reader, bytes) in valid::all() {
        for len in 0..bytes.len() {
            assert!(
                !reading.hold(reader, &bytes[..len], &format!("{name} cut at {len}")),
                "{name} cut at {len} is read"
            );
        }
    }
}

#[test]
fn flipped_bits_do_no_harm() {
    let reading = Reading::new();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (name, reader, bytes) in valid::all() {
        for case in 0..1500 {
            let mut bytes = bytes.clone();
            for _ in 0..rng.random_range(1..4) {
                let place = rng.random_range(0..bytes.len());
                bytes[place] ^= 1 << rng.random_range(0..8);
            }
            reading.hold(reader, &bytes, &format!("{name}, flip {case}"));
        }
    }
}

#[test]
fn pieces_of_one_file_in_another_do_no_harm() {
    let reading = Reading::new();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let files = valid::all();
    for case in 0..3000 {
        let (name, reader, into) = &files[rng.random_range(0..files.len())];
        let (_, _, from) = &files[rng.random_range(0..files.len())];
        let mut range = |bytes: &[u8]| {
            let start = rng.random_range(0..bytes.len());
            start..(start + rng.random_range(0..80)).min(bytes.len())
        };
        let (piece, place) = (range(from), range(into));
        let header = 8 + header_len(into);
        let mut bytes = into.clone();
        // Half of the time within the header, with the length before it made right.
        if case % 2 == 0 && place.start >= 8 && place.end <= header {
            bytes.splice(place.clone(), from[piece.clone()].iter().copied());
            let len = (header - 8 + piece.len() - place.len()) as u64;
            bytes[..8].copy_from_slice(&len.to_le_bytes());
        } else {
            bytes.splice(place, from[piece].iter().copied());
        }
        reading.hold(*reader, &bytes, &format!("{name}, splice {case}"));
    }
}

#[test]
fn a_length_of_the_header_that_lies_is_refused() {
    let reading = Reading::new();
    for (name, reader, bytes) in valid::all() {
        let (len, file) = (header_len(&bytes) as u64, bytes.len() as u64);
        let lies = [0, 1, 7, len - 9, len + 1, file - 8, file - 7, file, 100_000_000, 1 << 31, 1 << 32, 1 << 63];
        for lie in lies.into_iter().chain([u64::MAX, u64::MAX - 7, u64::MAX - 8]) {
            let bytes = [&lie.to_le_bytes(), &bytes[8..]].concat();
            assert!(
                !reading.hold(reader, &bytes, &format!("{name}, length {lie}")),
                "{name}: length {lie} is believed"
            );
        }
    }
}

#[test]
fn nonsense_for_any_value_of_the_header_does_no_harm() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(5000), close.repeat(5000));
    let texts = [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "NaN".to_owned(),
        "-1".to_owned(),
        "1e999".to_owned(),
        "[-1]".to_owned(),
        "[0.5,1e308,-0.0]".to_owned(),
        "[\"a\",\"a\"]".to_owned(),
        "18446744073709551616".to_owned(),
        "\"\\ud800\"".to_owned(),
        "\u{0}\u{1f}\u{fffd}".repeat(2000),
        format!("[\"{}\"]", "\\u0000".repeat(2000)),
        deep("[", "]"),
        deep("{\"a\":", "}"),
    ];
    let most = u64::MAX;
    let values = [
        json!(null),
        json!([]),
        json!({}),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("F64"),
        json!("F4"),
        json!([0]),
        json!([0, 0]),
        json!([0, most]),
        json!([most, 0]),
        json!([most, most]),
        json!([1_u64 << 32, 1_u64 << 32]),
        json!([1_u64 << 62, 8]),
        json!([0, 1_u64 << 40]),
        json!(vec![1; 1000]),
        json!(vec![most; 1000]),
    ];
    let reading = Reading::new();
    for (name, reader, bytes) in valid::all() {
        let header = header(&bytes);
        for key in header["__metadata__"].as_object().unwrap().keys() {
            for text in &texts {
                reading.hold(reader, &with_text(&bytes, key, text), &format!("{name}: {key} = {text:.40}"));
            }
            let without =
                with_header(&bytes, |header| drop(header["__metadata__"].as_object_mut().unwrap().remove(key)));
            reading.hold(reader, &without, &format!("{name} without {key}"));
        }
        for tensor in header.keys().filter(|key| *key != "__metadata__") {
            for part in ["dtype", "shape", "data_offsets"] {
                for value in &values {
                    let bytes = with_header(&bytes, |header| header[tensor][part] = value.clone());
                    reading.hold(reader, &bytes, &format!("{name}: {part} of {tensor} = {value:.40}"));
                }
            }
            let without = with_header(&bytes, |header| drop(header.remove(tensor)));
            assert!(!reading.hold(reader, &without, name), "{name} is read without {tensor}");
        }
    }
}

#[test]
fn keys_that_stand_twice_do_no_harm() {
    let reading = Reading::new();
    for (name, reader, bytes) in valid::all() {
        for (key, value) in header(&bytes) {
            for twin in [value.to_string(), "{}".to_owned(), "0".to_owned()] {
                let header = Value::Object(header(&bytes)).to_string();
                let first = format!("{{\"{key}\":{twin},{}", &header[1..]);
                let last = format!("{},\"{key}\":{twin}}}", &header[..header.len() - 1]);
                for text in [first, last] {
                    reading.hold(reader, &with_header_text(&bytes, &text), &format!("{name}: {key} twice"));
                }
            }
        }
    }
}
