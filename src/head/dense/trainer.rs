//! One step of training: the loss of a batch, its gradients, the optimiser's move.
//!
//! ```text
//! rows ─▶ @ kernel1 + bias1 ─▶│ relu ─▶ dropout ─▶ @ kernel2 + bias2 ─▶ log softmax ─▶ loss
//!                             └─ the tape begins here
//! ```
//!
//! candle's tape would work out the gradient for the rows too, which nobody asks for and which costs as much as the first
//! layer's own. So the tape begins behind the first product, and the first layer's gradients are written out: two lines.
//!
//! Kernels are kept as [inputs, outputs], as in Keras, so that neither direction copies a transposed one. candle's
//! products split what they give, never a sum, and all else is number by number: the bits are the same for any number of threads.

use candle_core::{D, Device, Result, Tensor, Var};
use candle_nn::{Optimizer, ops};
use ndarray::Array2;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Batch, Dense, RmsProp};

/// A head in training.
pub struct Trainer {
    /// [F, H].
    kernel1: Var,
    /// `[H]`.
    bias1: Var,
    /// [H, K].
    kernel2: Var,
    /// `[K]`.
    bias2: Var,
    dropout: Option<Dropout>,
    optimiser: RmsProp,
}

/// Hidden units left out by chance, others in each step and for each row; those that stay are scaled up to make up for it.
#[derive(Clone, Debug)]
pub struct Dropout {
    /// The part that is left out, in [0, 1).
    pub rate: f64,
    /// Decides which.
    pub rng: ChaCha8Rng,
}

impl Trainer {
    /// Training that starts from these weights.
    ///
    /// # Errors
    /// Those of candle.
    pub fn new(start: &Dense, learning_rate: f64, dropout: Option<Dropout>) -> Result<Self> {
        let Dense { weight1, bias1, weight2, bias2 } = start;
        let bias = |bias: &[f32]| Var::from_slice(bias, bias.len(), &Device::Cpu);
        let (kernel1, bias1, kernel2, bias2) = (kernel(weight1)?, bias(bias1)?, kernel(weight2)?, bias(bias2)?);
        let variables = [&kernel1, &bias1, &kernel2, &bias2].map(Var::clone).to_vec();
        let optimiser = RmsProp::new(variables, learning_rate)?;
        Ok(Self { kernel1, bias1, kernel2, bias2, dropout, optimiser })
    }

    /// One step. Gives the loss of the batch before it.
    ///
    /// # Errors
    /// Those of candle.
    pub fn step(&mut self, batch: Batch) -> Result<f32> {
        let count = batch.labels.len();
        let features = self.kernel1.dim(0)?;
        let rows = Tensor::from_vec(batch.rows, (count, features), &Device::Cpu)?;
        let labels = Tensor::from_vec(batch.labels, (count, 1), &Device::Cpu)?;
        let weights = Tensor::from_vec(batch.weights, (count, 1), &Device::Cpu)?;

        let hidden = Var::from_tensor(&rows.matmul(&self.kernel1)?.broadcast_add(&self.bias1)?)?;
        let mut active = hidden.relu()?;
        if let Some(dropout) = &mut self.dropout {
            active = (active * dropout.mask(hidden.dims2()?)?)?;
        }
        let logits = active.matmul(&self.kernel2)?.broadcast_add(&self.bias2)?;
        let loss = cross_entropy(&logits, &labels, &weights)?;

        let mut gradients = loss.backward()?;
        if let Some(gradient) = gradients.remove(&hidden) {
            gradients.insert(&self.kernel1, rows.t()?.matmul(&gradient)?);
            gradients.insert(&self.bias1, gradient.sum(0)?);
        }
        self.optimiser.step(&gradients)?;
        loss.to_scalar()
    }

    /// The head as it stands.
    ///
    /// # Errors
    /// Those of candle.
    pub fn dense(&self) -> Result<Dense> {
        Ok(Dense {
            weight1: weight(&self.kernel1)?,
            bias1: self.bias1.to_vec1()?,
            weight2: weight(&self.kernel2)?,
            bias2: self.bias2.to_vec1()?,
        })
    }
}

impl Dropout {
    /// 0 for what is left out, 1 / (1 - rate) for what stays.
    fn mask(&mut self, shape: (usize, usize)) -> Result<Tensor> {
        let kept = (1.0 / (1.0 - self.rate)) as f32;
        let one = || if f64::from(self.rng.random::<f32>()) < self.rate { 0.0 } else { kept };
        let mask: Vec<f32> = std::iter::repeat_with(one).take(shape.0 * shape.1).collect();
        Tensor::from_vec(mask, shape, &Device::Cpu)
    }
}

/// Categorical cross-entropy of logits [B, K], labels and weights [B, 1], as Keras reduces it: the weighted losses' sum,
/// divided by B, not by the sum of the weights.
fn cross_entropy(logits: &Tensor, labels: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let log_p = ops::log_softmax(logits, D::Minus1)?.gather(labels, 1)?;
    (log_p * weights)?.sum_all()?.affine(-1.0 / labels.dim(0)? as f64, 0.0)
}

/// [outputs, inputs] as a variable [inputs, outputs].
fn kernel(weight: &Array2<f32>) -> Result<Var> {
    let (outputs, inputs) = weight.dim();
    Var::from_vec(weight.t().iter().copied().collect(), (inputs, outputs), &Device::Cpu)
}

/// A variable [inputs, outputs] as [outputs, inputs].
fn weight(kernel: &Var) -> Result<Array2<f32>> {
    let (inputs, outputs) = kernel.dims2()?;
    let transposed = kernel.t()?.contiguous()?.flatten_all()?.to_vec1()?;
    Array2::from_shape_vec((outputs, inputs), transposed).map_err(candle_core::Error::wrap)
}
