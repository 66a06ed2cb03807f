//! What several tests need: golden files, and weights that Keras and torchvision were given as well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]
#![allow(dead_code, reason = "each test file is a crate of its own and uses a part")]

pub mod browser;
#[cfg(feature = "cuda")]
pub mod card;
pub mod heads;
pub mod judged_heads;
pub mod lessons;
pub mod onnx_goldens;
pub mod operation_goldens;
pub mod sketch;

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use headstock::engine::network_input;
use headstock::image::{Normalise, Pixels, Values};
use headstock::inception::{Network, Variant};
use headstock::weights::expected_tensors;

/// A file under `tests/`.
pub fn under_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// The tensors of a golden file, by name.
pub fn golden(name: &str) -> std::collections::HashMap<String, Tensor> {
    candle_core::safetensors::load(under_tests("golden").join(name), &Device::Cpu).unwrap()
}

/// The three golden pictures of 299x299 as the network's input.
pub fn golden_pixels(normalise: &Normalise) -> Tensor {
    let pixels: Vec<Pixels> = (0..3)
        .map(|i| {
            let picture = image::open(under_tests(&format!("golden/pixels_{i}.png"))).unwrap().to_rgb8();
            Pixels { side: 299, values: Values::U8(picture.into_raw()) }
        })
        .collect();
    network_input(&pixels, normalise, &Device::Cpu).unwrap()
}

/// |a - b| / |b| over all numbers.
pub fn relative_l2(a: &Tensor, b: &Tensor) -> f64 {
    let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (a, b) = (numbers(a), numbers(b));
    assert_eq!(a.len(), b.len());
    let square = |x: f64| x * x;
    let difference: f64 = a.iter().zip(&b).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    let norm: f64 = b.iter().map(|&b| square(f64::from(b))).sum();
    (difference / norm).sqrt()
}

/// The cosine of the angle between two vectors.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The metadata of a golden file.
pub fn golden_metadata(name: &str) -> std::collections::HashMap<String, String> {
    let bytes = std::fs::read(under_tests("golden").join(name)).unwrap();
    safetensors::SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap()
}

/// The seed that belongs to a name, as `scripts/golden_network.py` defines it.
pub fn seed_of(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Output `index` of the generator of that script.
pub fn splitmix(seed: u64, index: usize) -> u64 {
    let mut z = seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Its first numbers in [0, 1), exact, by the name that the seed belongs to.
pub fn units(name: &str) -> impl Iterator<Item = f32> + use<> {
    let seed = seed_of(name);
    (0..).map(move |index| (splitmix(seed, index) >> 40) as f32 / (1 << 24) as f32)
}

/// A number of the seeded weights: element `index` of the tensor `name`, as `scripts/golden_network.py` defines it.
pub fn seeded_number(name: &str, shape: &[usize], index: usize) -> f32 {
    seeded_by(name, shape, units(name).nth(index).unwrap())
}

/// The number of the seeded weights that a number in [0, 1) makes.
fn seeded_by(name: &str, shape: &[usize], u: f32) -> f32 {
    match name.rsplit_once('.').unwrap() {
        (conv, "weight") if conv.ends_with("conv") => {
            let fan_in: usize = shape[1..].iter().product();
            (u * 2.0 - 1.0) * (6.0 / fan_in as f64).sqrt() as f32
        }
        (_, "weight" | "running_var") => 0.5 + u,
        _ => (u - 0.5) * 0.5,
    }
}

/// The bytes of a safetensors file with seeded weights for a variant.
pub fn seeded_weights(variant: Variant) -> Vec<u8> {
    let tensors: Vec<(String, Tensor)> = expected_tensors(&Network::new(variant))
        .map(|(name, shape)| {
            let units = units(&name).take(shape.iter().product());
            let numbers: Vec<f32> = units.map(|u| seeded_by(&name, &shape, u)).collect();
            let tensor = Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap();
            (name, tensor)
        })
        .collect();
    let metadata = [("variant".to_owned(), variant.to_string())].into();
    safetensors::serialize(tensors.iter().map(|(name, tensor)| (name, tensor)), Some(metadata)).unwrap()
}

/// The program, ready for arguments.
pub fn headstock() -> assert_cmd::Command {
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_headstock"))
}

/// A temporary folder with these copies of the golden photo in it; a name that ends in `/` makes an empty folder.
pub fn folder_of_photos(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, name) in names.iter().enumerate() {
        let path = folder.path().join(name);
        if name.ends_with('/') {
            std::fs::create_dir_all(path).unwrap();
        } else {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            different_photo(index).save_with_format(path, image::ImageFormat::Png).unwrap();
        }
    }
    folder
}

/// The golden photo, small, in a light of its own.
fn different_photo(index: usize) -> image::RgbImage {
    let photo = image::open(under_tests("golden/photo.png")).unwrap().to_rgb8();
    let mut small = image::imageops::thumbnail(&photo, 60, 40);
    small.pixels_mut().for_each(|pixel| pixel.0[index % 3] = pixel.0[index % 3].wrapping_add(7 * index as u8));
    small
}

/// A file of embeddings as another program would read it, by the safetensors library alone.
pub struct Written {
    pub paths: Vec<String>,
    pub classes: Vec<String>,
    pub labels: Option<Vec<i64>>,
    pub rows: Vec<Vec<f32>>,
    pub metadata: std::collections::HashMap<String, String>,
}

/// Reads a file of embeddings.
pub fn written(path: &Path) -> Written {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    Written {
        paths: serde_json::from_str(&metadata["paths"]).unwrap(),
        classes: serde_json::from_str(&metadata["classes"]).unwrap(),
        labels: tensors.get("labels").map(|labels| labels.to_vec1().unwrap()),
        rows: tensors["embeddings"].to_vec2().unwrap(),
        metadata,
    }
}
