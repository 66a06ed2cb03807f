//! Heads and embeddings that were not fitted or extracted but made, so that a test need not wait for them.

use std::path::Path;

use headstock::dataset::Candidate;
use headstock::embeddings::{Format, Provenance, Table};
use headstock::head::{Dense, Head, Linear, Model};
use headstock::image::Preset;
use headstock::weights::Weights;
use ndarray::Array2;
use serde_json::json;

/// Numbers without a pattern, in (-1, 1).
pub fn numbers(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Array2::from_shape_simple_fn((rows, columns), || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// What `extract` writes of the network inside the binary and this preset.
pub fn provenance(preset: Preset) -> Provenance {
    let weights = Weights::embedded().unwrap();
    let mut preprocess = serde_json::to_value(preset.preprocess()).unwrap();
    preprocess["background"] = json!([255, 255, 255]);
    Provenance {
        weights: weights.sha256().to_owned(),
        variant: weights.variant().to_string(),
        preprocess: preprocess.to_string(),
        version: "0.0.1".to_owned(),
    }
}

/// A linear head with weights without a pattern.
pub fn linear_head(classes: &[&str], features: usize, provenance: Provenance) -> Head {
    let weight = numbers(classes.len(), features, 7) * 0.1;
    let bias = numbers(1, classes.len(), 8).into_raw_vec_and_offset().0;
    Head {
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
        model: Model::Linear(Linear { weight, bias }),
        temperature: 1.0,
        thresholds: None,
        provenance,
        fit: json!({}),
        held_out: None,
    }
}

/// The same with a hidden layer.
pub fn dense_head(classes: &[&str], features: usize, provenance: Provenance) -> Head {
    let model = Model::Dense(Dense {
        weight1: numbers(5, features, 1) * 0.1,
        bias1: vec![0.1; 5],
        weight2: numbers(classes.len(), 5, 2),
        bias2: vec![0.0; classes.len()],
    });
    Head { model, ..linear_head(classes, features, provenance) }
}

/// A file of embeddings: the first part of a path is its class, where there is one.
pub fn write_embeddings(out: &Path, images: &Path, paths: &[&str], rows: &Array2<f32>, provenance: &Provenance) {
    let class_of = |path: &str| path.split_once('/').map(|(class, _)| class.to_owned());
    let mut classes: Vec<String> = paths.iter().filter_map(|path| class_of(path)).collect();
    classes.sort();
    classes.dedup();
    let candidates: Vec<Candidate> = paths
        .iter()
        .map(|path| Candidate {
            path: (*path).to_owned(),
            class: class_of(path).map(|class| classes.binary_search(&class).unwrap() as u32),
        })
        .collect();
    let root = images.to_str().unwrap();
    let images = candidates.iter().collect();
    let table = Table { provenance, classes: &classes, root, images, columns: rows.ncols() };
    let bytes: Vec<u8> = rows.iter().flat_map(|number| number.to_le_bytes()).collect();
    Format::Safetensors.write(out, &table, &mut bytes.as_slice()).unwrap();
}
