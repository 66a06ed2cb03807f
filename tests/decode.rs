//! Decoding, held to Pillow and to the arrays that the files were made from.
//!
//! The files are written by `scripts/golden_images.py`.
#![allow(clippy::expect_used, clippy::panic, clippy::float_cmp, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::path::{Path, PathBuf};

use headstock::image::{
    DecodeError, DecodeOptions, Format, Kind, SNIFF_BYTES, decode, has_image_extension, parse_background, sniff,
};
use image::RgbImage;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images")
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files directly in the folder, by name.
fn whole_files() -> Vec<(String, Vec<u8>)> {
    let entries =
        fs::read_dir(folder()).expect("the folder is there").map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    assert!(files.len() > 100, "only {} pictures were found", files.len());
    let named = |path: PathBuf| (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), read(&path));
    files.into_iter().map(named).collect()
}

fn whole_file(name: &str) -> Vec<u8> {
    read(&folder().join(name))
}

fn expected(name: &str) -> RgbImage {
    let path = folder().join("expected").join(format!("{name}.png"));
    image::load_from_memory(&read(&path)).expect("a plain PNG").into_rgb8()
}

fn decode_broken(name: &str) -> Result<RgbImage, DecodeError> {
    decode(&read(&folder().join("broken").join(name)), &DecodeOptions::default())
}

fn decoded(name: &str, bytes: &[u8]) -> RgbImage {
    decode(bytes, &DecodeOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// How far a picture may be from Pillow's, in grey levels: the largest difference, and the mean.
///
/// Everything is exact but JPEG, where libjpeg-turbo and zune-jpeg round the inverse DCT and the upsampling of chroma
/// differently.
fn bound(name: &str, bytes: &[u8]) -> (u8, f64) {
    match (sniff(bytes), name) {
        (_, "jpeg_in_tiff.tif") => (1, 0.01),
        (Kind::Supported(Format::Jpeg), "rgb_411.jpg" | "progressive_444.jpg" | "rgb_444.jpg" | "ycck.jpg") => {
            (2, 0.03)
        }
        (Kind::Supported(Format::Jpeg), "grey.jpg" | "grey_progressive.jpg" | "cmyk.jpg" | "cmyk_adobe.jpg") => {
            (1, 0.01)
        }
        (Kind::Supported(Format::Jpeg), "stored_as_rgb.jpg") => (1, 0.01),
        (Kind::Supported(Format::Jpeg), name) if name.starts_with("orientation") => (2, 0.02),
        (Kind::Supported(Format::Jpeg), "rgb_422.jpg" | "rgb_440.jpg") => (3, 0.2),
        (Kind::Supported(Format::Jpeg), _) => (3, 0.35), // 4:2:0
        _ => (0, 0.0),
    }
}

#[test]
fn every_way_of_storing_a_picture_decodes_to_what_a_person_would_see() {
    for (name, bytes) in whole_files() {
        let (picture, expected) = (decoded(&name, &bytes), expected(&name));
        assert_eq!(picture.dimensions(), expected.dimensions(), "{name}");
        let differences: Vec<u8> = picture.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).collect();
        let largest = differences.iter().copied().max().unwrap_or(0);
        let mean = differences.iter().map(|&levels| f64::from(levels)).sum::<f64>() / differences.len() as f64;
        let (largest_allowed, mean_allowed) = bound(&name, &bytes);
        assert!(largest <= largest_allowed, "{name}: up to {largest} levels from the reference");
        assert!(mean <= mean_allowed, "{name}: {mean:.4} levels from the reference on average");
    }
}

#[test]
fn all_orientations_show_the_same_upright_picture() {
    let upright = decoded("1", &whole_file("orientation_1.jpg"));
    for orientation in 2..=8 {
        let name = format!("orientation_{orientation}.jpg");
        let picture = decoded(&name, &whole_file(&name));
        assert_eq!(picture.dimensions(), upright.dimensions(), "{name}");
        // Each is a JPEG of its own, so the blocks lie differently.
        let mean = picture.iter().zip(upright.iter()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
        assert!(mean / (upright.len() as f64) < 3.0, "{name}");
    }
}

#[test]
fn harmless_oddities_change_nothing() {
    let plain = decoded("rgb_420.jpg", &whole_file("rgb_420.jpg"));
    for name in [
        "missing_eoi.jpg",
        "half_eoi.jpg",
        "junk_after_eoi.jpg",
        "two_pictures.jpg",
        "zero_padding_for_eoi.jpg",
        "odd_segments.jpg",
        "fill_bytes.jpg",
        "stray_bytes_between_segments.jpg",
        "damaged_exif.jpg",
        "restart.jpg",
        "optimised.jpg",
        "progressive.jpg",
    ] {
        assert!(decoded(name, &whole_file(name)) == plain, "{name}");
    }
}

#[test]
fn transparency_is_laid_over_the_background_asked_for() {
    let bytes = whole_file("rgba.png");
    let straight = image::load_from_memory(&bytes).expect("a good PNG").into_rgba8();
    for background in [[255; 3], [0; 3], [32, 64, 96]] {
        let options = DecodeOptions { background, ..DecodeOptions::default() };
        let picture = decode(&bytes, &options).expect("a good PNG");
        for (seen, source) in picture.pixels().zip(straight.pixels()) {
            let alpha = f64::from(source[3]) / 255.0;
            for channel in 0..3 {
                let mixed = f64::from(source[channel]) * alpha + f64::from(background[channel]) * (1.0 - alpha);
                assert_eq!(f64::from(seen[channel]), mixed.round(), "{source:?} over {background:?}");
            }
        }
    }
}

#[test]
fn cut_off_files_say_so_in_every_format() {
    for (name, format) in [
        ("truncated.jpg", Format::Jpeg),
        ("truncated_progressive.jpg", Format::Jpeg),
        ("only_headers.jpg", Format::Jpeg),
        ("truncated.png", Format::Png),
        ("half_header.png", Format::Png),
        ("truncated.webp", Format::WebP),
        ("truncated_lossless.webp", Format::WebP),
        ("truncated.gif", Format::Gif),
        ("truncated.bmp", Format::Bmp),
        ("truncated.tif", Format::Tiff),
        ("truncated_lzw.tif", Format::Tiff),
    ] {
        assert_eq!(decode_broken(name), Err(DecodeError::Truncated(format)), "{name}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_shows_the_whole_picture() {
    for (name, bytes) in whole_files() {
        let whole = decoded(&name, &bytes);
        let near_the_end = bytes.len().saturating_sub(24);
        for length in (0..bytes.len()).filter(|length| length % 37 == 0 || *length > near_the_end) {
            if let Ok(picture) = decode(&bytes[..length], &DecodeOptions::default()) {
                assert!(picture == whole, "{name}, cut to {length} of {} bytes, shows another picture", bytes.len());
            }
        }
    }
}

#[test]
fn damaged_files_are_malformed_and_name_their_format() {
    for (name, damaged) in
        [("early_eoi.jpg", Format::Jpeg), ("corrupt_deflate.png", Format::Png), ("wrong_checksum.png", Format::Png)]
    {
        let result = decode_broken(name);
        assert!(
            matches!(result, Err(DecodeError::Malformed { format, .. }) if format == damaged),
            "{name}: {result:?}"
        );
    }
}

#[test]
fn what_is_not_a_supported_picture_is_told_apart() {
    assert_eq!(decode_broken("empty.jpg"), Err(DecodeError::Empty));
    assert_eq!(decode_broken("text.jpg"), Err(DecodeError::NotAnImage("\"<!DOCTYPE ht\"".to_owned())));
    assert!(
        matches!(decode_broken("wrong_magic.jpg"), Err(DecodeError::NotAnImage(head)) if head.starts_with("00 00 ff"))
    );
    assert_eq!(decode_broken("unsupported.heic"), Err(DecodeError::Unsupported("HEIC".to_owned())));
    let arithmetic = DecodeError::Unsupported("JPEG with arithmetic coding".to_owned());
    assert_eq!(decode_broken("arithmetic.jpg"), Err(arithmetic));
}

#[test]
fn bombs_are_refused_by_their_claimed_size() {
    for (name, side) in [
        ("bomb.png", 60_000),
        ("bomb.gif", 65_535),
        ("bomb.webp", 16_383),
        ("bomb.jpg", 65_500),
        ("bomb.bmp", 60_000),
        ("bomb.tif", 60_000),
    ] {
        let too_large = DecodeError::TooLarge { width: side, height: side, limit: 178_956_970 };
        assert_eq!(decode_broken(name), Err(too_large), "{name}");
    }
}

#[test]
fn the_pixel_limit_holds_to_the_pixel() {
    for (name, bytes) in whole_files() {
        let pixels = decoded(&name, &bytes).pixels().len() as u64;
        let with_limit = |max_pixels| decode(&bytes, &DecodeOptions { max_pixels, ..DecodeOptions::default() });
        assert!(with_limit(pixels).is_ok(), "{name}");
        assert!(matches!(with_limit(pixels - 1), Err(DecodeError::TooLarge { .. })), "{name}");
    }
}

#[test]
fn every_reason_fits_on_one_line() {
    for entry in fs::read_dir(folder().join("broken")).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let reason = decode(&read(&path), &DecodeOptions::default()).expect_err("it is broken").to_string();
        assert!(!reason.is_empty() && !reason.contains('\n') && reason.len() < 160, "{}: {reason}", path.display());
    }
}

#[test]
fn no_mutation_of_a_file_crashes_a_decoder() {
    // Small enough that a mutated size costs no time. Seeded, so that a failure comes back.
    let options = DecodeOptions { max_pixels: 1 << 16, ..DecodeOptions::default() };
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for (name, bytes) in whole_files() {
        for round in 0..60 {
            let mut mutated = bytes.clone();
            for _ in 0..=random(4) {
                // Headers are where the surprises are.
                let reach = if random(2) == 0 { bytes.len() } else { bytes.len().min(700) };
                mutated[random(reach)] = random(256) as u8;
            }
            let result = decode(&mutated, &options);
            assert!(!matches!(result, Err(DecodeError::DecoderPanicked(_))), "{name}, round {round}: {result:?}");
        }
    }
}

#[test]
fn formats_are_told_by_their_first_bytes() {
    for (name, bytes) in whole_files() {
        let kind = sniff(&bytes[..bytes.len().min(SNIFF_BYTES)]);
        assert_eq!(kind, sniff(&bytes), "{name}");
        assert!(matches!(kind, Kind::Supported(_)), "{name}: {kind:?}");
    }
    let head = |name: &str| sniff(&whole_file(name));
    assert_eq!(head("png_named.jpg"), Kind::Supported(Format::Png));
    assert_eq!(head("no_extension"), Kind::Supported(Format::Jpeg));
    assert_eq!(head("big.tif"), Kind::Supported(Format::Tiff));

    let unsupported: [(&[u8], &str); 10] = [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"8BPS\0\x01", "PSD"),
        (b"P6\n3 2\n255\n", "Netpbm"),
        (b"<svg xmlns=", "SVG"),
        (b"\0\0\0\x20ftypisom", "video (MP4 family)"),
    ];
    for (bytes, name) in unsupported {
        assert_eq!(sniff(bytes), Kind::Unsupported(name));
    }
    for text in ["", "BM", "BMW is a maker of cars, and of motorcycles.", "P.S. I love you", "GIF89b", "hello"] {
        assert_eq!(sniff(text.as_bytes()), Kind::NotAnImage, "{text}");
    }
}

#[test]
fn extensions_count_in_any_case_whether_supported_or_not() {
    for name in ["a.jpg", "A.JPG", "b.JpEg", "c.tiff", "d.webp", "e.HEIC", "f.avif", "g.jxl", "h.psd", "dir.d/i.png"] {
        assert!(has_image_extension(Path::new(name)), "{name}");
    }
    for name in ["a.txt", "jpg", ".jpg", "a.jpg.part", "a.json", "b.mp4", "noextension"] {
        assert!(!has_image_extension(Path::new(name)), "{name}");
    }
}

#[test]
fn colours_are_read_in_every_documented_form() {
    for (text, color) in [
        ("white", [255, 255, 255]),
        (" Black ", [0, 0, 0]),
        ("grey", [128, 128, 128]),
        ("#FF8000", [255, 128, 0]),
        ("ff8000", [255, 128, 0]),
        ("255,128,0", [255, 128, 0]),
        (" 1 , 2 , 3 ", [1, 2, 3]),
    ] {
        assert_eq!(parse_background(text), Ok(color), "{text}");
    }
    for text in ["", "whitish", "#fff", "#ff80zz", "+f8000", "256,0,0", "1,2", "1,2,3,4", "-1,0,0", "éééfff"] {
        let error = parse_background(text).expect_err(text).to_string();
        assert!(error.contains("#rrggbb"), "{error}");
    }
}
