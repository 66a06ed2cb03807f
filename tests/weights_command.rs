//! `headstock weights` and `headstock score --imagenet`, as a user runs them.
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
use headstock::inception::Variant;
use headstock::weights::Weights;
use support::{folder_of_photos, headstock, seeded_weights, under_tests, units};

/// Seeded weights with a classifier of so many outputs, under torchvision's names, and something of a training run.
fn write_checkpoint(path: &Path, variant: Variant, outputs: usize) {
    let mut tensors = candle_core::safetensors::load_buffer(&seeded_weights(variant), &Device::Cpu).unwrap();
    let numbers = |name: &str, shape: &[usize]| {
        let numbers: Vec<f32> = units(name).take(shape.iter().product()).map(|u| (u - 0.5) / 16.0).collect();
        Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
    };
    tensors.insert("fc.weight".to_owned(), numbers("fc.weight", &[outputs, 2048]));
    tensors.insert("fc.bias".to_owned(), numbers("fc.bias", &[outputs]));
    tensors.insert("AuxLogits.conv0.conv.weight".to_owned(), numbers("aux", &[128, 768, 1, 1]));
    candle_core::safetensors::save(&tensors, path).unwrap();
}

fn stdout(arguments: &[&str]) -> String {
    let output = headstock().args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn stderr_of_failure(arguments: &[&str]) -> String {
    let output = headstock().args(arguments).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn inspect_tells_kind_names_variant_and_what_became_of_each_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torchvision.safetensors");
    write_checkpoint(&path, Variant::Torchvision, 1000);
    let text = stdout(&["weights", "inspect", path.to_str().unwrap()]);
    for line in [
        "file          safetensors file",
        "names         torchvision",
        "variant       torchvision",
        "numbers       470 F32",
        "classifier    1000 outputs: score --imagenet",
        "applied      470",
        "missing        0",
        "unused         1",
        "  AuxLogits.conv0.conv.weight",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is no line of\n{text}");
    }

    let keras = folder.path().join("untold.safetensors");
    write_checkpoint(&keras, Variant::Keras, 1000);
    let text = stdout(&["weights", "inspect", keras.to_str().unwrap()]);
    assert!(text.contains("not told: pass --variant"), "{text}");
    let text = stdout(&["weights", "inspect", keras.to_str().unwrap(), "--variant", "tf2015"]);
    assert!(text.contains("applied      376"), "{text}");
}

#[test]
fn inspect_shows_what_is_missing_where_the_file_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.safetensors");
    let mut tensors =
        candle_core::safetensors::load_buffer(&seeded_weights(Variant::Torchvision), &Device::Cpu).unwrap();
    tensors.remove("Mixed_7c.branch1x1.bn.bias");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let text = stdout(&["weights", "inspect", path.to_str().unwrap()]);
    assert!(text.contains("missing        1") && text.contains("Mixed_7c.branch1x1.bn.bias"), "{text}");
}

#[test]
fn convert_keeps_numbers_and_classifier_and_writes_what_later_runs_would_have_to_be_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (from, to) = (path("in.safetensors"), path("out.safetensors"));
    write_checkpoint(from.as_ref(), Variant::Torchvision, 1000);
    stdout(&["weights", "convert", &from, &to, "--preprocess", "timm"]);
    let (before, after) =
        (Weights::from_file(from.as_ref(), None).unwrap(), Weights::from_file(to.as_ref(), None).unwrap());
    let bits =
        |weights: &Weights, name: &str| weights.tensor(name).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for name in ["Conv2d_1a_3x3.conv.weight", "Mixed_7c.branch_pool.bn.weight"] {
        assert_eq!(bits(&before, name), bits(&after, name));
    }
    assert_eq!(after.classifier().unwrap().outputs(), 1000);
    let text = stdout(&["weights", "inspect", &to]);
    assert!(text.contains("preprocess    timm, the file says"), "{text}");

    let images = folder_of_photos(&["a.png"]);
    let rows = path("rows.safetensors");
    stdout(&["extract", "--images", images.path().to_str().unwrap(), "--weights", &to, "--out", &rows]);
    assert!(support::written(rows.as_ref()).metadata["preprocess"].contains("\"preset\":\"timm\""));

    let half = path("half.safetensors");
    stdout(&["weights", "convert", &from, &half, "--dtype", "f16"]);
    let (whole, half) = (std::fs::metadata(&to).unwrap().len(), std::fs::metadata(&half).unwrap().len());
    assert!(half < whole * 11 / 20, "{half} of {whole}");
    assert!(stderr_of_failure(&["weights", "convert", &from, &from]).contains("already"));
}

#[test]
fn imagenet_gives_the_most_probable_classes_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let images = folder_of_photos(&["a.png", "b.png"]);
    let images = images.path().to_str().unwrap();
    let (weights, scores) = (path("torchvision.safetensors"), path("scores.csv"));
    write_checkpoint(weights.as_ref(), Variant::Torchvision, 1000);
    stdout(&["score", "--imagenet", "--weights", &weights, "--images", images, "--out", &scores]);
    let text = std::fs::read_to_string(&scores).unwrap();
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let columns: Vec<String> = rows.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(columns.len(), 3 + 2 * 5, "{columns:?}");
    let names = std::fs::read_to_string(under_tests("../data/imagenet_classes.txt")).unwrap();
    for row in rows.records() {
        let row = row.unwrap();
        assert_eq!(&row[1], &row[3]);
        assert!((3..13).step_by(2).all(|column| names.lines().any(|name| name == &row[column])), "{row:?}");
        let probabilities: Vec<f32> = (4..13).step_by(2).map(|column| row[column].parse().unwrap()).collect();
        assert!(probabilities.is_sorted_by(|a, b| a >= b) && probabilities[0] <= 1.0, "{row:?}");
    }

    let (weights, scores) = (path("fid.safetensors"), path("scores.jsonl"));
    write_checkpoint(weights.as_ref(), Variant::Torchvision, 1008);
    stdout(&["score", "--imagenet", "--weights", &weights, "--images", images, "--out", &scores, "--top", "2"]);
    let line: serde_json::Value =
        serde_json::from_str(std::fs::read_to_string(&scores).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(line["top"].as_array().unwrap().len(), 2);
    assert!(line["class"].as_str().unwrap().starts_with("output_"), "{line}");
}

#[test]
fn imagenet_without_a_classifier_says_where_one_is_to_be_had() {
    let images = folder_of_photos(&["a.png"]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("scores.csv");
    let images = images.path().to_str().unwrap();
    let said = stderr_of_failure(&["score", "--imagenet", "--images", images, "--out", out.to_str().unwrap()]);
    assert!(said.contains("no classifier of ImageNet in the embedded weights") && said.contains("--weights"), "{said}");
    let said = stderr_of_failure(&["score", "--imagenet", "--head", "Cargo.toml", "--images", images]);
    assert!(said.contains("cannot be used with"), "{said}");
    let said = stderr_of_failure(&["score", "--preprocess", "tf", "--head", "Cargo.toml", "--images", images]);
    assert!(said.contains("cannot be used with"), "{said}");
}
