//! The resize and the presets, held to Pillow and to the libraries they are named after.
//!
//! The goldens are written by `scripts/golden_preprocess.py`.
#![allow(clippy::expect_used, clippy::panic, clippy::float_cmp, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use headstock::image::preprocess::{Filter, Fit};
use headstock::image::resize::{Kernel, resize};
use headstock::image::{DecodeOptions, Pixels, Preprocess, Preset, Resize, Values, decode};
use image::RgbImage;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/preprocess")
}

fn picture(path: &Path) -> RgbImage {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    decode(&bytes, &DecodeOptions::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn source(name: &str) -> RgbImage {
    picture(&folder().join(format!("sources/{name}.png")))
}

#[derive(serde::Deserialize)]
struct Goldens {
    stride: usize,
    presets: BTreeMap<Preset, BTreeMap<String, Golden>>,
}

/// What a library makes of a picture.
#[derive(serde::Deserialize)]
struct Golden {
    /// Of the bytes before normalisation, where there are such.
    hash: Option<String>,
    /// Of the network input.
    samples: Vec<f32>,
}

fn goldens() -> Goldens {
    let json = fs::read_to_string(folder().join("presets.json")).expect("presets.json is there");
    serde_json::from_str(&json).expect("presets.json is as the script writes it")
}

fn fnv1a(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

fn network_input(preprocess: &Preprocess, pixels: &Pixels) -> Vec<f32> {
    let values: Vec<f32> = match &pixels.values {
        Values::U8(bytes) => bytes.iter().map(|&byte| f32::from(byte)).collect(),
        Values::F32(floats) => floats.clone(),
    };
    let input = |(index, value)| preprocess.normalise.input(value, index % 3);
    values.into_iter().enumerate().map(input).collect()
}

#[test]
fn every_resize_is_pillows_byte_for_byte() {
    let mut compared = 0;
    for entry in fs::read_dir(folder().join("resize")).expect("the goldens are there") {
        let path = entry.expect("the folder can be listed").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("names are text");
        let [filter, _, source_name] = name.rsplitn(3, '_').collect::<Vec<_>>()[..] else { panic!("{name}") };
        let kernel = if filter == "bilinear" { Kernel::Bilinear } else { Kernel::Bicubic };
        let expected = picture(&path);
        let resized = resize(&source(source_name), expected.width(), expected.height(), kernel);
        assert!(resized == expected, "{name} differs from Pillow");
        compared += 1;
    }
    assert!(compared >= 30, "only {compared} goldens were found");
}

#[test]
fn presets_that_round_to_bytes_give_the_bytes_of_their_library() {
    for (preset, pictures) in goldens().presets {
        for (name, golden) in pictures {
            let pixels = preset.preprocess().apply(&source(&name));
            match (pixels.values, golden.hash) {
                (Values::U8(bytes), Some(hash)) => assert_eq!(fnv1a(&bytes), hash, "{preset} of {name}"),
                (Values::F32(_), None) => {}
                _ => panic!("{preset} should give bytes where its library does, and floats where not"),
            }
        }
    }
}

#[test]
fn network_inputs_are_those_of_the_library() {
    let goldens = goldens();
    for (preset, pictures) in goldens.presets {
        // In network units, where a grey level is 1/127.5. tf, timm, torch-fidelity, clean-fid: to the last bit.
        // torchvision takes a detour over the mean and deviation of ImageNet, keras and fid add four products in another
        // order.
        let bound = match preset {
            Preset::Tf | Preset::Timm | Preset::TorchFidelity | Preset::CleanFid => 0.0,
            Preset::Torchvision | Preset::Keras | Preset::Fid | Preset::Imagenet | Preset::TimmImagenet => 1e-6,
        };
        for (name, golden) in pictures {
            let preprocess = preset.preprocess();
            let input = network_input(&preprocess, &preprocess.apply(&source(&name)));
            for (i, expected) in golden.samples.iter().enumerate() {
                let value = input[i * goldens.stride % input.len()];
                assert!((value - expected).abs() <= bound, "{preset} of {name}, sample {i}: {value}, not {expected}");
            }
        }
    }
}

#[test]
fn the_goldens_cover_every_preset() {
    assert!(goldens().presets.keys().eq(Preset::ALL.iter()));
}

#[test]
fn a_picture_of_one_pixel_fills_the_square_with_its_colour() {
    let pixel = RgbImage::from_pixel(1, 1, image::Rgb([10, 200, 30]));
    for preset in Preset::ALL {
        let pixels = preset.preprocess().apply(&pixel);
        let expected: Vec<u8> = [10, 200, 30].repeat(299 * 299);
        match pixels.values {
            Values::U8(bytes) => assert!(bytes == expected, "{preset}"),
            Values::F32(floats) => assert!(floats.iter().zip(expected).all(|(a, b)| *a == f32::from(b)), "{preset}"),
        }
    }
}

#[test]
fn extreme_shapes_become_squares_without_the_long_picture_between() {
    // Shorter side to 342 would make this 342 x 102,600,000.
    for (width, height) in [(1, 300_000), (300_000, 1)] {
        let sliver = RgbImage::from_fn(width, height, |x, y| image::Rgb([((x + y) % 256) as u8; 3]));
        for preset in Preset::ALL {
            let pixels = preset.preprocess().apply(&sliver);
            let length = match pixels.values {
                Values::U8(bytes) => bytes.len(),
                Values::F32(floats) => floats.len(),
            };
            assert_eq!((pixels.side, length), (299, 299 * 299 * 3), "{preset} of {width} x {height}");
        }
    }
}

#[test]
fn the_side_can_be_another_than_299() {
    let mut preprocess = Preset::Torchvision.preprocess();
    preprocess.resize = Resize { side: 64, fit: Fit::Crop { shorter: 73 }, filter: Filter::PillowBilinear };
    let pixels = preprocess.apply(&source("landscape"));
    assert_eq!(pixels.side, 64);
    assert!(matches!(pixels.values, Values::U8(bytes) if bytes.len() == 64 * 64 * 3));
}

#[test]
fn the_byte_table_holds_the_network_inputs_of_all_bytes() {
    let normalise = Preset::Tf.preprocess().normalise;
    let table = normalise.table();
    for value in 0..=255_u8 {
        assert_eq!(table[2][usize::from(value)], (f32::from(value) - 128.0) / 128.0);
    }
    let (scale, offset) = (normalise.scale(), normalise.offset());
    assert_eq!(200.0 * scale[0] + offset[0], table[0][200]);
}

#[test]
fn preset_names_are_read_and_written_in_lower_case() {
    for preset in Preset::ALL {
        assert_eq!(preset.to_string().parse(), Ok(preset));
        assert_eq!(serde_json::to_string(&preset).ok(), Some(format!("\"{preset}\"")));
    }
    let error = "resnet".parse::<Preset>().expect_err("no such preset").to_string();
    assert!(error.contains("resnet") && error.contains("torchvision"), "{error}");
}

#[test]
fn a_recipe_survives_json_and_its_json_is_pinned() {
    for preset in Preset::ALL {
        let preprocess = preset.preprocess();
        let json = serde_json::to_string(&preprocess).expect("it serialises");
        assert_eq!(serde_json::from_str::<Preprocess>(&json).ok(), Some(preprocess));
    }
    // Heads store this text and are refused where it differs, so it may not change by accident.
    let json = serde_json::to_string(&Preset::Torchvision.preprocess()).ok();
    let pinned = concat!(
        r#"{"preset":"torchvision","resize":{"side":299,"fit":{"crop":{"shorter":342}},"filter":"pillow-bilinear"},"#,
        r#""normalise":{"divide":[127.5,127.5,127.5],"subtract":[1.0,1.0,1.0]}}"#
    );
    assert_eq!(json.as_deref(), Some(pinned));
}

#[test]
fn the_range_of_imagenet_is_what_torchvisions_normalise_makes_of_the_same_pixels() {
    let preprocess = Preset::Imagenet.preprocess();
    assert_eq!(preprocess.resize, Preset::Torchvision.preprocess().resize);
    let (mean, deviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for channel in 0..3 {
        for value in 0..=255 {
            let expected = (f64::from(value) / 255.0 - mean[channel]) / deviation[channel];
            let found = f64::from(preprocess.normalise.input(value as f32, channel));
            assert!((found - expected).abs() < 1e-6, "{value} of channel {channel}: {found}, not {expected}");
        }
    }
}

#[test]
fn a_recipe_for_224_pixels_cuts_them_out_of_256() {
    for preset in [Preset::Torchvision, Preset::Timm, Preset::Imagenet] {
        let resize = preset.preprocess().with_side(224).resize;
        assert_eq!(resize, Resize { side: 224, fit: Fit::Crop { shorter: 256 }, filter: resize.filter });
    }
    for preset in Preset::ALL {
        assert_eq!(preset.preprocess().with_side(299), preset.preprocess());
        assert_eq!(preset.preprocess().with_side(64).apply(&RgbImage::new(100, 70)).side, 64);
    }
}
