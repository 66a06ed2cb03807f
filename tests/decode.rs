//! Every way of storing a picture, and every way of being broken, against what a person would see.
//!
//! Files and expectations by `scripts/golden_images.py` (Pillow, tifffile, imagecodecs).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::fs;
use std::path::PathBuf;

use headstock::image::{
    DecodeError, DecodeOptions, Format, Kind, decode, has_image_extension, parse_background, sniff,
};
use image::RgbImage;
use support::under_tests;

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(under_tests(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn name(path: &std::path::Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(under_tests("images").join(name)).unwrap()
}

fn seen(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    decode(bytes, &DecodeOptions::default())
}

/// The largest and the mean difference of two pictures of one size, in levels of 255.
fn difference(a: &RgbImage, b: &RgbImage) -> (u8, f64) {
    assert_eq!(a.dimensions(), b.dimensions());
    let differences: Vec<u8> = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).collect();
    let sum: u64 = differences.iter().map(|&d| u64::from(d)).sum();
    (differences.iter().copied().max().unwrap(), sum as f64 / differences.len() as f64)
}

/// Whether decoders may round differently: those that compute with cosines.
fn is_lossy(name: &str, bytes: &[u8]) -> bool {
    match sniff(bytes) {
        Kind::Supported(Format::Jpeg) => true,
        Kind::Supported(Format::WebP) => !name.contains("lossless") && name != "alpha.webp" && name != "webp_named.png",
        _ => name.starts_with("jpeg_in_tiff"),
    }
}

#[test]
fn every_odd_image_is_what_a_person_would_see() {
    let odd = files("images");
    assert!(odd.len() >= 95);
    let mut wrong = Vec::new();
    for path in odd {
        let (name, bytes) = (name(&path), fs::read(&path).unwrap());
        let expected = image::open(under_tests("images/expected").join(format!("{name}.png"))).unwrap().to_rgb8();
        let picture = match seen(&bytes) {
            Ok(picture) => picture,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let (largest, mean) = difference(&picture, &expected);
        println!("{name:40} {largest:3} {mean:.3}");
        let allowed = if is_lossy(name, &bytes) { (3, 0.5) } else { (0, 0.0) };
        if largest > allowed.0 || mean > allowed.1 {
            wrong.push(format!("{name}: largest difference {largest}, mean {mean:.3}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_broken_file_is_an_error_of_its_kind() {
    let mut wrong = Vec::new();
    for path in files("images/broken") {
        let (name, result) = (name(&path), seen(&fs::read(&path).unwrap()));
        println!("{name:30} {result:?}", result = result.as_ref().map(|_| "a picture"));
        let stem = name.split(['.', '_']).next().unwrap();
        let as_expected = match (stem, &result) {
            ("bomb", Err(DecodeError::TooLarge { .. }))
            | ("empty", Err(DecodeError::Empty))
            | ("text" | "wrong", Err(DecodeError::NotAnImage(_)))
            | ("arithmetic" | "unsupported", Err(DecodeError::Unsupported(_)))
            | ("truncated" | "half" | "only", Err(DecodeError::Truncated(_))) => true,
            (_, Err(DecodeError::Malformed { .. })) => matches!(stem, "corrupt" | "wrong" | "early"),
            _ => false,
        };
        if !as_expected {
            wrong.push(format!("{name}: {:?}", result.map(|_| "a picture")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_limit_of_pixels_is_held_before_anything_is_decoded() {
    for path in files("images") {
        let bytes = fs::read(&path).unwrap();
        let options = DecodeOptions { max_pixels: 0, ..DecodeOptions::default() };
        assert!(matches!(decode(&bytes, &options), Err(DecodeError::TooLarge { limit: 0, .. })), "{}", path.display());
    }
}

#[test]
fn the_name_of_a_file_is_never_believed() {
    assert_eq!(sniff(&bytes("png_named.jpg")), Kind::Supported(Format::Png));
    assert_eq!(sniff(&bytes("gif_named.png")), Kind::Supported(Format::Gif));
    assert_eq!(sniff(&bytes("webp_named.png")), Kind::Supported(Format::WebP));
    assert_eq!(sniff(&bytes("no_extension")), Kind::Supported(Format::Jpeg));
    assert_eq!(sniff(b"BM is how this text begins"), Kind::NotAnImage);
    assert!(matches!(sniff(&bytes("broken/unsupported.heic")), Kind::Unsupported(_)));
    for (path, is_image) in [("a.JPG", true), ("a.Tiff", true), ("a.heic", true), ("a.txt", false), ("jpg", false)] {
        assert_eq!(has_image_extension(path.as_ref()), is_image, "{path}");
    }
}

#[test]
fn transparency_shows_the_background_that_was_asked_for() {
    let rgba = bytes("rgba.png");
    let straight = image::load_from_memory(&rgba).unwrap().to_rgba8();
    let background = parse_background("#204060").unwrap();
    let picture = decode(&rgba, &DecodeOptions { background, ..DecodeOptions::default() }).unwrap();
    for (seen, source) in picture.pixels().zip(straight.pixels()) {
        for channel in 0..3 {
            let alpha = f64::from(source[3]) / 255.0;
            let expected = f64::from(source[channel]) * alpha + f64::from(background[channel]) * (1.0 - alpha);
            assert!((f64::from(seen[channel]) - expected).abs() <= 0.51, "{seen:?} {source:?}");
        }
    }
}

#[test]
fn no_damage_makes_a_decoder_end_the_program() {
    // xorshift64 (Marsaglia, 2003), from a fixed seed.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let options = DecodeOptions { max_pixels: 1 << 20, ..DecodeOptions::default() };
    for path in files("images") {
        let whole = fs::read(&path).unwrap();
        for _ in 0..40 {
            let mut damaged = whole.clone();
            for _ in 0..=random(8) {
                let at = random(damaged.len());
                damaged[at] = random(256) as u8;
            }
            damaged.truncate(1 + random(2 * whole.len()));
            // A picture or an error: both are fine, as long as the program goes on.
            let _ = decode(&damaged, &options);
        }
    }
}
