//! RMSprop with Keras' defaults, as an optimiser of candle-nn's.
//!
//! ```text
//! velocity = rho velocity + (1 - rho) gradient²
//! variable = variable - learning rate * gradient / sqrt(velocity + epsilon)
//! ```
//!
//! Both in place, each in one pass over memory: the first layer has two million weights, and as a chain of candle's
//! operations, with a fresh tensor each, a step would cost more than the gradients it follows.

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Result, Tensor, Var, bail};
use candle_nn::Optimizer;
use rayon::prelude::*;

/// How much of the mean square is kept a step.
const RHO: f32 = 0.9;
/// What keeps the divisor from zero; under the root, as in Keras.
const EPSILON: f32 = 1e-7;
/// Numbers that a thread takes at once.
const CHUNK: usize = 1 << 14;

/// RMSprop (Hinton 2012): not centred, without momentum.
#[derive(Debug)]
pub struct RmsProp {
    /// Each with its velocity, the running mean of the squares of its gradient.
    variables: Vec<(Var, Tensor)>,
    learning_rate: f64,
}

impl Optimizer for RmsProp {
    /// The learning rate.
    type Config = f64;

    fn new(variables: Vec<Var>, learning_rate: f64) -> Result<Self> {
        let with_velocity = |variable: Var| variable.zeros_like().map(|velocity| (variable, velocity));
        Ok(Self { variables: variables.into_iter().map(with_velocity).collect::<Result<_>>()?, learning_rate })
    }

    fn step(&mut self, gradients: &GradStore) -> Result<()> {
        for (variable, velocity) in &self.variables {
            if let Some(gradient) = gradients.get(variable) {
                let gradient = gradient.contiguous()?;
                velocity.inplace_op2(&gradient, &Accumulate)?;
                variable.inplace_op3(&gradient, velocity, &Move { learning_rate: self.learning_rate as f32 })?;
            }
        }
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }
}

/// The velocity's line.
struct Accumulate;

impl InplaceOp2 for Accumulate {
    fn name(&self) -> &'static str {
        "rmsprop-accumulate"
    }

    fn cpu_fwd(
        &self,
        velocity: &mut CpuStorage,
        velocity_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        let velocity = numbers_mut(velocity, velocity_layout)?;
        let gradient = numbers(gradient, gradient_layout)?;
        velocity.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).for_each(|(velocity, gradient)| {
            for (velocity, &gradient) in velocity.iter_mut().zip(gradient) {
                *velocity = *velocity * RHO + gradient * gradient * (1.0 - RHO);
            }
        });
        Ok(())
    }
}

/// The variable's line.
struct Move {
    learning_rate: f32,
}

impl InplaceOp3 for Move {
    fn name(&self) -> &'static str {
        "rmsprop-move"
    }

    fn cpu_fwd(
        &self,
        variable: &mut CpuStorage,
        variable_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        velocity: &CpuStorage,
        velocity_layout: &Layout,
    ) -> Result<()> {
        let variable = numbers_mut(variable, variable_layout)?;
        let gradient = numbers(gradient, gradient_layout)?;
        let velocity = numbers(velocity, velocity_layout)?;
        let steps = gradient.par_chunks(CHUNK).zip(velocity.par_chunks(CHUNK));
        variable.par_chunks_mut(CHUNK).zip(steps).for_each(|(variable, (gradient, velocity))| {
            for ((variable, &gradient), &velocity) in variable.iter_mut().zip(gradient).zip(velocity) {
                *variable -= self.learning_rate * gradient / (velocity + EPSILON).sqrt();
            }
        });
        Ok(())
    }
}

fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(numbers), Some((start, end))) => Ok(&numbers[start..end]),
        _ => bail!("RMSprop takes contiguous float32"),
    }
}

fn numbers_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(numbers), Some((start, end))) => Ok(&mut numbers[start..end]),
        _ => bail!("RMSprop takes contiguous float32"),
    }
}
