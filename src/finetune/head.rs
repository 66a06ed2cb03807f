//! The head in training: a fitted head's weights as one flat vector, beside a vector of their gradients.
//!
//! ```text
//! features [B, F] ─▶ weight, bias ─────────────────────────────▶ logits [B, K]        linear
//! features [B, F] ─▶ weight1, bias1 ─▶ relu ─▶ weight2, bias2 ─▶ logits [B, K]        dense
//!          ◀───────────────────── backward ──────────────────────
//! ```
//!
//! It is small beside the network (K times 2048 numbers), and is on the CPU whatever the device. Products split no sum, so the bits do
//! not depend on the number of threads.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, ErrorKind, ShapeError};

use crate::head::{Dense, Linear, Model};

/// An affine map's place in the flat vectors: weight [outputs, inputs], then bias `[outputs]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layer {
    inputs: usize,
    outputs: usize,
    first: usize,
}

impl Layer {
    fn weight(&self) -> Range<usize> {
        self.first..self.first + self.inputs * self.outputs
    }

    fn bias(&self) -> Range<usize> {
        let first = self.weight().end;
        first..first + self.outputs
    }
}

/// A head whose weights change.
#[derive(Clone, Debug)]
pub struct TrainableHead {
    /// One, or two with a ReLU between them.
    layers: Vec<Layer>,
    values: Vec<f32>,
    gradients: Vec<f32>,
}

/// What a pass forward gives, and what the way back needs of it.
#[derive(Clone, Debug)]
pub struct HeadPass {
    /// [B, K].
    pub logits: Array2<f32>,
    /// What went into each layer but the first: [B, H].
    hidden: Option<Array2<f32>>,
}

impl TrainableHead {
    /// Starts from a fitted head.
    #[must_use]
    pub fn new(model: &Model) -> Self {
        let affine: Vec<(&Array2<f32>, &Vec<f32>)> = match model {
            Model::Linear(Linear { weight, bias }) => vec![(weight, bias)],
            Model::Dense(Dense { weight1, bias1, weight2, bias2 }) => vec![(weight1, bias1), (weight2, bias2)],
        };
        let (mut layers, mut values) = (Vec::new(), Vec::new());
        for (weight, bias) in affine {
            layers.push(Layer { inputs: weight.ncols(), outputs: weight.nrows(), first: values.len() });
            values.extend(weight);
            values.extend(bias);
        }
        Self { gradients: vec![0.0; values.len()], layers, values }
    }

    /// The head as it stands.
    ///
    /// # Errors
    /// None: the vectors are as long as the layers need.
    pub fn model(&self) -> Result<Model, ShapeError> {
        let part = |layer: &Layer| Ok((self.weight(layer)?.to_owned(), self.values[layer.bias()].to_vec()));
        let (weight, bias) = part(&self.layers[0])?;
        Ok(match self.layers.get(1) {
            None => Model::Linear(Linear { weight, bias }),
            Some(second) => {
                let (weight2, bias2) = part(second)?;
                Model::Dense(Dense { weight1: weight, bias1: bias, weight2, bias2 })
            }
        })
    }

    /// All weights: of each layer the matrix, row after row, and the bias.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The gradients, in the same order.
    #[must_use]
    pub fn gradients(&self) -> &[f32] {
        &self.gradients
    }

    /// Both, to be changed.
    pub fn values_and_gradients(&mut self) -> (&mut [f32], &mut [f32]) {
        (&mut self.values, &mut self.gradients)
    }

    /// The parts of the flat vectors that are matrices, which weight decay is for.
    #[must_use]
    pub fn matrices(&self) -> Vec<Range<usize>> {
        self.layers.iter().map(Layer::weight).collect()
    }

    /// Logits of features [B, F].
    ///
    /// # Errors
    /// Where the features are not as many as the head takes.
    pub fn forward(&self, features: ArrayView2<'_, f32>) -> Result<HeadPass, ShapeError> {
        if features.ncols() != self.layers[0].inputs {
            return Err(ShapeError::from_kind(ErrorKind::IncompatibleShape));
        }
        let affine = |layer: &Layer, rows: ArrayView2<'_, f32>| {
            Ok(rows.dot(&self.weight(layer)?.t()) + ArrayView1::from(&self.values[layer.bias()]))
        };
        let first = affine(&self.layers[0], features)?;
        Ok(match self.layers.get(1) {
            None => HeadPass { logits: first, hidden: None },
            Some(second) => {
                let hidden = first.mapv_into(|x| x.max(0.0));
                HeadPass { logits: affine(second, hidden.view())?, hidden: Some(hidden) }
            }
        })
    }

    /// Adds to the gradients those of a pass, given the loss's by the logits [B, K]. Gives that by the features [B, F].
    ///
    /// # Errors
    /// None for the features that the pass was made of.
    pub fn backward(
        &mut self,
        features: ArrayView2<'_, f32>,
        pass: &HeadPass,
        by_logits: Array2<f32>,
    ) -> Result<Array2<f32>, ShapeError> {
        let mut by_outputs = by_logits;
        for layer in self.layers.iter().rev() {
            let inputs = match &pass.hidden {
                Some(hidden) if layer.first > 0 => hidden.view(),
                _ => features.view(),
            };
            let (weight_gradient, bias_gradient) =
                self.gradients[layer.first..layer.bias().end].split_at_mut(layer.weight().len());
            let mut weight_gradient = matrix_mut(weight_gradient, layer)?;
            general_mat_mul(1.0, &by_outputs.t(), &inputs, 1.0, &mut weight_gradient);
            ArrayViewMut1::from(bias_gradient).scaled_add(1.0, &by_outputs.sum_axis(Axis(0)));
            let weight = matrix(&self.values[layer.weight()], layer)?;
            let mut by_inputs = by_outputs.dot(&weight);
            if layer.first > 0 {
                by_inputs.zip_mut_with(&inputs, |gradient, &x| *gradient = if x > 0.0 { *gradient } else { 0.0 });
            }
            by_outputs = by_inputs;
        }
        Ok(by_outputs)
    }

    fn weight(&self, layer: &Layer) -> Result<ArrayView2<'_, f32>, ShapeError> {
        matrix(&self.values[layer.weight()], layer)
    }
}

fn matrix<'a>(numbers: &'a [f32], layer: &Layer) -> Result<ArrayView2<'a, f32>, ShapeError> {
    ArrayView2::from_shape((layer.outputs, layer.inputs), numbers)
}

fn matrix_mut<'a>(numbers: &'a mut [f32], layer: &Layer) -> Result<ArrayViewMut2<'a, f32>, ShapeError> {
    ArrayViewMut2::from_shape((layer.outputs, layer.inputs), numbers)
}
