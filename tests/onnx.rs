//! Graphs that exporters wrote: recognised, and held to what ONNX Runtime computes by them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::path::Path;

use candle_core::{Device, Tensor};
use headstock::engine::{EngineChoice, Precision};
use headstock::image::Preset;
use headstock::inception::{Network, Variant};
use headstock::onnx::{Classifier, recognise};
use headstock::weights::{Weights, WeightsError};
use support::onnx_goldens::with_tensors;
use support::{golden, golden_pixels, relative_l2};

/// The bound that every format of weights is held to, relative L2.
const TOLERANCE: f64 = 2e-5;

/// Features of the three golden pictures by the graph's own weights on the engine here.
fn features(graph: &Path, variant: Variant) -> Tensor {
    let weights = Weights::from_file(graph, None).unwrap();
    assert_eq!(weights.variant(), variant);
    let engine = EngineChoice::Auto.open(Network::new(variant), &weights, &[Device::Cpu], Precision::Auto).unwrap();
    engine.run(&golden_pixels(&Preset::Torchvision.preprocess().normalise)).unwrap()
}

/// What the graph goes on with, on features.
fn outputs(Classifier { weight, bias }: Classifier, features: &Tensor) -> Tensor {
    let classes = bias.len();
    let weight = Tensor::from_vec(weight, (classes, 2048), &Device::Cpu).unwrap();
    let bias = Tensor::from_vec(bias, classes, &Device::Cpu).unwrap();
    features.matmul(&weight.t().unwrap()).unwrap().broadcast_add(&bias).unwrap()
}

fn hold(name: &str, variant: Variant, ends_in_softmax: bool) {
    let folder = tempfile::tempdir().unwrap();
    let graph = with_tensors(name, folder.path());
    let expected = golden(&format!("onnx/{name}.safetensors"));
    let features = features(&graph, variant);
    let distance = relative_l2(&features, &expected["features"]);
    println!("{name}: {distance:.2e}");
    assert!(distance < TOLERANCE, "{name}: {distance}");

    let classifier = recognise(std::fs::read(&graph).unwrap(), Some(&graph)).unwrap().classifier;
    assert_eq!(classifier.is_some(), expected.contains_key("outputs"));
    if let Some(classifier) = classifier {
        let mut outputs = outputs(classifier, &features);
        if ends_in_softmax {
            outputs = candle_nn::ops::softmax(&outputs, 1).unwrap();
        }
        let distance = relative_l2(&outputs, &expected["outputs"]);
        assert!(distance < TOLERANCE, "{name}, its classifier: {distance}");
    }
}

#[test]
fn a_graph_by_torchscript_with_its_batch_norms_folded_and_an_input_of_imagenets_range() {
    hold("torchscript", Variant::Torchvision, false);
}

#[test]
fn a_graph_by_torchscript_with_batch_norms_and_without_a_classifier() {
    hold("torchscript_plain", Variant::Torchvision, false);
}

#[test]
fn a_graph_by_dynamo_with_an_input_of_imagenets_range() {
    hold("dynamo", Variant::Torchvision, false);
}

#[test]
fn a_graph_by_dynamo_that_begins_with_the_first_convolution() {
    hold("dynamo_plain", Variant::Torchvision, false);
}

#[test]
fn a_graph_of_the_network_of_2015() {
    hold("fid", Variant::Tf2015, false);
}

#[test]
fn a_graph_by_keras_itself() {
    hold("keras", Variant::Keras, false);
}

#[test]
fn a_graph_by_tf2onnx_with_channels_last_and_a_softmax() {
    hold("tf2onnx", Variant::Keras, true);
}

fn committed(name: &str) -> Vec<u8> {
    std::fs::read(support::under_tests(&format!("golden/onnx/{name}.onnx"))).unwrap()
}

/// The bytes with one text in place of another as long.
fn with(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut changed = bytes.to_vec();
    let mut places = 0;
    for at in 0..bytes.len() - old.len() {
        if &bytes[at..at + old.len()] == old.as_bytes() {
            changed[at..at + new.len()].copy_from_slice(new.as_bytes());
            places += 1;
        }
    }
    assert!(places > 0, "{old} is not there");
    changed
}

#[test]
fn a_graph_without_the_file_of_its_numbers_is_refused_by_that_files_name() {
    let folder = tempfile::tempdir().unwrap();
    let graph = folder.path().join("fid.onnx");
    std::fs::write(&graph, committed("fid")).unwrap();
    let error = Weights::from_file(&graph, None).unwrap_err().to_string();
    assert!(error.contains("fid.bin") && error.contains("external_data=False"), "{error}");
    // Shorter than the graph says.
    std::fs::write(folder.path().join("fid.bin"), [0; 1000]).unwrap();
    let error = Weights::from_file(&graph, None).unwrap_err().to_string();
    assert!(error.contains("fid.bin ends before its numbers do"), "{error}");
}

#[test]
fn a_graph_does_not_choose_files_outside_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let graph = folder.path().join("graph.onnx");
    for elsewhere in ["/etc/x.", "../x.bi", "a/../b."] {
        std::fs::write(&graph, with(&committed("fid"), "fid.bin", elsewhere)).unwrap();
        let error = Weights::from_file(&graph, None).unwrap_err().to_string();
        assert!(error.contains("in the same folder"), "{elsewhere}: {error}");
    }
}

#[test]
fn a_graph_that_departs_from_the_network_is_told_where() {
    let folder = tempfile::tempdir().unwrap();
    let graph = with_tensors("tf2onnx", folder.path());
    let bytes = std::fs::read(&graph).unwrap();
    let told = |bytes: &[u8]| {
        std::fs::write(&graph, bytes).unwrap();
        let error = Weights::from_file(&graph, None).unwrap_err();
        assert!(matches!(error, WeightsError::Onnx(_)), "{error}");
        error.to_string()
    };
    // Every ReLU is something else.
    let error = told(&with(&bytes, "Relu", "Tanh"));
    assert!(error.contains("Tanh 'inception_v3_1/activation_"), "{error}");
    assert!(error.contains("no operator that this network has") && error.contains("--preprocess"), "{error}");
    // A network of another kind.
    let error = told(&committed("small_torchscript"));
    assert!(error.contains("no Inception-v3"), "{error}");
}

#[test]
fn a_flag_that_contradicts_the_pools_is_an_error_that_names_both() {
    let folder = tempfile::tempdir().unwrap();
    let graph = with_tensors("fid", folder.path());
    let error = Weights::from_file(&graph, Some(Variant::Keras)).unwrap_err();
    assert!(matches!(error, WeightsError::VariantConflict { file: Variant::Tf2015, asked: Variant::Keras }), "{error}");
}

/// Backbones that are no Inception-v3.
mod any_backbone {
    use super::*;
    use support::headstock;

    fn extract(graph: &str, flags: &[&str]) -> (tempfile::TempDir, assert_cmd::assert::Assert) {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("images");
        std::fs::create_dir(&images).unwrap();
        std::fs::copy(support::under_tests("golden/photo.png"), images.join("photo.png")).unwrap();
        std::fs::write(folder.path().join("small.onnx"), committed(graph)).unwrap();
        let mut run = headstock();
        run.current_dir(folder.path()).args(["extract", "--images", "images", "--weights", "small.onnx"]).args(flags);
        (folder, run.assert())
    }

    #[cfg(not(feature = "onnx"))]
    #[test]
    fn without_the_feature_it_is_named() {
        for flags in [&[][..], &["--onnx-output", "features"]] {
            let (_folder, told) = extract("small_dynamo", flags);
            let told = told.failure();
            let text = String::from_utf8_lossy(&told.get_output().stderr).into_owned();
            assert!(text.contains("--features onnx"), "{text}");
        }
    }

    #[cfg(feature = "onnx")]
    #[test]
    fn rows_are_those_of_onnx_runtime_from_the_picture_on() {
        let expected = golden("onnx/small.safetensors")["features"].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = Tensor::from_vec(expected, 24, &Device::Cpu).unwrap();
        for graph in ["small_torchscript", "small_dynamo"] {
            // Maps are pooled to what the network pools them to itself.
            for output in ["features", "map"] {
                let (folder, told) = extract(graph, &["--preprocess", "imagenet", "--onnx-output", output]);
                told.success();
                let file = support::written(&folder.path().join("embeddings.safetensors"));
                assert_eq!(file.metadata["variant"], format!("onnx:{output}"));
                let row = Tensor::new(file.rows[0].as_slice(), &Device::Cpu).unwrap();
                let distance = relative_l2(&row, &expected);
                println!("{graph}, {output}: {distance:.2e}");
                assert!(distance < TOLERANCE, "{graph}, {output}: {distance}");
            }
        }
    }

    #[cfg(feature = "onnx")]
    #[test]
    fn what_is_left_open_is_asked_for_before_the_first_image() {
        let text = |graph: &str, flags: &[&str]| {
            let (_folder, told) = extract(graph, flags);
            String::from_utf8_lossy(&told.failure().get_output().stderr).into_owned()
        };
        let error = text("small_dynamo", &["--onnx-output", "features"]);
        assert!(error.contains("--preprocess"), "{error}");
        let error = text("small_dynamo", &["--preprocess", "imagenet"]);
        assert!(error.contains("2 outputs") && error.contains("features, map"), "{error}");
        let error = text("small_dynamo", &["--preprocess", "imagenet", "--onnx-output", "nothing"]);
        assert!(error.contains("no node of the graph makes 'nothing'"), "{error}");
    }

    #[cfg(feature = "onnx")]
    #[test]
    fn a_missing_operator_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let graph = folder.path().join("small.onnx");
        let bytes = with(&committed("small_torchscript"), "HardSwish", "HardSwizz");
        std::fs::write(&graph, &bytes).unwrap();
        let error = headstock::engine::Graph::open(bytes, Some(&graph), Some("features")).unwrap_err().to_string();
        assert!(error.contains("HardSwizz"), "{error}");
    }

    #[cfg(feature = "onnx")]
    #[test]
    fn a_head_is_fitted_on_its_rows_and_scores_by_the_same_graph() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("small.onnx"), committed("small_torchscript")).unwrap();
        let photos = support::folder_of_photos(&[
            "a/1.png", "b/2.png", "a/3.png", "a/4.png", "b/5.png", "b/6.png", "a/7.png", "b/8.png",
        ]);
        let run = |flags: &[&str]| headstock().current_dir(folder.path()).args(flags).assert();
        let images = photos.path().to_str().unwrap();
        let network = ["--weights", "small.onnx"];
        let flags = ["extract", "--images", images, "--preprocess", "imagenet", "--onnx-output", "features"];
        run(&[&flags[..], &network].concat()).success();
        run(&["fit-head", "embeddings.safetensors", "--out", "head.safetensors", "--validation", "0"]).success();
        run(&[&["score", "--images", images, "--head", "head.safetensors", "--out", "by_graph.csv"][..], &network]
            .concat())
        .success();
        run(&["score", "--embeddings", "embeddings.safetensors", "--head", "head.safetensors", "--out", "by_rows.csv"])
            .success();
        assert_eq!(std::fs::read(path("by_graph.csv")).unwrap(), std::fs::read(path("by_rows.csv")).unwrap());
        // Of what lies inside such a network nothing is known.
        let flags = ["score", "--images", images, "--head", "head.safetensors", "--explain", "maps"];
        let told = run(&[&flags[..], &network].concat()).failure();
        assert!(String::from_utf8_lossy(&told.get_output().stderr).contains("--explain"));
    }
}
