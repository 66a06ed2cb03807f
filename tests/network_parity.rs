//! Every engine against the libraries whose networks it runs. Goldens by `scripts/golden_network.py`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use candle_core::{Device, Tensor};
use headstock::engine::cpu::kernels::Instructions;
use headstock::engine::{Cpu, Engine, Reference, global_average};
use headstock::image::{DecodeOptions, Preset, decode};
use headstock::inception::{Network, Variant};
use headstock::weights::Weights;
use serde_json::Value;
use support::{cosine, golden, golden_pixels, relative_l2, seeded_number, seeded_weights, under_tests};

/// What the issue asks for is 2e-5; float32 rounding alone is near 1e-6.
const FEATURES_BOUND: f64 = 5e-6;

/// The reference, and the planned engine on every set of instructions that this processor has.
fn engines(weights: &Weights, until: Option<&str>) -> Vec<(String, Box<dyn Engine>)> {
    let whole = Network::new(weights.variant());
    let network = until.map_or(whole.clone(), |name| whole.until(name).unwrap());
    let reference = Reference::new(network.clone(), weights, &Device::Cpu).unwrap();
    let mut engines: Vec<(String, Box<dyn Engine>)> = vec![("reference".to_owned(), Box::new(reference))];
    for set in Instructions::ALL.into_iter().filter(|set| set.kernels().is_some()) {
        engines.push((format!("{set}"), Box::new(Cpu::with(network.clone(), weights, set).unwrap())));
    }
    engines
}

fn assert_features_equal_golden(weights: &Weights, preset: Preset, golden_file: &str) {
    let golden = golden(golden_file);
    let input = golden_pixels(&preset.preprocess().normalise);
    for (name, engine) in engines(weights, None) {
        let features = engine.run(&input).unwrap();
        assert_eq!(features.dims(), [3, 2048]);
        for image in 0..3 {
            let expected = golden["features_f64"].get(image).unwrap();
            let error = relative_l2(&features.get(image).unwrap(), &expected);
            println!("{golden_file}, {name}, image {image}: {error:.1e}");
            assert!(error <= FEATURES_BOUND, "{golden_file}, {name}, image {image}: relative L2 {error:e}");
        }
    }
}

#[test]
fn tf2015_gives_the_features_of_the_original_torchscript() {
    assert_features_equal_golden(&Weights::embedded().unwrap(), Preset::Tf, "tf2015.safetensors");
}

#[test]
fn keras_variant_gives_the_features_of_keras() {
    let weights = Weights::from_bytes(&seeded_weights(Variant::Keras), None).unwrap();
    assert_features_equal_golden(&weights, Preset::Keras, "keras.safetensors");
}

#[test]
fn torchvision_variant_gives_the_features_of_torchvision() {
    let weights = Weights::from_bytes(&seeded_weights(Variant::Torchvision), None).unwrap();
    assert_features_equal_golden(&weights, Preset::Torchvision, "torchvision.safetensors");
}

#[test]
fn every_block_gives_the_channel_means_of_the_original() {
    let golden = golden("tf2015.safetensors");
    let weights = Weights::embedded().unwrap();
    let input = golden_pixels(&Preset::Tf.preprocess().normalise).narrow(0, 0, 1).unwrap();
    let blocks: Vec<&String> = golden.keys().filter(|name| name.starts_with("mean.")).collect();
    assert_eq!(blocks.len(), 12);
    for name in blocks {
        for (engine_name, engine) in engines(&weights, name.strip_prefix("mean.")) {
            let means = global_average(&engine.run(&input).unwrap()).unwrap();
            let error = relative_l2(&means, &golden[name].narrow(0, 0, 1).unwrap());
            assert!(error <= FEATURES_BOUND, "{name}, {engine_name}: relative L2 {error:e}");
        }
    }
}

fn features_of_file(name: &str) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(under_tests("golden").join(name)).unwrap();
    let preprocess = Preset::Tf.preprocess();
    let pixels = preprocess.apply(&decode(&bytes, &DecodeOptions::default()).unwrap());
    let input = headstock::engine::network_input(&[pixels], &preprocess.normalise, &Device::Cpu).unwrap();
    let engines = engines(&Weights::embedded().unwrap(), None).into_iter();
    engines.map(|(_, engine)| engine.run(&input).unwrap().get(0).unwrap().to_vec1().unwrap()).collect()
}

#[test]
fn a_png_file_gives_the_features_that_pillow_and_the_original_give() {
    let expected: Vec<f32> = golden("tf2015.safetensors")["from_png"].to_vec1().unwrap();
    for features in features_of_file("photo.png") {
        let cosine = cosine(&features, &expected);
        assert!(cosine >= 0.999_999, "cosine {cosine}");
    }
}

#[test]
fn a_jpeg_file_gives_the_features_that_pillow_and_the_original_give() {
    let expected: Vec<f32> = golden("tf2015.safetensors")["from_jpeg"].to_vec1().unwrap();
    for features in features_of_file("photo.jpg") {
        let cosine = cosine(&features, &expected);
        assert!(cosine >= 0.9995, "cosine {cosine}");
    }
}

#[test]
fn an_image_gives_the_same_bits_in_any_batch_and_on_any_number_of_threads() {
    let input = golden_pixels(&Preset::Tf.preprocess().normalise);
    let bits = |tensor: Tensor| -> Vec<u32> {
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
    };
    for (name, engine) in engines(&Weights::embedded().unwrap(), None) {
        let on_threads = |threads: usize, input: &Tensor| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            bits(pool.install(|| engine.run(input)).unwrap())
        };
        let together = on_threads(1, &input);
        for threads in [2, 3, 5, 7] {
            assert_eq!(on_threads(threads, &input), together, "{name}, {threads} threads");
        }
        let alone: Vec<u32> = (0..3).flat_map(|image| on_threads(3, &input.narrow(0, image, 1).unwrap())).collect();
        assert_eq!(alone, together, "{name}, one by one");
    }
}

#[test]
fn folding_batch_norm_changes_nothing_but_rounding() {
    let weights = Weights::from_bytes(&seeded_weights(Variant::Torchvision), None).unwrap();
    let unfolded = weights.convolution("Conv2d_1a_3x3").unwrap();
    let [kernel, bias] = unfolded.folded().unwrap().tensors(&[32, 3, 3, 3], &Device::Cpu).unwrap();
    let input = golden_pixels(&Preset::Torchvision.preprocess().normalise);
    let channels = |tensor: &Tensor| tensor.reshape((1, (), 1, 1)).unwrap();
    let convolved = input.conv2d(&unfolded.kernel, 0, 2, 1, 1).unwrap();
    let deviation = (channels(&unfolded.variance) + 1e-3).unwrap().sqrt().unwrap();
    let normalised = convolved.broadcast_sub(&channels(&unfolded.mean)).unwrap().broadcast_div(&deviation).unwrap();
    let gamma = channels(unfolded.gamma.as_ref().unwrap());
    let expected = normalised.broadcast_mul(&gamma).unwrap().broadcast_add(&channels(&unfolded.beta)).unwrap();
    let result = input.conv2d(&kernel, 0, 2, 1, 1).unwrap().broadcast_add(&bias).unwrap();
    let error = relative_l2(&result, &expected);
    assert!(error < 1e-6, "relative L2 {error:e}");
}

#[test]
fn seeded_weights_are_those_that_the_golden_script_gave_to_the_libraries() {
    let samples: Vec<Value> =
        serde_json::from_slice(&std::fs::read(under_tests("golden/seeded_weights.json")).unwrap()).unwrap();
    assert_eq!(samples.len(), 32);
    for sample in samples {
        let shape: Vec<usize> = serde_json::from_value(sample["shape"].clone()).unwrap();
        let index = sample["index"].as_u64().unwrap() as usize;
        let number = seeded_number(sample["name"].as_str().unwrap(), &shape, index);
        // The decimals are those of a float64 that a float32 was widened to; a parser may miss its last bit.
        assert_eq!(number, sample["value"].as_f64().unwrap() as f32, "{sample}");
    }
}

#[test]
fn images_of_any_size_and_networks_cut_anywhere_give_what_the_reference_gives() {
    let weights = Weights::from_bytes(&seeded_weights(Variant::Torchvision), None).unwrap();
    let whole = Network::new(Variant::Torchvision);
    for (size, until) in [
        ([75, 75], "features"),
        ([96, 131], "features"),
        ([180, 75], "Mixed_7b.branch3x3"),
        ([107, 99], "Mixed_5b.pool"),
        ([99, 107], "Mixed_6c.branch7x7_2"),
        ([75, 80], "Conv2d_1a_3x3"),
        ([75, 80], "maxpool1"),
        ([75, 80], "input"),
    ] {
        let input = Tensor::rand(-1_f32, 1.0, (3, 3, size[0], size[1]), &Device::Cpu).unwrap();
        let engines = engines(&weights, Some(until));
        assert!(whole.until(until).is_some());
        let expected = engines[0].1.run(&input).unwrap();
        for (name, engine) in &engines[1..] {
            let result = engine.run(&input).unwrap();
            assert_eq!(result.dims(), expected.dims(), "{until}, {name}");
            let error = relative_l2(&result, &expected);
            assert!(error < 1e-5, "{until} of {size:?}, {name}: relative L2 {error:e}");
        }
    }
}

#[test]
fn an_image_that_is_too_small_is_an_error_that_says_so() {
    for (name, engine) in engines(&Weights::embedded().unwrap(), None).into_iter().skip(1) {
        let input = Tensor::zeros((1, 3, 74, 80), candle_core::DType::F32, &Device::Cpu).unwrap();
        let error = engine.run(&input).unwrap_err().to_string();
        assert!(error.contains("74x80 pixels is too small"), "{name}: {error}");
    }
}

/// There were more blocks than pixels once, and a block without pixels ended the run.
#[test]
fn one_image_keeps_its_bits_however_many_more_threads_than_pixels_there_are() {
    let weights = Weights::embedded().unwrap();
    let engine = Cpu::new(Network::new(weights.variant()), &weights).unwrap();
    for side in [75, 299] {
        let numbers: Vec<f32> = (0..3 * side * side).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
        let image = Tensor::from_vec(numbers, (1, 3, side, side), &Device::Cpu).unwrap();
        let on_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let features = pool.install(|| engine.run(&image).unwrap());
            features.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let one = on_threads(1);
        for threads in [2, 16, 64] {
            assert!(on_threads(threads) == one, "{side}, {threads} threads");
        }
    }
}
