//! Small files as we write them, and the seeds of the fuzzer.

use std::fs;
use std::path::Path;

use headstock::dataset::Candidate;
use headstock::embeddings::{EmbeddingsFile, Format, Provenance, Table};
use headstock::head::dense::Dense;
use headstock::head::{Head, HeldOut, Linear, Model};
use headstock::metrics::Metrics;
use ndarray::Array2;
use serde_json::json;

use crate::mutations::with_header;
use crate::reading::Reader;

pub fn provenance() -> Provenance {
    Provenance {
        weights: "0123".to_owned(),
        variant: "tf2015".to_owned(),
        preprocess: "{}".to_owned(),
        version: "0.1.0".to_owned(),
    }
}

/// A file of embeddings, three rows of four numbers.
pub fn embeddings(path: &Path, classes: &[String]) {
    let image = |name: &str, class: u32| Candidate {
        path: name.to_owned(),
        class: (!classes.is_empty() && class < 2).then_some(class),
    };
    let images = [image("a/ü \"1\".jpg", 0), image("b\\/2.png", 1), image("beside.gif", 2)];
    let provenance = provenance();
    let table = Table { provenance: &provenance, classes, root: "images", images: images.iter().collect(), columns: 4 };
    let rows: Vec<u8> = (0..12).flat_map(|number| (number as f32 / 8.0).to_le_bytes()).collect();
    Format::Safetensors.write(path, &table, &mut rows.as_slice()).unwrap();
}

pub fn classes() -> Vec<String> {
    ["a", "b \"quoted\""].map(str::to_owned).to_vec()
}

fn matrix(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(row, column)| (row * 7 + column * 3) as f32 / 16.0 - 1.0)
}

pub fn linear() -> Head {
    Head {
        classes: classes(),
        model: Model::Linear(Linear { weight: matrix(2, 4), bias: vec![0.5, -0.5] }),
        temperature: 1.25,
        thresholds: Some(vec![0.5, 0.75]),
        provenance: provenance(),
        fit: json!({ "alpha": 0.1, "seed": 7 }),
        held_out: None,
    }
}

pub fn dense() -> Head {
    let dense = Dense { weight1: matrix(3, 4), bias1: vec![0.25; 3], weight2: matrix(2, 3), bias2: vec![0.0; 2] };
    Head { model: Model::Dense(dense), thresholds: None, ..linear() }
}

/// A linear head with three rows to look at.
pub fn held_out() -> Head {
    let probabilities = Array2::from_shape_vec((3, 2), vec![0.75, 0.25, 1.0, 0.0, 0.5, 0.5]).unwrap();
    let labels = vec![0, 1, 1];
    Head {
        held_out: Some(HeldOut {
            set: "validation".to_owned(),
            metrics: Metrics::new(&classes(), &labels, probabilities.mapv(f64::from).view()),
            images: Some("images".to_owned()),
            paths: ["a/1.jpg", "b/\"2\".jpg", "b/ü.jpg"].map(str::to_owned).to_vec(),
            labels,
            probabilities,
            map: matrix(3, 2),
        }),
        ..linear()
    }
}

/// The file of a model, from that of its head. Its network is not in it: that is not what reads the head looks at, and it would make the
/// file too long for thousands of them.
fn model(head: &[u8]) -> Vec<u8> {
    with_header(head, |header| {
        let metadata = header["__metadata__"].as_object_mut().unwrap();
        metadata.insert("format".to_owned(), json!("headstock.model/1"));
        metadata.insert("start_weights".to_owned(), metadata["weights"].clone());
        metadata.remove("weights");
        let own = |name: &String| !name.starts_with("held_out.") && name != "__metadata__";
        for name in header.keys().filter(|name| own(name)).cloned().collect::<Vec<_>>() {
            let tensor = header.remove(&name).unwrap();
            header.insert(format!("head.{name}"), tensor);
        }
    })
}

/// Every kind of file: its name, its reader, its bytes.
pub fn all() -> Vec<(&'static str, Reader, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("valid");
    let bytes = |write: &dyn Fn(&Path)| {
        write(&path);
        fs::read(&path).unwrap()
    };
    let heads = [linear(), dense(), held_out()].map(|head| bytes(&|path| head.write(path).unwrap()));
    let models = heads.each_ref().map(|head| model(head));
    let [linear, dense, held_out] = heads;
    let [linear_model, dense_model, held_out_model] = models;
    vec![
        ("embeddings", Reader::Embeddings, bytes(&|path| embeddings(path, &classes()))),
        ("embeddings_without_labels", Reader::Embeddings, bytes(&|path| embeddings(path, &[]))),
        ("linear", Reader::Head, linear),
        ("dense", Reader::Head, dense),
        ("held_out", Reader::Head, held_out),
        ("linear_model", Reader::Model, linear_model),
        ("dense_model", Reader::Model, dense_model),
        ("held_out_model", Reader::Model, held_out_model),
    ]
}

#[test]
fn a_head_comes_back_as_it_was_with_its_held_out_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let without_images = {
        let mut head = held_out();
        head.held_out.as_mut().unwrap().images = None;
        head
    };
    for head in [linear(), dense(), held_out(), without_images] {
        head.write(&path).unwrap();
        assert_eq!(Head::read(&path).unwrap(), head);
    }
}

/// What guards against strangers must let through what we write ourselves.
#[test]
fn many_classes_rows_and_epochs_of_our_own_are_read() {
    let _turn = crate::reading::Reading::new();
    let folder = tempfile::tempdir().unwrap();
    let classes: Vec<String> = (0..1000).map(|class| format!("the \"{class}\"")).collect();
    let path = folder.path().join("embeddings.safetensors");
    let images: Vec<Candidate> =
        (0..2000).map(|row| Candidate { path: format!("a, b, {row}.jpg"), class: Some(row % 1000) }).collect();
    let provenance = provenance();
    let images = images.iter().collect();
    let table = Table { provenance: &provenance, classes: &classes, root: "images", images, columns: 2048 };
    Format::Safetensors.write(&path, &table, &mut std::io::repeat(0)).unwrap();
    assert_eq!(EmbeddingsFile::open(&path).unwrap().len(), 2000);

    let path = folder.path().join("head.safetensors");
    let labels: Vec<usize> = (0..1000).collect();
    let probabilities = Array2::from_elem((1000, 1000), 0.001_f32);
    let epoch = json!({ "train_loss": 0.25, "validation": { "loss": 0.5, "accuracy": 0.75 } });
    let head = Head {
        model: Model::Linear(Linear { weight: matrix(1000, 2048), bias: vec![0.0; 1000] }),
        thresholds: Some(vec![0.5; 1000]),
        fit: json!({ "history": vec![epoch; 2000] }),
        held_out: Some(HeldOut {
            set: "validation".to_owned(),
            metrics: Metrics::new(&classes, &labels, probabilities.mapv(f64::from).view()),
            images: None,
            paths: (0..1000).map(|row| format!("{row}.jpg")).collect(),
            labels,
            probabilities,
            map: matrix(1000, 2),
        }),
        classes,
        ..linear()
    };
    head.write(&path).unwrap();
    assert_eq!(Head::read(&path).unwrap(), head);
}

/// `cargo test --release --test strangers_files -- --ignored`, before the fuzzer is first run.
#[test]
#[ignore = "writes the fuzzer's seeds"]
fn write_seeds() {
    for (name, reader, bytes) in all() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(reader.fuzz_target());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }
}
