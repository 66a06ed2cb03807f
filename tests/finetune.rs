//! `headstock finetune` as a user meets it: images and a head in, a model and honest numbers out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use candle_core::{Device, Tensor};
use headstock::head::{Head, Model};
use headstock::image::Preset;
use headstock::model::ModelFile;
use headstock::scores::Scores;
use headstock::weights::Weights;
use serde_json::Value;
use support::heads::{linear_head, provenance};
use support::{folder_of_photos, headstock};
use tempfile::TempDir;

const IMAGES: usize = 24;

/// Images in three classes, a head fitted on them, and a place for models.
struct Desk {
    images: TempDir,
    out: TempDir,
}

impl Desk {
    fn new() -> Self {
        let names: Vec<String> = (0..IMAGES).map(|i| format!("{}/{i:02}.png", ["a", "b", "c"][i % 3])).collect();
        let images = folder_of_photos(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let desk = Self { images, out: tempfile::tempdir().unwrap() };
        let rows = desk.path("rows.safetensors");
        headstock().arg("extract").arg("--images").arg(desk.images()).arg("--out").arg(&rows).assert().success();
        desk.fit_head(&["--validation", "0.25"]);
        desk
    }

    fn fit_head(&self, flags: &[&str]) {
        let mut command = headstock();
        command.arg("fit-head").arg(self.path("rows.safetensors")).arg("--out").arg(self.path("head.safetensors"));
        command.args(flags).assert().success();
    }

    /// A head that decides as before, but is sure of nothing: there is something to be won on it, in few steps.
    fn make_unsure(&self) {
        let path = self.path("head.safetensors");
        let head = Head::read(&path).unwrap();
        let fit = serde_json::json!({ "seed": head.fit["seed"], "validation": head.fit["validation"] });
        Head { model: head.model.fold_temperature(10.0), fit, ..head }.write(&path).unwrap();
    }

    fn images(&self) -> &Path {
        self.images.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.out.path().join(name)
    }

    /// Trains the last block for two epochs.
    fn finetune(&self, out: &str, flags: &[&str]) -> Assert {
        let (images, head, out) = (self.images(), self.path("head.safetensors"), self.path(out));
        let [images, head, out] = [images, &head, &out].map(|path| path.to_str().unwrap());
        let usual = [["--images", images], ["--head", head], ["--out", out]];
        let mut command = headstock();
        command.arg("finetune");
        for [flag, value] in
            usual.into_iter().chain([["--freeze", "mixed9"], ["--epochs", "2"], ["--learning-rate", "1e-3"]])
        {
            if !flags.contains(&flag) {
                command.args([flag, value]);
            }
        }
        command.args(flags).assert()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.bytes(name)).unwrap()
    }
}

fn said(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn tensors(path: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

#[test]
fn a_model_holds_what_was_trained_and_says_of_images_what_its_file_says_of_them() {
    let desk = Desk::new();
    desk.make_unsure();
    let metrics = desk.path("metrics.json");
    let run = desk.finetune("model.safetensors", &["--metrics", metrics.to_str().unwrap()]).success();
    let model = ModelFile::read(&desk.path("model.safetensors")).unwrap();
    let head = Head::read(&desk.path("head.safetensors")).unwrap();
    let (ours, theirs) = (model.head.held_out.as_ref().unwrap(), head.held_out.as_ref().unwrap());
    let told = desk.json("metrics.json");
    assert_eq!(told["keeps_start"], false, "{}", said(&run));
    assert_eq!(told["is_fair"], true);

    // Both are judged by the images that the head held out.
    assert_eq!(ours.paths, theirs.paths);
    assert_eq!(told["frozen"]["accuracy"], theirs.metrics.accuracy);
    let kinds = |kind: &str| told["fit"][kind].as_u64().unwrap() as usize;
    assert_eq!(kinds("rows") + kinds("watched") + ours.paths.len(), IMAGES);

    // What lies below the cut has not moved by a bit; all that lies past it has moved.
    let (start, end) = (Weights::embedded().unwrap(), tensors(&desk.path("model.safetensors")));
    let mut moved = 0;
    for (name, tensor) in &end {
        let Some((node, part)) = ["conv.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
            .iter()
            .find_map(|part| Some((name.strip_suffix(part)?.strip_suffix('.')?, *part)))
        else {
            continue;
        };
        let start = start.convolution(node).unwrap();
        let start = match part {
            "conv.weight" => &start.kernel,
            "bn.bias" => &start.beta,
            "bn.running_mean" => &start.mean,
            _ => &start.variance,
        };
        let is_trained = node.starts_with("Mixed_7c") && !part.starts_with("bn.running");
        assert_eq!(numbers(tensor) != numbers(start), is_trained, "{name}");
        moved += usize::from(is_trained);
    }
    assert_eq!(moved, 2 * 9, "kernels and betas of the last block");

    // The engine that scores is another than the one that trained.
    let scores = desk.path("scores.csv");
    let mut score = headstock();
    score.arg("score").arg("--model").arg(desk.path("model.safetensors")).arg("--images").arg(desk.images());
    score.arg("--out").arg(&scores).assert().success();
    let scores = Scores::read(&scores).unwrap();
    for (path, probabilities) in ours.paths.iter().zip(ours.probabilities.rows()) {
        let row = scores.rows.iter().find(|row| row.path == *path).unwrap();
        for (ours, theirs) in probabilities.iter().zip(&row.probabilities) {
            assert!((f64::from(*ours) - f64::from(*theirs)).abs() < 2e-4, "{path}: {ours} against {theirs}");
        }
    }

    assert!(desk.path("model.safetensors.curves.csv").exists() && desk.path("model.safetensors.curves.svg").exists());
    assert!(!desk.path("model.safetensors.partial").exists());
    for line in ["before the first step; watched: loss", "epoch 2: loss", "numbers of the network are trained"] {
        assert!(said(&run).contains(line), "{line}: {}", said(&run));
    }
}

#[test]
fn the_model_is_the_same_to_the_byte_with_a_cache_without_one_and_with_one_that_was_there() {
    let desk = Desk::new();
    desk.make_unsure();
    let cache = desk.path("cache");
    let cache = cache.to_str().unwrap();
    let augmented = ["--augment", "flip,crop,color", "--augment-views", "2"];
    let flags = |more: &[&'static str]| -> Vec<String> {
        augmented.iter().chain(more).map(|flag| (*flag).to_owned()).collect()
    };
    let run = |out: &str, mut flags: Vec<String>, cache: Option<&str>| {
        flags.extend(cache.into_iter().flat_map(|cache| ["--cache".to_owned(), cache.to_owned()]));
        said(&desk.finetune(out, &flags.iter().map(String::as_str).collect::<Vec<_>>()).success())
    };
    let first = run("first.safetensors", flags(&[]), Some(cache));
    assert!(first.contains("frozen layers: 24 images in"), "{first}");
    let second = run("second.safetensors", flags(&[]), Some(cache));
    assert!(second.contains("24 images are there already") && !second.contains("frozen layers"), "{second}");
    let without = run("without.safetensors", flags(&["--cache-limit", "0"]), None);
    assert!(without.contains("they are computed again each epoch"), "{without}");
    assert!(desk.bytes("first.safetensors") == desk.bytes("second.safetensors"));
    assert!(desk.bytes("first.safetensors") == desk.bytes("without.safetensors"));

    // Half the room gives another model, and nearly the same one.
    run("half.safetensors", flags(&["--cache-precision", "f16"]), Some(cache));
    let weight = |name: &str| match ModelFile::read(&desk.path(name)).unwrap().head.model {
        Model::Linear(linear) => linear.weight,
        Model::Dense(_) => panic!("the head is linear"),
    };
    let (whole, half) = (weight("first.safetensors"), weight("half.safetensors"));
    let norm = |x: &ndarray::Array2<f32>| x.mapv(|x| f64::from(x) * f64::from(x)).sum().sqrt();
    let difference = norm(&(&whole - &half)) / norm(&whole);
    assert!(difference > 0.0 && difference < 1e-2, "{difference}");

    // Another image makes another cache.
    fs::copy(desk.images().join("a/00.png"), desk.images().join("a/99.png")).unwrap();
    let third = run("third.safetensors", flags(&[]), Some(cache));
    assert!(third.contains("frozen layers: 25 images in"), "{third}");
}

#[test]
fn training_that_makes_it_worse_is_told_and_the_start_is_kept() {
    let desk = Desk::new();
    let metrics = desk.path("metrics.json");
    let flags = ["--learning-rate", "1e6", "--metrics", metrics.to_str().unwrap()];
    let run = desk.finetune("model.safetensors", &flags).success();
    let out = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(out.contains("fine-tuning made it worse"), "{out}");
    assert!(said(&run).contains("Lower --learning-rate"), "{}", said(&run));
    assert_eq!(desk.json("metrics.json")["keeps_start"], true);
    let (model, head) = (
        ModelFile::read(&desk.path("model.safetensors")).unwrap(),
        Head::read(&desk.path("head.safetensors")).unwrap(),
    );
    // The frozen head's numbers are those that it came with.
    let (told, known) = (desk.json("metrics.json"), &head.held_out.as_ref().unwrap().metrics);
    assert_eq!(told["frozen"]["accuracy"], known.accuracy);
    let log_loss = told["frozen"]["log_loss"].as_f64().unwrap();
    assert!((log_loss / known.log_loss - 1.0).abs() < 1e-3, "{log_loss}, {}", known.log_loss);
    assert_eq!(model.head.model, head.model);
    assert_eq!(model.head.held_out, head.held_out);
    let start = Weights::embedded().unwrap();
    for (name, tensor) in tensors(&desk.path("model.safetensors")) {
        if let Some(node) = name.strip_suffix(".conv.weight") {
            assert_eq!(numbers(&tensor), numbers(&start.convolution(node).unwrap().kernel), "{name}");
        }
    }
}

#[test]
fn all_options_of_training_work_together() {
    let desk = Desk::new();
    desk.make_unsure();
    fs::write(desk.images().join("a/broken.jpg"), "text").unwrap();
    let flags = [
        "--optimizer",
        "adamw",
        "--weight-decay",
        "0.01",
        "--schedule",
        "cosine",
        "--warmup-steps",
        "2",
        "--clip-norm",
        "1",
        "--label-smoothing",
        "0.1",
        "--class-weight",
        "balanced",
        "--batch-norm",
        "train",
        "--accumulate",
        "2",
        "--batch-size",
        "4",
        "--patience",
        "1",
        "--seed",
        "3",
        "--threads",
        "2",
        "--strict",
    ];
    let run = desk.finetune("model.safetensors", &flags).code(1);
    assert!(said(&run).contains("1 file could not be read"), "{}", said(&run));
    let rejected = String::from_utf8(desk.bytes("model.safetensors.rejected.csv")).unwrap();
    assert!(rejected.contains("a/broken.jpg,\"not an image"), "{rejected}");
    let fit = ModelFile::read(&desk.path("model.safetensors")).unwrap().head.fit;
    for (key, value) in [("optimizer", "adamw"), ("schedule", "cosine"), ("batch_norm", "train"), ("freeze", "mixed9")]
    {
        assert_eq!(fit[key], value);
    }
    if fit["keeps_start"] == false {
        let end = tensors(&desk.path("model.safetensors"));
        let start = Weights::embedded().unwrap();
        let mean = |name: &str| numbers(&end[&format!("{name}.bn.running_mean")]);
        let start = |name: &str| numbers(&start.convolution(name).unwrap().mean);
        assert_ne!(mean("Mixed_7c.branch1x1"), start("Mixed_7c.branch1x1"), "statistics that train are kept");
        assert_eq!(mean("Mixed_7b.branch1x1"), start("Mixed_7b.branch1x1"), "frozen ones are not touched");
    }
}

#[test]
fn a_head_that_has_seen_all_images_is_compared_with_a_warning() {
    let desk = Desk::new();
    desk.fit_head(&["--validation", "0"]);
    let metrics = desk.path("metrics.json");
    let run = desk.finetune("model.safetensors", &["--epochs", "1", "--metrics", metrics.to_str().unwrap()]).success();
    assert!(said(&run).contains("warning: the head holds out no images"), "{}", said(&run));
    assert_eq!(desk.json("metrics.json")["is_fair"], false);
}

#[test]
fn what_cannot_be_done_is_refused_before_any_work() {
    let desk = Desk::new();
    let refused = |flags: &[&str], words: &str| {
        let run = desk.finetune("model.safetensors", flags);
        let said = said(&run);
        assert!(!run.get_output().status.success() && said.contains(words), "{flags:?}: {said}");
        assert!(!desk.path("model.safetensors").exists() && !said.contains("frozen layers"), "{said}");
    };
    let head = desk.path("head.safetensors");
    let head = head.to_str().unwrap();
    refused(&["--out", head], "--out");
    refused(&["--metrics", head], "is a file that this run reads or writes already");
    refused(&["--metrics", "nowhere/m.json"], "the folder nowhere is not there");
    refused(&["--freeze", "311"], "leaves nothing of the network to train");
    refused(&["--freeze", "400"], "400 of them cannot be frozen");
    refused(&["--validation", "0.2"], "the head holds out images of its own");
    refused(&["--augment-views", "3"], "--augment");
    refused(&["--augment", "spin"], "'spin' is no augmentation");
    refused(&["--cache-limit", "much"], "give a size such as 500MB");
    refused(&["--cache", desk.images().join("cache").to_str().unwrap()], "lies in the folder of the images");
    refused(&["--learning-rate", "0"], "give a number above 0");

    // The head of other classes, of another network, of other pixels.
    let other = desk.path("other.safetensors");
    let with = |head: Head, words: &str| {
        head.write(&other).unwrap();
        refused(&["--head", other.to_str().unwrap()], words);
    };
    let made = |classes: &[&str]| linear_head(classes, 2048, provenance(Preset::Tf));
    with(made(&["a", "b"]), "the head does not know the classes 'c'");
    with(made(&["a", "b", "c", "d"]), "no images of the head's classes 'd'");
    with(linear_head(&["a", "b", "c"], 12, provenance(Preset::Tf)), "rows of 12 numbers");
    let mut foreign = made(&["a", "b", "c"]);
    foreign.provenance.weights = "f00".to_owned();
    with(foreign, "another network");
    let flat = folder_of_photos(&["1.png", "2.png"]);
    refused(&["--images", flat.path().to_str().unwrap()], "lie in no class folders");
    let empty = tempfile::tempdir().unwrap();
    refused(&["--images", empty.path().to_str().unwrap()], "no images under");
}

/// Twelve kinds of drawn counters that differ in a detail: what ImageNet's features make of them is right for every second one.
#[test]
fn fine_tuning_tells_shapes_apart_that_the_frozen_features_do_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name);
    let run = |verb: &str, flags: &[(&str, PathBuf)], more: &[&str]| {
        let mut command = headstock();
        command.arg(verb);
        for (flag, value) in flags {
            command.arg(flag).arg(value);
        }
        command.args(more).assert().success()
    };
    let (images, unseen) = (root.join("shapes"), root.join("shapes_unseen"));
    let (rows, head, model) = (path("rows.safetensors"), path("head.safetensors"), path("model.safetensors"));
    run("extract", &[("--images", images.clone()), ("--out", rows.clone())], &[]);
    headstock().arg("fit-head").arg(&rows).arg("--out").arg(&head).assert().success();
    run(
        "finetune",
        &[("--images", images), ("--head", head.clone()), ("--out", model.clone())],
        &["--optimizer", "adamw", "--epochs", "2"],
    );
    let accuracy = |flag: &str, file: &Path| {
        let metrics = path("metrics.json");
        let flags = [(flag, file.to_owned()), ("--images", unseen.clone()), ("--out", path("scores.csv"))];
        run("score", &flags, &["--evaluate", "--metrics", metrics.to_str().unwrap()]);
        let metrics: Value = serde_json::from_slice(&fs::read(metrics).unwrap()).unwrap();
        assert_eq!(metrics["rows"], 180);
        metrics["accuracy"].as_f64().unwrap()
    };
    let (frozen, tuned) = (accuracy("--head", &head), accuracy("--model", &model));
    // 0.52 and, after six epochs, 0.93 (benches/results).
    assert!(tuned > frozen + 0.15, "frozen {frozen}, fine-tuned {tuned}");
}
