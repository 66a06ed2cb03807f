//! The file of a whole model: a weights file like any other, and the head that belongs to it and to nothing else.
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
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use candle_core::{Device, Tensor};
use headstock::embeddings::Provenance;
use headstock::head::Head;
use headstock::image::Preset;
use headstock::inception::{Network, Variant};
use headstock::model::ModelFile;
use headstock::weights::{Weights, WeightsError, expected_tensors, hex};
use ndarray::Array2;
use serde_json::json;
use sha2::{Digest, Sha256};
use support::heads::{dense_head, linear_head, numbers, provenance, write_embeddings};
use support::judged_heads::{HeldOutRow, head_of};
use support::{folder_of_photos, headstock, seeded_weights, written};
use tempfile::TempDir;

const CLASSES: [&str; 3] = ["a", "b \"quoted\"", "ü"];

/// A tensor past every cut that anybody trains at.
const TRAINED: &str = "Mixed_7c.branch1x1.bn.bias";

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The network inside the binary with one tensor that training changed, by so much that it shows.
fn trained() -> Weights {
    let start = Weights::embedded().unwrap();
    let beta: Vec<f32> = floats(start.tensor(TRAINED).unwrap()).iter().map(|beta| beta + 0.5).collect();
    start.with_tensors([(TRAINED, beta.as_slice())]).unwrap()
}

/// By what a model's rows are made, as it is known before there is a file: without the weights.
fn of(weights: &Weights, preset: Preset, background: [u8; 3]) -> Provenance {
    let mut preprocess = serde_json::to_value(preset.preprocess()).unwrap();
    preprocess["background"] = json!(background);
    let variant = weights.variant().to_string();
    Provenance { weights: String::new(), variant, preprocess: preprocess.to_string(), version: "0.0.1".to_owned() }
}

fn model_of(head: Head) -> ModelFile {
    ModelFile { head, start_weights: Weights::embedded().unwrap().sha256().to_owned() }
}

fn sha256_of(path: &Path) -> String {
    hex(&Sha256::digest(fs::read(path).unwrap()))
}

#[test]
fn what_is_written_is_read_back_and_the_bytes_are_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let weights = Weights::from_bytes(&seeded_weights(Variant::Torchvision), None).unwrap();
    let by = || of(&weights, Preset::Torchvision, [255; 3]);
    let row = |path: &str, label| HeldOutRow { path: path.to_owned(), label, called: 1, sure: 0.75 };
    let judged = head_of(&CLASSES, &[row("a/1.jpg", 0), row("b/2.jpg", 1)], Some("images"));
    for head in [
        linear_head(&CLASSES, 2048, by()),
        dense_head(&CLASSES, 2048, by()),
        Head { held_out: judged.held_out, thresholds: Some(vec![0.5; 3]), ..linear_head(&CLASSES, 2048, by()) },
    ] {
        let model = model_of(head);
        model.write(&weights, &path).unwrap();
        let first = fs::read(&path).unwrap();
        let read = ModelFile::read(&path).unwrap();
        assert_eq!(read.head.provenance.weights, sha256_of(&path));
        let mut expected = model.clone();
        expected.head.provenance.weights.clone_from(&read.head.provenance.weights);
        assert_eq!(read, expected);
        model.write(&weights, &path).unwrap();
        assert!(fs::read(&path).unwrap() == first);
    }
}

#[test]
fn a_model_is_a_weights_file_with_all_tensors_of_the_network_under_torchvisions_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for variant in [Variant::Torchvision, Variant::Keras] {
        let weights = Weights::from_bytes(&seeded_weights(variant), None).unwrap();
        let head = linear_head(&CLASSES, 2048, of(&weights, Preset::Timm, [0; 3]));
        model_of(head).write(&weights, &path).unwrap();
        let read = Weights::from_file(&path, None).unwrap();
        assert_eq!((read.variant(), read.sha256()), (variant, sha256_of(&path).as_str()));
        assert_eq!(read.preprocess(), Some(of(&weights, Preset::Timm, [0; 3]).preprocess.as_str()));

        // As any other program sees it.
        let tensors: HashMap<String, Tensor> = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        let expected: Vec<(String, Vec<usize>)> = expected_tensors(&Network::new(variant)).collect();
        assert_eq!(tensors.len(), expected.len() + 2);
        for (name, shape) in expected {
            assert_eq!(tensors[&name].dims(), shape, "{name}");
            let numbers = floats(weights.tensor(&name).unwrap());
            assert_eq!(floats(&tensors[&name]), numbers, "{name}");
            assert_eq!(floats(read.tensor(&name).unwrap()), numbers, "{name}");
        }
        assert_eq!(tensors["head.weight"].dims(), [3, 2048]);
    }
}

#[test]
fn replaced_tensors_are_new_and_all_others_are_as_they_were() {
    let start = Weights::from_bytes(&seeded_weights(Variant::Torchvision), None).unwrap();
    let names =
        ["Mixed_7c.branch_pool.conv.weight", "Mixed_7c.branch_pool.bn.weight", "Mixed_7c.branch_pool.bn.running_var"];
    let new: Vec<Vec<f32>> = names
        .iter()
        .map(|name| floats(start.tensor(name).unwrap()).iter().map(|number| number * 2.0).collect())
        .collect();
    let replaced = || names.into_iter().zip(new.iter().map(Vec::as_slice));
    let changed = start.with_tensors(replaced()).unwrap();
    for (name, _) in expected_tensors(&Network::new(Variant::Torchvision)) {
        let [before, after] = [&start, &changed].map(|weights| floats(weights.tensor(&name).unwrap()));
        match replaced().find(|(other, _)| *other == name) {
            Some((_, numbers)) => assert!(after == numbers && after != before, "{name}"),
            None => assert_eq!(after, before, "{name}"),
        }
    }
    assert_eq!(changed.convolution("Mixed_7c.branch_pool").unwrap().gamma.as_ref().map(floats), Some(new[1].clone()));

    let sums =
        [&start, &changed, &start.with_tensors(replaced().skip(1)).unwrap()].map(|weights| weights.sha256().to_owned());
    assert!(sums[0] != sums[1] && sums[1] != sums[2] && sums[0] != sums[2], "{sums:?}");
    assert_eq!(start.with_tensors(replaced()).unwrap().sha256(), sums[1]);
    assert_eq!(start.with_tensors([]).unwrap().sha256(), sums[0]);
}

#[test]
fn replacements_that_are_no_tensors_of_the_network_are_all_named() {
    let start = Weights::from_bytes(&seeded_weights(Variant::Keras), None).unwrap();
    let replaced = [
        // Keras' batch norm has no gamma.
        ("Mixed_7c.branch_pool.bn.weight", &[1.0; 192][..]),
        ("Mixed_7c.branch_pool.bn.bias", &[1.0; 3]),
        ("head.weight", &[1.0]),
        ("", &[]),
    ];
    let error = start.with_tensors(replaced).unwrap_err();
    let WeightsError::Mismatch { mismatch, .. } = &error else { panic!("{error}") };
    assert_eq!(mismatch.unknown, ["Mixed_7c.branch_pool.bn.weight", "head.weight", ""]);
    assert_eq!(mismatch.misshaped[0].found, "3 numbers");
    assert!(error.to_string().contains("Mixed_7c.branch_pool.bn.bias: 3 numbers, not F32 [192]"), "{error}");
}

/// A folder with a model, the photos that it is put on, and the program's runs in it.
struct Desk {
    folder: TempDir,
    images: TempDir,
}

impl Desk {
    /// A model that was trained with a preprocessing that is not its variant's, above black.
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
            images: folder_of_photos(&["a/1.png", "a/2.png", "ü/3.png"]),
        };
        let weights = trained();
        let head = linear_head(&CLASSES, 2048, of(&weights, Preset::Timm, [0; 3]));
        model_of(head).write(&weights, &desk.path("model.safetensors")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Assert {
        headstock().current_dir(self.folder.path()).args(arguments).assert()
    }

    fn images(&self) -> &str {
        self.images.path().to_str().unwrap()
    }

    fn refusal(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.run(arguments).code(1).get_output().stderr.clone()).unwrap()
    }
}

#[test]
fn a_model_scores_images_and_the_rows_that_were_made_by_it_alike() {
    let desk = Desk::new();
    let model = ["score", "--model", "model.safetensors"];
    let evaluate = ["--images", desk.images(), "--evaluate", "--explain", "maps", "--top", "2"];
    let assert = desk.run(&[&model[..], &evaluate].concat()).success();
    assert!(String::from_utf8_lossy(&assert.get_output().stdout).contains("accuracy"));
    assert!(desk.path("maps/a/1.png.map.jpg").exists());
    desk.run(&[&model[..], &["--images", desk.images(), "--out", "images.csv", "--batch-size", "2"]].concat())
        .success();
    desk.run(&["extract", "--weights", "model.safetensors", "--images", desk.images(), "--out", "rows.safetensors"])
        .success();
    desk.run(&[&model[..], &["--embeddings", "rows.safetensors", "--out", "rows.csv"]].concat()).success();
    assert_eq!(
        fs::read_to_string(desk.path("images.csv")).unwrap(),
        fs::read_to_string(desk.path("rows.csv")).unwrap()
    );

    // The rows say by what they were made: the file, and the preprocessing that it was trained with.
    let metadata = written(&desk.path("rows.safetensors")).metadata;
    assert_eq!(metadata["weights"], sha256_of(&desk.path("model.safetensors")));
    assert_eq!(metadata["preprocess"], of(&trained(), Preset::Timm, [0; 3]).preprocess);

    // A head on the same rows, and the model's file as its weights.
    let head = Head {
        provenance: ModelFile::read(&desk.path("model.safetensors")).unwrap().head.provenance,
        ..linear_head(&CLASSES, 2048, provenance(Preset::Timm))
    };
    head.write(&desk.path("head.safetensors")).unwrap();
    let head = ["score", "--head", "head.safetensors", "--weights", "model.safetensors"];
    desk.run(&[&head[..], &["--images", desk.images(), "--out", "head.csv"]].concat()).success();
    assert_eq!(fs::read(desk.path("head.csv")).unwrap(), fs::read(desk.path("images.csv")).unwrap());
}

#[test]
fn rows_of_another_network_or_preprocessing_than_the_models_are_refused_with_both_named() {
    let desk = Desk::new();
    let own = sha256_of(&desk.path("model.safetensors"));
    let start = Weights::embedded().unwrap().sha256().to_owned();
    let rows = |by: &Provenance| {
        write_embeddings(&desk.path("rows.safetensors"), desk.images.path(), &["a/1.png"], &numbers(1, 2048, 1), by);
    };
    let score = ["score", "--model", "model.safetensors", "--embeddings", "rows.safetensors"];

    rows(&provenance(Preset::Timm));
    let said = desk.refusal(&score);
    assert!(said.contains(&own) && said.contains(&start) && said.contains("--weights model.safetensors"), "{said}");

    let by = |preset, background| Provenance { weights: own.clone(), ..of(&trained(), preset, background) };
    rows(&by(Preset::Tf, [0; 3]));
    let said = desk.refusal(&score);
    assert!(said.contains("preprocessing") && said.contains("timm") && said.contains("\"tf\""), "{said}");
    rows(&by(Preset::Timm, [255; 3]));
    assert!(desk.refusal(&score).contains("background"));
    rows(&by(Preset::Timm, [0; 3]));
    desk.run(&score).success();

    // A head of the network that the model was trained from does not go on what it became, nor the other way round.
    linear_head(&CLASSES, 2048, provenance(Preset::Timm)).write(&desk.path("head.safetensors")).unwrap();
    let head = ["score", "--head", "head.safetensors"];
    let said = desk.refusal(&[&head[..], &["--embeddings", "rows.safetensors"]].concat());
    assert!(said.contains(&own) && said.contains(&start), "{said}");
    let said = desk.refusal(&[&head[..], &["--weights", "model.safetensors", "--images", desk.images()]].concat());
    assert!(said.contains(&own) && said.contains(&start), "{said}");
}

#[test]
fn a_model_whose_metadata_was_changed_is_another_model() {
    let desk = Desk::new();
    desk.run(&["extract", "--weights", "model.safetensors", "--images", desk.images(), "--out", "rows.safetensors"])
        .success();
    let mut bytes = fs::read(desk.path("model.safetensors")).unwrap();
    let place = bytes.windows(5).position(|window| window == b"0.0.1").unwrap();
    bytes[place..place + 5].copy_from_slice(b"0.0.2");
    fs::write(desk.path("model.safetensors"), &bytes).unwrap();
    let said = desk.refusal(&["score", "--model", "model.safetensors", "--embeddings", "rows.safetensors"]);
    assert!(said.contains(&hex(&Sha256::digest(&bytes))), "{said}");
}

#[test]
fn flags_go_before_the_preprocessing_of_a_model() {
    let desk = Desk::new();
    let extract = [
        "extract",
        "--weights",
        "model.safetensors",
        "--limit",
        "1",
        "--images",
        desk.images(),
        "--out",
        "r.safetensors",
    ];
    for (flags, preset, background) in [
        (&["--preprocess", "keras"][..], Preset::Keras, [0; 3]),
        (&["--background", "#102030"], Preset::Timm, [16, 32, 48]),
        (&["--preprocess", "keras", "--background", "white"], Preset::Keras, [255; 3]),
    ] {
        desk.run(&[&extract[..], flags].concat()).success();
        let metadata = written(&desk.path("r.safetensors")).metadata;
        assert_eq!(metadata["preprocess"], of(&trained(), preset, background).preprocess, "{flags:?}");
    }
}

#[test]
fn a_page_of_a_model_has_activation_maps_by_the_models_own_network() {
    let desk = Desk::new();
    let weights = trained();
    let row = |path: &str, called| HeldOutRow { path: path.to_owned(), label: 0, called, sure: 0.75 };
    let judged = head_of(&CLASSES, &[row("a/1.png", 1), row("a/2.png", 0)], Some(desk.images()));
    let head = Head { held_out: judged.held_out, ..linear_head(&CLASSES, 2048, of(&weights, Preset::Tf, [255; 3])) };
    model_of(head).write(&weights, &desk.path("judged.safetensors")).unwrap();
    let assert = desk.run(&["report", "--model", "judged.safetensors"]).success();
    let said = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(!said.contains("no activation maps"), "{said}");
    let page = fs::read_to_string(desk.path("report.html")).unwrap();
    assert!(page.contains(&sha256_of(&desk.path("judged.safetensors"))));
}

#[test]
fn a_head_a_model_and_weights_are_not_taken_for_each_other() {
    let desk = Desk::new();
    linear_head(&CLASSES, 2048, provenance(Preset::Tf)).write(&desk.path("head.safetensors")).unwrap();
    let images = ["--images", desk.images()];
    let said = desk.refusal(&[&["score", "--head", "model.safetensors"][..], &images].concat());
    assert!(said.contains("its format is headstock.model/1, not headstock.head/1"), "{said}");
    let said = desk.refusal(&[&["score", "--model", "head.safetensors"][..], &images].concat());
    assert!(said.contains("its format is headstock.head/1, not headstock.model/1"), "{said}");
    for flags in [
        &["--model", "model.safetensors", "--head", "head.safetensors"][..],
        &["--model", "model.safetensors", "--weights", "model.safetensors"],
        &[],
    ] {
        desk.run(&[&["score"][..], &images, flags].concat()).code(2);
        desk.run(&[&["report"][..], flags].concat()).code(2);
    }
}

#[test]
fn a_model_without_a_network_is_no_weights_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let weights = Weights::from_bytes(&seeded_weights(Variant::Keras), None).unwrap();
    model_of(linear_head(&CLASSES, 2048, of(&weights, Preset::Keras, [255; 3]))).write(&weights, &path).unwrap();
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    tensors.remove("Conv2d_1a_3x3.bn.bias").unwrap();
    // Within the network it may change what the network is; beside it, it is somebody else's.
    tensors.insert("Mixed_7c.hat.weight".to_owned(), tensors["head.weight"].clone());
    tensors.insert("hat.weight".to_owned(), tensors["head.weight"].clone());
    let bytes = safetensors::serialize(tensors.iter(), None).unwrap();
    let error = Weights::from_bytes(&bytes, Some(Variant::Keras)).unwrap_err();
    let WeightsError::Mismatch { mismatch, .. } = &error else { panic!("{error}") };
    assert_eq!(
        (mismatch.missing.as_slice(), mismatch.unknown.as_slice()),
        (&["Conv2d_1a_3x3.bn.bias".to_owned()][..], &["Mixed_7c.hat.weight".to_owned()][..])
    );
}

#[test]
fn rows_by_a_model_are_those_of_what_training_changed() {
    let desk = Desk::new();
    let rows = |weights: &[&str]| -> Array2<f32> {
        let extract = [
            "extract",
            "--preprocess",
            "timm",
            "--background",
            "black",
            "--images",
            desk.images(),
            "--out",
            "r.safetensors",
        ];
        desk.run(&[&extract[..], weights].concat()).success();
        let rows = written(&desk.path("r.safetensors")).rows;
        Array2::from_shape_fn((rows.len(), 2048), |(row, column)| rows[row][column])
    };
    let [trained, start] = [rows(&["--weights", "model.safetensors"]), rows(&[])];
    // The first branch of the last block gives the first 320 features, and only its betas were changed: raised by a half.
    let raised = &trained - &start;
    assert!(raised.iter().all(|&by| (0.0..0.501).contains(&by)));
    for (column, raised) in raised.columns().into_iter().enumerate() {
        assert!(column < 320 || raised.iter().all(|&by| by == 0.0), "{column}: {raised}");
    }
    assert!(raised.iter().filter(|&&by| by > 0.0).count() > 3 * 300);
}
