//! Heads with rows to look at, made up.

use headstock::embeddings::Provenance;
use headstock::head::{Dense, Head, HeldOut, Linear, Model};
use headstock::metrics::Metrics;
use ndarray::Array2;
use serde_json::json;

/// A row that a head did not learn from: where its image is, its class, what it was called and how surely.
pub struct HeldOutRow {
    pub path: String,
    pub label: usize,
    pub called: usize,
    pub sure: f32,
}

/// A linear head of these classes that says this of these rows. The probability that is left goes to the other classes
/// in equal parts.
pub fn head_of(classes: &[&str], rows: &[HeldOutRow], images: Option<&str>) -> Head {
    let k = classes.len();
    let probabilities = Array2::from_shape_fn((rows.len(), k), |(row, class)| {
        let HeldOutRow { called, sure, .. } = rows[row];
        if class == called { sure } else { (1.0 - sure) / (k - 1) as f32 }
    });
    let classes: Vec<String> = classes.iter().map(|&class| class.to_owned()).collect();
    let labels: Vec<usize> = rows.iter().map(|row| row.label).collect();
    let metrics = Metrics::new(&classes, &labels, probabilities.mapv(f64::from).view());
    let map = Array2::from_shape_fn((rows.len(), 2), |(row, axis)| {
        if axis == 0 { rows[row].label as f32 * 3.0 + row as f32 * 0.1 } else { (row % 5) as f32 }
    });
    let held_out = HeldOut {
        set: "out of fold".to_owned(),
        metrics,
        images: images.map(str::to_owned),
        paths: rows.iter().map(|row| row.path.clone()).collect(),
        labels,
        probabilities,
        map,
    };
    Head {
        model: Model::Linear(Linear { weight: Array2::ones((k, 4)), bias: vec![0.0; k] }),
        temperature: 1.25,
        thresholds: None,
        provenance: Provenance {
            weights: "0123".to_owned(),
            variant: "tf2015".to_owned(),
            preprocess: r#"{"preset":"tf"}"#.to_owned(),
            version: "0.1.0".to_owned(),
        },
        fit: json!({
            "head": "logistic", "alpha": 10.0, "folds": 5, "seed": 0,
            "search": [{ "alpha": 100.0, "log_loss": 0.5 }, { "alpha": 10.0, "log_loss": 0.25 }, { "alpha": 1.0, "log_loss": 0.3 }],
        }),
        held_out: Some(held_out),
        classes,
    }
}

/// The same with a hidden layer.
pub fn dense(head: Head) -> Head {
    let k = head.classes.len();
    let model = Model::Dense(Dense {
        weight1: Array2::ones((5, 4)),
        bias1: vec![0.0; 5],
        weight2: Array2::ones((k, 5)),
        bias2: vec![0.0; k],
    });
    Head { model, ..head }
}

/// `per_class` rows a class, `<class>/<number>.png`; of each class the first is called the class after it, the others what
/// they are.
pub fn rows(classes: &[&str], per_class: usize) -> Vec<HeldOutRow> {
    let all = classes.iter().enumerate().flat_map(|(label, class)| {
        (0..per_class).map(move |i| HeldOutRow {
            path: format!("{class}/{i}.png"),
            label,
            called: if i == 0 { (label + 1) % classes.len() } else { label },
            sure: 0.6 + 0.3 * (i as f32 / per_class as f32) + 0.01 * label as f32,
        })
    });
    all.collect()
}
