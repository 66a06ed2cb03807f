//! Single operations of the network, forward and backward, as PyTorch computes them: what kernels are held to, whoever has them.
//!
//! ```text
//! for case in cases() {
//!     // case.input, case.kernel, case.by_output: flat, channels last; case.operation, case.window: what to do
//!     let (output, by_input, by_kernel) = kernels under test;
//!     assert!(case.error("output", &output) < BOUND, "{}", case.name);
//!     assert!(case.error("by_input", &by_input) < BOUND, "{}", case.name);
//!     assert!(case.error("by_kernel", &by_kernel) < BOUND, "{}", case.name);      // of a convolution
//! }
//! ```
//!
//! `by_output` is the gradient that comes in. The golden file, by `scripts/golden_finetune.py`, has sketches of float64 results on
//! these very float32 numbers, rounded to float32; so an exact result has an error near 1e-7.

use std::collections::HashMap;

use candle_core::Tensor;
use headstock::inception::Window;
use serde_json::Value;

use super::sketch::distance;
use super::{golden, golden_metadata, units};

/// What is done. The window is the case's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Without bias.
    Convolution,
    /// Of equal values the first, row by row, gets the gradient.
    MaxPool,
    AveragePool {
        counts_padding: bool,
    },
}

/// One operation on one input.
pub struct Case {
    pub name: String,
    pub operation: Operation,
    pub window: Window,
    /// `[batch, height, width, channels]`.
    pub input_shape: [usize; 4],
    pub input: Vec<f32>,
    /// `[out, in, height, width]`, of a convolution.
    pub kernel_shape: Option<[usize; 4]>,
    pub kernel: Option<Vec<f32>>,
    /// `[batch, rows, columns, out channels]`.
    pub output_shape: [usize; 4],
    /// The gradient by the output that comes in.
    pub by_output: Vec<f32>,
    /// `output`, `by_input`, `by_kernel`.
    sketches: HashMap<String, Vec<f32>>,
}

impl Case {
    /// The estimated relative L2 error of `output`, `by_input` or `by_kernel`.
    pub fn error(&self, part: &str, found: &[f64]) -> f64 {
        let length: usize = match part {
            "output" => self.output_shape.iter().product(),
            "by_input" => self.input_shape.iter().product(),
            _ => self.kernel_shape.unwrap().iter().product(),
        };
        assert_eq!(found.len(), length, "{}: {part}", self.name);
        let (distance, norm) = distance(&format!("{}/{part}", self.name), found, &self.sketches[part]);
        distance / norm
    }
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let tensors = golden("operation_gradients.safetensors");
    let cases = golden_metadata("operation_gradients.safetensors")["cases"].clone();
    let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
    cases.iter().map(|case| read(case, &tensors)).collect()
}

fn read(case: &Value, tensors: &HashMap<String, Tensor>) -> Case {
    let name = case["name"].as_str().unwrap().to_owned();
    let number = |key: &str| case[key].as_u64().unwrap() as usize;
    let operation = match case["op"].as_str().unwrap() {
        "convolution" => Operation::Convolution,
        "max_pool" => Operation::MaxPool,
        "average_pool" => Operation::AveragePool { counts_padding: false },
        "average_pool_counting" => Operation::AveragePool { counts_padding: true },
        other => panic!("{other}"),
    };
    let pair = |key: &str| -> [usize; 2] { serde_json::from_value(case[key].clone()).unwrap() };
    let window = Window { kernel: pair("kernel"), stride: number("stride"), padding: pair("padding") };
    let input_shape: [usize; 4] = serde_json::from_value(case["input"].clone()).unwrap();
    let [batch, height, width, channels] = input_shape;
    let [rows, columns] = window.places([height, width]).unwrap();
    let output_shape = [batch, rows, columns, number("out_channels")];
    let kernel_shape =
        (operation == Operation::Convolution).then(|| [output_shape[3], channels, window.kernel[0], window.kernel[1]]);
    let seeded = |part: &str, shape: [usize; 4], number: &dyn Fn(f32) -> f32| -> Vec<f32> {
        let name = format!("{name}/{part}");
        units(&name).take(shape.iter().product()).map(number).collect()
    };
    let both_signs = |u: f32| u * 2.0 - 1.0;
    let steps = number("steps") as f32;
    let rounded_down = |u: f32| (u * steps).floor() / steps;
    let parts = ["output", "by_input", "by_kernel"].into_iter();
    let sketches =
        parts.filter_map(|part| Some((part.to_owned(), tensors.get(&format!("{name}/{part}"))?.to_vec1().unwrap())));
    Case {
        operation,
        window,
        input_shape,
        input: seeded("input", input_shape, if steps > 0.0 { &rounded_down } else { &both_signs }),
        kernel: kernel_shape.map(|shape| seeded("kernel", shape, &both_signs)),
        kernel_shape,
        output_shape,
        by_output: seeded("by_output", output_shape, &both_signs),
        sketches: sketches.collect(),
        name,
    }
}
