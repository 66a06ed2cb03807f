//! Graphs from strangers. What is decoded is bounded by the file's length before it is (`src/onnx/room.rs`), so memory is held to a few
//! times that, and to what a small graph may swell to.

use std::panic::catch_unwind;
use std::path::Path;

use headstock::onnx::recognise;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::MEMORY;
use crate::reading::turn;

/// As in `fuzz/fuzz_targets/read_onnx.rs`.
const SWELLS: usize = 16 << 20;

fn graphs() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut graphs: Vec<(String, Vec<u8>)> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    graphs.sort();
    assert!(graphs.len() > 5);
    graphs
}

/// A value or an error with text, no panic, no memory that the length does not bear out.
fn hold(bytes: &[u8], what: &str) {
    let owned = bytes.to_vec();
    let (outcome, taken) = MEMORY.during(|| catch_unwind(|| recognise(owned, None)));
    let outcome = outcome.unwrap_or_else(|_| panic!("{what}: a panic"));
    if let Err(error) = outcome {
        assert!(!error.to_string().is_empty(), "{what}");
    }
    let len = bytes.len();
    assert!(taken.peak <= 6 * len + SWELLS, "{what}: {taken:?} for a file of {len}");
}

#[test]
fn graphs_cut_anywhere_and_with_flipped_bits_do_no_harm() {
    let _turn = turn();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for (name, bytes) in graphs() {
        for _ in 0..60 {
            let len = rng.random_range(0..bytes.len());
            hold(&bytes[..len], &format!("{name} cut at {len}"));
        }
        for case in 0..200 {
            let mut bytes = bytes.clone();
            for _ in 0..rng.random_range(1..8) {
                let place = rng.random_range(0..bytes.len());
                bytes[place] = if case % 2 == 0 { bytes[place] ^ (1 << rng.random_range(0..8)) } else { rng.random() };
            }
            hold(&bytes, &format!("{name} changed, {case}"));
        }
    }
}

/// A field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut len = bytes.len();
    let mut field = vec![number << 3 | 2];
    while len >= 0x80 {
        field.push(len as u8 | 0x80);
        len >>= 7;
    }
    field.push(len as u8);
    [field, bytes.to_vec()].concat()
}

fn model(graph: &[u8]) -> Vec<u8> {
    [&[0x08, 0x08][..], &field(7, graph)].concat()
}

#[test]
fn what_swells_in_memory_is_refused_before_it_does() {
    let _turn = turn();
    let empty_node = field(1, b"");
    let empty_tensor = field(5, b"");
    let of_attributes = field(1, &field(5, b"").repeat(1_000_000));
    // Of two bytes and a hundred as a value.
    for (what, part) in [("nodes", empty_node.repeat(1_000_000)), ("tensors", empty_tensor.repeat(1_000_000))] {
        hold(&model(&part), what);
    }
    hold(&model(&of_attributes), "attributes");
    // Integers of one byte, packed and not.
    hold(&model(&field(5, &field(7, &vec![1; 2_000_000]))), "packed integers");
    hold(&model(&field(5, &[0x08, 0x01].repeat(1_000_000))), "a shape of a million axes");
}

#[test]
fn shapes_that_promise_more_than_there_is_are_refused() {
    let _turn = turn();
    // An image, and a node that reads a tensor of 2^62 numbers and no bytes.
    let shape = |dims: &[u64]| -> Vec<u8> {
        let dim = |&dim: &u64| field(1, &[&[0x08][..], &varint(dim)].concat());
        field(2, &dims.iter().flat_map(dim).collect::<Vec<u8>>())
    };
    let image_type = field(2, &field(1, &[vec![0x08, 1], shape(&[1, 3, 299, 299])].concat()));
    let image = field(11, &[field(1, b"x"), image_type].concat());
    let output = field(12, &field(1, b"y"));
    let node = field(1, &[field(1, b"x"), field(1, b"w"), field(2, b"y"), field(4, b"Conv")].concat());
    for dims in [&[1 << 31, 1 << 31][..], &[u64::MAX, 1], &[1 << 40], &[64, 3, 3, 3], &[0, u64::MAX >> 1, 7]] {
        let dims: Vec<u8> = dims.iter().flat_map(|&dim| [vec![0x08], varint(dim)].concat()).collect();
        let tensor = field(5, &[dims, vec![0x10, 1], field(8, b"w")].concat());
        let bytes = model(&[node.clone(), tensor, image.clone(), output.clone()].concat());
        hold(&bytes, "a shape");
        let error = recognise(bytes, None).unwrap_err().to_string();
        assert!(error.contains("tensor w") || error.contains("Conv"), "{error}");
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
