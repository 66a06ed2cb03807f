//! A head as JSON that any program can read: `probabilities = softmax(weight @ embedding + bias)`, and for a dense head the same with a
//! hidden layer before it. The temperature is in the numbers already.

use ndarray::Array2;
use serde_json::{Value, json};

use crate::head::{Dense, Head, Linear, Model};

/// What the JSON says under `format`.
const FORMAT: &str = "headstock.head-json/1";

/// All of a head that is needed to put it to work.
#[must_use]
pub fn head_json(head: &Head) -> Value {
    let provenance = &head.provenance;
    let preprocess: Value =
        serde_json::from_str(&provenance.preprocess).unwrap_or_else(|_| json!(provenance.preprocess));
    let mut json = json!({
        "format": FORMAT,
        "classes": head.classes,
        "features": head.features(),
        "temperature": head.temperature,
        "thresholds": head.thresholds,
        "variant": provenance.variant,
        "weights": provenance.weights,
        "preprocess": preprocess,
    });
    match &head.model {
        Model::Linear(Linear { weight, bias }) => {
            json["kind"] = json!("linear");
            json["weight"] = matrix(weight);
            json["bias"] = json!(bias);
        }
        Model::Dense(Dense { weight1, bias1, weight2, bias2 }) => {
            json["kind"] = json!("dense");
            json["dense1"] = json!({ "weight": matrix(weight1), "bias": bias1, "activation": "relu" });
            json["dense2"] = json!({ "weight": matrix(weight2), "bias": bias2 });
        }
    }
    json
}

/// A list a row.
fn matrix(matrix: &Array2<f32>) -> Value {
    matrix.rows().into_iter().map(|row| json!(row.to_vec())).collect()
}
