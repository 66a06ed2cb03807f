//! `mu_sigma.npz` from strangers: a zip, deflated or stored, of NumPy's arrays.

use std::io::{Cursor, Write};
use std::path::Path;

use faer::Mat;
use headstock::fid::{Origin, Statistics, StatisticsFile};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zip::CompressionMethod::{Deflated, Stored};
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::reading::{Reader, Reading};
use crate::valid::provenance;

/// A zip of these members.
fn zip(members: &[(&str, Vec<u8>)], method: zip::CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An array with this header.
fn npy(header: &str, numbers: &[f64]) -> Vec<u8> {
    let data = numbers.iter().flat_map(|number| number.to_le_bytes());
    let start = b"\x93NUMPY\x01\x00".iter().copied().chain((header.len() as u16).to_le_bytes());
    start.chain(header.bytes()).chain(data).collect()
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
}

fn mu(shape: &str, numbers: &[f64]) -> (&'static str, Vec<u8>) {
    ("mu.npy", npy(&header("<f8", shape), numbers))
}

fn sigma(shape: &str, numbers: &[f64]) -> (&'static str, Vec<u8>) {
    ("sigma.npy", npy(&header("<f8", shape), numbers))
}

/// Of two features.
fn good() -> [(&'static str, Vec<u8>); 2] {
    [mu("(2,)", &[1.0, 2.0]), sigma("(2, 2)", &[2.0, 1.0, 1.0, 2.0])]
}

/// As we write it.
fn ours(path: &Path) {
    let covariance = Mat::from_fn(4, 4, |i, j| if i == j { 2.0 } else { 0.5 });
    let statistics = Statistics { mean: vec![0.25; 4], covariance };
    StatisticsFile { statistics, origin: Some(Origin { rows: 7, provenance: provenance() }) }.write(path).unwrap();
}

/// Valid files: their names and bytes.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.npz");
    ours(&path);
    vec![
        ("ours", std::fs::read(&path).unwrap()),
        ("deflated", zip(&good(), Deflated)),
        ("stored", zip(&good(), Stored)),
    ]
}

#[test]
fn valid_files_are_read_and_what_is_cut_off_is_refused() {
    let reading = Reading::new();
    for (name, bytes) in all() {
        assert!(reading.hold(Reader::Statistics, &bytes, name), "{name} is refused");
        for len in 0..bytes.len() {
            assert!(!reading.hold(Reader::Statistics, &bytes[..len], name), "{name} cut at {len} is read");
        }
    }
}

#[test]
fn flipped_bits_and_moved_pieces_do_no_harm() {
    let reading = Reading::new();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (name, bytes) in all() {
        for case in 0..3000 {
            let mut bytes = bytes.clone();
            for _ in 0..rng.random_range(1..4) {
                let place = rng.random_range(0..bytes.len());
                match rng.random_range(0..3) {
                    0 => bytes[place] ^= 1 << rng.random_range(0..8),
                    1 => bytes[place] = 255,
                    _ => drop(bytes.splice(place..(place + 4).min(bytes.len()), [255; 4])),
                }
            }
            reading.hold(Reader::Statistics, &bytes, &format!("{name}, change {case}"));
        }
    }
}

#[test]
fn arrays_that_are_no_mean_and_covariance_are_refused_with_their_reason() {
    let reading = Reading::new();
    let [good_mu, good_sigma] = good();
    let wrong = |mu: &(&'static str, Vec<u8>), sigma: &(&'static str, Vec<u8>)| vec![mu.clone(), sigma.clone()];
    let of_type = |descr: &str| ("mu.npy", npy(&header(descr, "(2,)"), &[1.0, 2.0]));
    let cases = [
        (vec![good_mu.clone()], "it holds no `sigma`"),
        (vec![good_sigma.clone()], "it holds no `mu`"),
        (vec![("feats.npy", good_mu.1.clone())], "it holds no `mu`"),
        (wrong(&of_type("<i8"), &good_sigma), "of type \"<i8\", not float64"),
        (wrong(&of_type("|O"), &good_sigma), "of type \"|O\", not float64"),
        (wrong(&("mu.npy", b"no array".to_vec()), &good_sigma), "`mu` in it is no array"),
        (wrong(&mu("(2, 1)", &[1.0, 2.0]), &good_sigma), "`mu` in it has the shape [2, 1]"),
        (wrong(&mu("(0,)", &[]), &good_sigma), "`mu` in it has the shape [0]"),
        (wrong(&mu("(3,)", &[1.0, 2.0]), &good_sigma), "`mu` in it is cut off"),
        (wrong(&mu("(2,)", &[1.0, 2.0, 3.0]), &good_sigma), "`mu` in it is cut off, or has something behind"),
        (wrong(&good_mu, &sigma("(3, 3)", &[1.0; 9])), "`sigma` in it has the shape [3, 3]"),
        (wrong(&good_mu, &sigma("(4,)", &[1.0; 4])), "`sigma` in it has the shape [4]"),
        (wrong(&good_mu, &sigma("(2, 2)", &[1.0, 0.5, -0.5, 1.0])), "is no covariance"),
        (wrong(&good_mu, &sigma("(2, 2)", &[1.0, 0.0, 0.0, -1.0])), "is no covariance"),
        (wrong(&good_mu, &sigma("(2, 2)", &[f64::NAN, 0.0, 0.0, 1.0])), "not finite"),
        (wrong(&mu("(2,)", &[f64::INFINITY, 0.0]), &good_sigma), "not finite"),
    ];
    for (members, expected) in cases {
        for method in [Stored, Deflated] {
            let bytes = zip(&members, method);
            assert!(!reading.hold(Reader::Statistics, &bytes, expected), "{expected}");
            let said = reading.of(Reader::Statistics, &bytes).0.unwrap_err();
            assert!(said.contains(expected), "{said:?} does not say {expected:?}");
        }
    }
    let said = reading.of(Reader::Statistics, b"PK\x03\x04 and no more").0.unwrap_err();
    assert!(said.contains("it is no npz file"), "{said}");
}

/// Gigabytes by a few bytes: in the shape, in the length of the header, in the lengths that the zip has of its members.
#[test]
fn promises_of_more_than_the_file_holds_are_refused_before_there_is_room_for_them() {
    let reading = Reading::new();
    let [good_mu, good_sigma] = good();
    let wide = vec![0.0; 4096];
    for method in [Stored, Deflated] {
        for (mu, sigma) in [
            (mu("(4096,)", &wide), sigma("(4096, 4096)", &[1.0; 4])),
            (mu("(1000000,)", &wide), good_sigma.clone()),
            (mu("(18446744073709551615,)", &[1.0]), good_sigma.clone()),
            (mu("(4294967297,)", &[1.0]), good_sigma.clone()),
        ] {
            assert!(!reading.hold(Reader::Statistics, &zip(&[mu, sigma], method), "a shape"));
        }
        for len in [u32::MAX, 1 << 31, 1 << 20] {
            let long = [b"\x93NUMPY\x02\x00".as_slice(), &len.to_le_bytes(), b"{'descr'"].concat();
            let bytes = zip(&[("mu.npy", long), good_sigma.clone()], method);
            assert!(!reading.hold(Reader::Statistics, &bytes, "a header's length"));
        }
        // In the directory at the end: the lengths, compressed and not, from the 20th byte of each entry on.
        let bytes = zip(&[good_mu.clone(), good_sigma.clone()], method);
        let entries: Vec<usize> = (0..bytes.len() - 4).filter(|&at| bytes[at..at + 4] == *b"PK\x01\x02").collect();
        assert_eq!(entries.len(), 2);
        for entry in entries {
            for (both, len) in [(true, u32::MAX - 1), (false, u32::MAX - 1), (true, 1 << 27), (false, 1 << 27)] {
                let mut bytes = bytes.clone();
                if both {
                    bytes[entry + 20..entry + 24].copy_from_slice(&len.to_le_bytes());
                }
                bytes[entry + 24..entry + 28].copy_from_slice(&len.to_le_bytes());
                assert!(!reading.hold(Reader::Statistics, &bytes, "a member's length"));
            }
        }
    }
    let origin = format!("{{\"rows\":1,\"weights\":\"{}\"}}", "0".repeat(1 << 20));
    let bytes = zip(&[good_mu, good_sigma, ("headstock.json", origin.into_bytes())], Deflated);
    assert!(!reading.hold(Reader::Statistics, &bytes, "a long origin"));
}

/// `cargo test --release --test strangers_files -- --ignored`, before the fuzzer is first run.
#[test]
#[ignore = "writes the fuzzer's seeds"]
fn write_seeds_of_statistics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(Reader::Statistics.fuzz_target());
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in all() {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}
