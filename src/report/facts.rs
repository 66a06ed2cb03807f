//! How a head was fitted and by what its rows were made, as names and values.

use serde::Serialize;
use serde_json::Value;

use super::numbers::plain;
use crate::embeddings::Provenance;
use crate::head::{Head, Model};

/// Characters of a value that are shown.
const LONGEST_VALUE: usize = 200;

/// What the keys of a fit are called, in the order in which they are shown; others follow under their own names.
const LABELS: [(&str, &str); 20] = [
    ("head", "Head"),
    ("rows", "Images learnt from"),
    ("validation", "Part held out"),
    ("folds", "Folds"),
    ("class_weight", "Weight of a class"),
    ("alpha", "Alpha, the penalty"),
    ("loss", "Loss at the end"),
    ("gap", "Above the optimum, at most"),
    ("converged", "Converged"),
    ("hidden", "Hidden units"),
    ("epochs", "Epochs, at most"),
    ("best_epoch", "Best epoch"),
    ("batch_size", "Rows in a step"),
    ("learning_rate", "Learning rate"),
    ("dropout", "Dropout"),
    ("patience", "Patience, epochs"),
    ("target_precision", "Precision aimed at"),
    ("calibration_error_before", "Calibration error before calibration"),
    ("log_loss_before", "Log loss before calibration"),
    ("seed", "Seed"),
];
/// Lists too long for a table, which have charts.
const LISTS: [&str; 2] = ["search", "history"];

/// A name and its value.
#[derive(Debug, Serialize)]
pub(super) struct Fact {
    name: String,
    value: String,
    /// Whether it is for machines: a hash, JSON.
    is_code: bool,
}

/// A penalty that was tried, and the log loss that came of it.
pub(super) struct Tried {
    pub(super) alpha: f64,
    pub(super) log_loss: f64,
}

/// What came of one pass over the rows.
pub(super) struct Epoch {
    /// The mean loss of the rows trained on.
    pub(super) train: f64,
    /// That of the rows that training was stopped by.
    pub(super) watched: Option<f64>,
}

/// How the head was fitted.
pub(super) fn fit(head: &Head) -> Vec<Fact> {
    let mut facts = match &head.fit {
        Value::Object(fit) => {
            let known = LABELS.iter().filter_map(|&(key, label)| Some((label.to_owned(), fit.get(key)?)));
            let other = fit.iter().filter(|(key, _)| LABELS.iter().all(|(known, _)| known != key));
            let other = other.filter(|(key, _)| !LISTS.contains(&key.as_str()));
            known.chain(other.map(|(key, value)| (words(key), value))).map(|(name, value)| fact(name, value)).collect()
        }
        Value::Null => Vec::new(),
        value => vec![fact("Fit".to_owned(), value)],
    };
    let (kind, size) = match &head.model {
        Model::Linear(linear) => ("linear", linear.weight.len() + linear.bias.len()),
        Model::Dense(dense) => {
            ("dense", dense.weight1.len() + dense.bias1.len() + dense.weight2.len() + dense.bias2.len())
        }
    };
    facts.push(text("Form", format!("{kind}, {} numbers", plain(size as f64))));
    facts.push(text("Temperature", plain(head.temperature)));
    if head.thresholds.is_some() {
        facts.push(text("Thresholds", "one a class, in the table of classes".to_owned()));
    }
    facts
}

/// By what the rows were made.
pub(super) fn provenance(provenance: &Provenance) -> Vec<Fact> {
    let Provenance { weights, variant, preprocess, version } = provenance;
    let code = |name: &str, value: &str| Fact { name: name.to_owned(), value: value.to_owned(), is_code: true };
    vec![
        text("Network", format!("Inception-v3, variant {variant}")),
        code("Its weights, SHA-256", weights),
        code("Preprocessing", preprocess),
        text("headstock", version.clone()),
    ]
}

/// The search for a penalty, by rising penalty; empty where there was none.
pub(super) fn search(head: &Head) -> Vec<Tried> {
    let tried = |entry: &Value| {
        let number = |key: &str| entry.get(key).and_then(Value::as_f64).filter(|number| number.is_finite());
        Some(Tried { alpha: number("alpha").filter(|&alpha| alpha > 0.0)?, log_loss: number("log_loss")? })
    };
    let entries = head.fit.get("search").and_then(Value::as_array);
    let mut search: Vec<Tried> = entries.into_iter().flatten().filter_map(tried).collect();
    search.sort_by(|a, b| a.alpha.total_cmp(&b.alpha));
    if search.len() < 2 { Vec::new() } else { search }
}

/// How a dense head was trained, epoch by epoch; empty for others.
pub(super) fn history(head: &Head) -> Vec<Epoch> {
    let loss = |entry: Option<&Value>| entry.and_then(Value::as_f64).filter(|loss| loss.is_finite() && *loss >= 0.0);
    let epoch = |entry: &Value| {
        let watched = entry.get("validation").and_then(|validation| validation.get("loss"));
        Some(Epoch { train: loss(entry.get("train_loss"))?, watched: loss(watched) })
    };
    head.fit.get("history").and_then(Value::as_array).into_iter().flatten().map_while(epoch).collect()
}

fn text(name: &str, value: String) -> Fact {
    Fact { name: name.to_owned(), value, is_code: false }
}

fn fact(name: String, value: &Value) -> Fact {
    let (value, is_code) = match value {
        Value::Null => ("none".to_owned(), false),
        Value::Bool(true) => ("yes".to_owned(), false),
        Value::Bool(false) => ("no".to_owned(), false),
        Value::Number(number) => (number.as_f64().map_or_else(|| number.to_string(), plain), false),
        Value::String(text) => (text.clone(), false),
        Value::Array(_) | Value::Object(_) => (value.to_string(), true),
    };
    let value = if value.chars().count() > LONGEST_VALUE {
        value.chars().take(LONGEST_VALUE).chain(['…']).collect()
    } else {
        value
    };
    Fact { name, value, is_code }
}

/// `some_key` as `Some key`.
fn words(key: &str) -> String {
    let spaced = key.replace('_', " ");
    let mut characters = spaced.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
