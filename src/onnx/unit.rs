//! A convolution, its batch norm and its ReLU, in however many steps they stand in the graph.
//!
//! Where the batch norm is there as it was trained, its numbers are kept. Where it was folded, or written out as arithmetic, what
//! is left is a scale and a shift of each channel: these become a batch norm of mean 0 and of a variance whose root with the epsilon is 1.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::numbers::Numbers;
use super::trace::{Arithmetic, Constant, Op, StepId, Trace};
use crate::inception::{Convolution, Variant, Window};

/// What a unit computes before its ReLU.
pub(super) struct Unit {
    /// `[out, in, height, width]`.
    pub(super) shape: [usize; 4],
    pub(super) window: Window,
    kernel: Constant,
    norm: Norm,
}

/// By channel: (x - mean) / sqrt(variance) * gamma + beta, epsilon within the variance.
#[derive(Clone, Debug)]
struct Norm {
    gamma: Vec<f64>,
    beta: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

/// The unit that ends with this step, and what it reads.
pub(super) fn of(trace: &Trace<'_>, last: StepId) -> Result<(Unit, StepId), String> {
    let relu = &trace.steps[last];
    if !matches!(relu.op, Op::Relu) {
        return Err("stands where the ReLU of a convolution should be".to_owned());
    }
    // Back to the convolution, then forward over what is done to its channels.
    let (mut after, mut step) = (Vec::new(), relu.inputs[0]);
    let (kernel, window) = loop {
        match &trace.steps[step].op {
            Op::Convolution { kernel, window } => break (kernel, *window),
            Op::Arithmetic { .. } | Op::BatchNorm { .. } if after.len() < MOST_STEPS => after.push(step),
            _ => {
                let other = trace.shown(trace.steps[step].node);
                return Err(format!("has {other} where a convolution should be before it"));
            }
        }
        step = trace.steps[step].inputs[0];
    };
    let shape: [usize; 4] = kernel.shape().try_into().map_err(|_| "ends no convolution of four axes".to_owned())?;
    let channels = shape[0];
    let too_many = || format!("normalises other than the {channels} channels of its convolution");
    let mut norm = None;
    for step in after.into_iter().rev() {
        norm = Some(then(norm, &trace.steps[step].op, channels).ok_or_else(too_many)?);
    }
    let norm = norm.unwrap_or_else(|| Norm::nothing(channels));
    let (window, input) = padded(trace, window, trace.steps[step].inputs[0]);
    Ok((Unit { shape, window, kernel: kernel.clone(), norm }, input))
}

/// Steps between a convolution and its ReLU: a batch norm written out has four.
const MOST_STEPS: usize = 16;

/// A window without padding over a map with zeros around it is one with padding.
fn padded(trace: &Trace<'_>, window: Window, input: StepId) -> (Window, StepId) {
    match &trace.steps[input].op {
        Op::Pad(padding) if window.padding == [0, 0] => {
            (Window { padding: *padding, ..window }, trace.steps[input].inputs[0])
        }
        _ => (window, input),
    }
}

impl Norm {
    /// That leaves everything as it is.
    fn nothing(channels: usize) -> Self {
        let [ones, zeros] = [1.0, 0.0].map(|x| vec![x; channels]);
        Self { gamma: ones.clone(), beta: zeros.clone(), mean: zeros, variance: ones }
    }

    /// As x * scale + shift.
    fn affine(&self) -> (Vec<f64>, Vec<f64>) {
        let scale: Vec<f64> =
            self.gamma.iter().zip(&self.variance).map(|(gamma, variance)| gamma / variance.sqrt()).collect();
        let shift = self.beta.iter().zip(&self.mean).zip(&scale).map(|((beta, mean), scale)| beta - mean * scale);
        (scale.clone(), shift.collect())
    }
}

/// What `norm` and then a step do; none where the step's numbers are not one for each channel.
fn then(norm: Option<Norm>, op: &Op, channels: usize) -> Option<Norm> {
    match (norm, op) {
        (None, Op::BatchNorm { gamma, beta, mean, variance, epsilon }) => Some(Norm {
            gamma: spread(gamma, channels)?,
            beta: spread(beta, channels)?,
            mean: spread(mean, channels)?,
            variance: spread(variance, channels)?.into_iter().map(|variance| variance + epsilon).collect(),
        }),
        (norm, op) => {
            let (scale, shift) = norm.unwrap_or_else(|| Norm::nothing(channels)).affine();
            let (by, offset) = affine_of(op, channels)?;
            let gamma = scale.iter().zip(&by).map(|(scale, by)| scale * by).collect();
            let beta = shift.iter().zip(&by).zip(&offset).map(|((shift, by), offset)| shift * by + offset).collect();
            Some(Norm { gamma, beta, ..Norm::nothing(channels) })
        }
    }
}

/// A step as x * scale + shift.
pub(super) fn affine_of(op: &Op, channels: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    match op {
        Op::Arithmetic { operation, by } => {
            let by = spread(by, channels)?;
            let [ones, zeros] = [1.0, 0.0].map(|x| vec![x; channels]);
            let negative = |by: &[f64]| by.iter().map(|x| -x).collect();
            Some(match operation {
                Arithmetic::Plus => (ones, by),
                Arithmetic::Minus => (ones, negative(&by)),
                Arithmetic::MinusFrom => (negative(&ones), by),
                Arithmetic::Times => (by, zeros),
                Arithmetic::Over => (by.into_iter().map(f64::recip).collect(), zeros),
            })
        }
        Op::BatchNorm { .. } => Some(then(None, op, channels)?.affine()),
        _ => None,
    }
}

/// One number for each channel.
fn spread(by: &Rc<Numbers>, channels: usize) -> Option<Vec<f64>> {
    match by.values[..] {
        [one] => Some(vec![one; channels]),
        _ if by.values.len() == channels => Some(by.values.clone()),
        _ => None,
    }
}

impl Unit {
    /// Adds the tensors of the convolution `name`. Where the variant has no gamma it goes into the kernel.
    pub(super) fn into_tensors(
        self,
        name: &str,
        variant: Variant,
        tensors: &mut BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    ) {
        let Norm { gamma, beta, mut mean, variance } = self.norm;
        let mut kernel = self.kernel.floats();
        let mut vector = |part: &str, values: Vec<f64>| {
            let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
            tensors.insert(format!("{name}.bn.{part}"), (vec![values.len()], values));
        };
        if variant.has_gamma() {
            vector("weight", gamma);
        } else if gamma.iter().any(|&gamma| (gamma - 1.0).abs() > 0.0) {
            let of_one = kernel.len() / gamma.len().max(1);
            for ((kernel, mean), gamma) in kernel.chunks_mut(of_one.max(1)).zip(&mut mean).zip(&gamma) {
                for weight in kernel {
                    *weight = (f64::from(*weight) * gamma) as f32;
                }
                *mean *= gamma;
            }
        }
        vector("bias", beta);
        vector("running_mean", mean);
        vector("running_var", variance.into_iter().map(|variance| variance - Convolution::EPSILON).collect());
        tensors.insert(format!("{name}.conv.weight"), (self.shape.to_vec(), kernel));
    }
}
