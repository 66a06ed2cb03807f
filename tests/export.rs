//! Classifiers written for other programs, read back by readers that are not ours where there are such.
//!
//! What ONNX Runtime and PyTorch make of the files is measured by `scripts/check_onnx.py`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::collections::HashMap;
use std::fs;

use candle_core::{DType, Device, Tensor};
use headstock::engine::{EngineChoice, Precision};
use headstock::head::{Dense, Head, Linear, Model};
use headstock::image::Preset;
use headstock::inception::{Network, Variant};
use headstock::model::ModelFile;
use headstock::onnx::{Classifier, recognise};
use headstock::weights::{Weights, expected_tensors};
use ndarray::Array2;
use serde_json::Value;
use support::heads::{dense_head, linear_head, numbers, provenance};
use support::{golden_pixels, headstock, relative_l2, seeded_weights};

const CLASSES: [&str; 3] = ["acoustic", "bass", "electric"];

/// A folder with a head on the network inside the binary.
fn with_head(head: &Head) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    head.write(&folder.path().join("head.safetensors")).unwrap();
    folder
}

fn export(folder: &tempfile::TempDir, flags: &[&str]) -> assert_cmd::assert::Assert {
    headstock().current_dir(folder.path()).arg("export").args(flags).assert()
}

fn features(weights: &Weights) -> Tensor {
    let network = Network::new(weights.variant());
    let engine = EngineChoice::Auto.open(network, weights, &[Device::Cpu], Precision::Auto).unwrap();
    engine.run(&golden_pixels(&Preset::Tf.preprocess().normalise)).unwrap()
}

#[test]
fn an_exported_graph_is_the_network_and_the_head_that_went_into_it() {
    let head = linear_head(&CLASSES, 2048, provenance(Preset::Tf));
    let folder = with_head(&head);
    export(&folder, &["--head", "head.safetensors", "--to", "onnx"]).success();
    let path = folder.path().join("model.onnx");

    let graph = recognise(fs::read(&path).unwrap(), Some(&path)).unwrap();
    assert_eq!((graph.variant, graph.preprocess.as_deref()), (Variant::Tf2015, Some(&*head.provenance.preprocess)));
    let Model::Linear(Linear { weight, bias }) = head.model else { panic!("it is linear") };
    let classifier = Classifier { weight: weight.into_raw_vec_and_offset().0, bias };
    assert_eq!(graph.classifier, Some(classifier));

    let exported = features(&Weights::from_file(&path, None).unwrap());
    let distance = relative_l2(&exported, &features(&Weights::embedded().unwrap()));
    assert!(distance < 1e-6, "{distance}");
}

#[test]
fn the_same_classifier_gives_the_same_bytes_each_time() {
    let folder = with_head(&linear_head(&CLASSES, 2048, provenance(Preset::Tf)));
    for format in ["onnx", "torchvision", "head-json"] {
        let flags = ["--head", "head.safetensors", "--to", format, "--out", "it"];
        let bytes = || {
            export(&folder, &flags).success();
            fs::read(folder.path().join("it")).unwrap()
        };
        assert!(bytes() == bytes(), "{format}");
    }
}

#[test]
fn a_dense_head_goes_into_the_graph_too() {
    let folder = with_head(&dense_head(&CLASSES, 2048, provenance(Preset::Tf)));
    export(&folder, &["--head", "head.safetensors", "--to", "onnx", "--out", "dense.onnx"]).success();
    let bytes = fs::read(folder.path().join("dense.onnx")).unwrap();
    for name in ["head.dense1.weight", "head.dense2.bias", "probabilities"] {
        assert!(bytes.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
    }
}

#[test]
fn a_model_becomes_a_state_dict_with_every_tensor_of_torchvisions_module() {
    let folder = tempfile::tempdir().unwrap();
    let weights = Weights::from_bytes(&seeded_weights(Variant::Torchvision), None).unwrap();
    let of_weights = headstock::embeddings::Provenance {
        variant: "torchvision".to_owned(),
        weights: weights.sha256().to_owned(),
        ..provenance(Preset::Torchvision)
    };
    let head = linear_head(&CLASSES, 2048, of_weights);
    let Model::Linear(Linear { weight, bias }) = head.model.clone() else { panic!("it is linear") };
    let model = ModelFile { head, start_weights: weights.sha256().to_owned() };
    model.write(&weights, &folder.path().join("model.safetensors")).unwrap();
    let told = export(&folder, &["--model", "model.safetensors", "--to", "torchvision"]).success();
    assert!(!String::from_utf8_lossy(&told.get_output().stderr).contains("pools"), "this variant is torchvision's own");

    // candle's reader of PyTorch's files, which knows nothing of ours.
    let tensors = candle_core::pickle::read_all(folder.path().join("model.pth")).unwrap();
    let tensors: HashMap<String, Tensor> = tensors.into_iter().collect();
    let floats = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut expected = 0;
    for (name, shape) in expected_tensors(&Network::new(Variant::Torchvision)) {
        assert_eq!(tensors[&name].dims(), shape, "{name}");
        assert_eq!(floats(&tensors[&name]), floats(weights.tensor(&name).unwrap()), "{name}");
        expected += 1;
    }
    assert_eq!(floats(&tensors["fc.weight"]), weight.into_raw_vec_and_offset().0);
    assert_eq!(floats(&tensors["fc.bias"]), bias);
    let counters: Vec<&Tensor> =
        tensors.iter().filter(|(name, _)| name.ends_with(".num_batches_tracked")).map(|(_, tensor)| tensor).collect();
    assert_eq!((counters.len(), tensors.len()), (94, expected + 2 + 94));
    assert!(counters.iter().all(|counter| counter.dtype() == DType::I64 && counter.rank() == 0));
}

#[test]
fn a_state_dict_of_a_network_that_pools_otherwise_is_written_with_a_warning_and_with_gammas_of_one() {
    let folder = with_head(&linear_head(&CLASSES, 2048, provenance(Preset::Tf)));
    let told = export(&folder, &["--head", "head.safetensors", "--to", "torchvision"]).success();
    assert!(String::from_utf8_lossy(&told.get_output().stderr).contains("pools otherwise"));
    let tensors: HashMap<String, Tensor> =
        candle_core::pickle::read_all(folder.path().join("model.pth")).unwrap().into_iter().collect();
    assert_eq!(tensors["Mixed_7c.branch_pool.bn.weight"].to_vec1::<f32>().unwrap(), [1.0; 192]);
}

#[test]
fn torchvisions_network_has_no_place_for_a_hidden_layer() {
    let folder = with_head(&dense_head(&CLASSES, 2048, provenance(Preset::Tf)));
    let told = export(&folder, &["--head", "head.safetensors", "--to", "torchvision"]).failure();
    let text = String::from_utf8_lossy(&told.get_output().stderr).into_owned();
    assert!(text.contains("hidden layer") && text.contains("--to onnx"), "{text}");
    assert!(!folder.path().join("model.pth").exists());
}

#[test]
fn a_head_as_json_says_all_that_its_probabilities_need() {
    let rows = numbers(4, 2048, 3);
    for head in [
        linear_head(&CLASSES, 2048, provenance(Preset::Tf)),
        dense_head(&CLASSES, 2048, provenance(Preset::Tf)),
        Head { thresholds: Some(vec![0.25, 0.5, 1.0]), ..linear_head(&CLASSES, 2048, provenance(Preset::Keras)) },
    ] {
        let folder = with_head(&head);
        export(&folder, &["--head", "head.safetensors", "--to", "head-json"]).success();
        let json: Value = serde_json::from_slice(&fs::read(folder.path().join("head.json")).unwrap()).unwrap();
        assert_eq!(json["classes"], serde_json::json!(CLASSES));
        assert_eq!(json["weights"], head.provenance.weights);
        assert_eq!(json["preprocess"]["resize"]["side"], 299);
        assert_eq!(json["thresholds"], serde_json::json!(head.thresholds));
        let read = Head { model: model_of(&json), ..head.clone() };
        assert_eq!(read.probabilities(rows.view()), head.probabilities(rows.view()));
    }
}

fn model_of(json: &Value) -> Model {
    let vector = |json: &Value| -> Vec<f32> { serde_json::from_value(json.clone()).unwrap() };
    let matrix = |json: &Value| {
        let rows: Vec<Vec<f32>> = serde_json::from_value(json.clone()).unwrap();
        Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
    };
    if json["kind"] == "linear" {
        return Model::Linear(Linear { weight: matrix(&json["weight"]), bias: vector(&json["bias"]) });
    }
    let [first, second] = [&json["dense1"], &json["dense2"]];
    Model::Dense(Dense {
        weight1: matrix(&first["weight"]),
        bias1: vector(&first["bias"]),
        weight2: matrix(&second["weight"]),
        bias2: vector(&second["bias"]),
    })
}

#[test]
fn what_is_read_is_not_written_over() {
    let folder = with_head(&linear_head(&CLASSES, 2048, provenance(Preset::Tf)));
    let flags = ["--head", "head.safetensors", "--to", "head-json", "--out", "head.safetensors"];
    let told = export(&folder, &flags).failure();
    assert!(String::from_utf8_lossy(&told.get_output().stderr).contains("reads or writes already"));
}
