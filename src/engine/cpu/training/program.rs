//! The steps past a border with all that the CPU needs for them, in both directions.

use candle_core::{Result, bail};

use super::super::super::trainable::BatchNorm;
pub use super::super::super::trainable::plan::{Buffer, Place};
use super::super::super::trainable::plan::{Plan, Task};
use super::super::kernels::Reduce;
use super::super::memory::Memory;
use super::super::pool::Pool;
use super::parameters::Parameters;
use super::unit::{Site, Unit};
use super::workers::Workers;
use crate::engine::weights_of;
use crate::inception::{Border, Network, Op, Window};
use crate::weights::Weights;

/// What is done, and between which places.
pub struct Step {
    pub work: Work,
    pub input: Place,
    pub output: Place,
    /// Whether the gradient by the input is needed, and whether it is added to what is there.
    pub by_input: Option<bool>,
}

impl Step {
    /// The convolution that it is, if it is one.
    pub fn unit(&self) -> Option<&Unit> {
        if let Work::Unit(unit) = &self.work { Some(unit) } else { None }
    }

    /// The same to be changed.
    pub fn unit_mut(&mut self) -> Option<&mut Unit> {
        if let Work::Unit(unit) = &mut self.work { Some(unit) } else { None }
    }
}

pub enum Work {
    Unit(Box<Unit>),
    Pool(Pool),
    GlobalAverage,
    /// What crosses, to its channels of a concatenation.
    Copy,
}

/// All that is known before the first batch.
pub struct Program {
    pub steps: Vec<Step>,
    /// First those of the border's groups.
    pub buffers: Vec<Buffer>,
    pub result: Place,
}

impl Program {
    /// # Errors
    /// A network whose places cannot be shared; those of candle.
    pub fn new(
        network: &Network,
        weights: &Weights,
        border: &Border,
        batch_norm: BatchNorm,
        parameters: &mut Parameters,
        workers: &Workers,
    ) -> Result<Self> {
        let nodes = network.nodes();
        let mut plan = Plan::new(network, border)?;
        let mut steps = Vec::new();
        for step in std::mem::take(&mut plan.steps) {
            let mut unit = |id: usize, pooled, linear| -> Result<Work> {
                let node = &nodes[id];
                let Op::Convolution(shape) = node.op else { bail!("{} is no convolution", node.name) };
                let numbers = weights_of(node, weights)?;
                let site = Site {
                    name: node.name.clone(),
                    shape,
                    pooled,
                    linear,
                    trains_kernel: border.trains_kernel(id),
                    trains_batch_norm: border.trains_batch_norm(id),
                    batch_norm,
                    by_input: step.by_input,
                };
                let mut unit = Unit::new(&site, numbers, parameters, workers)?;
                if unit.follows() {
                    unit.set_raw(plan.push_without_gradient(id, shape.out_channels));
                }
                Ok(Work::Unit(Box::new(unit)))
            };
            let work = match step.task {
                Task::Unit(id) => unit(id, None, None)?,
                Task::Pooled { unit: id, pool, linear } => {
                    let Op::AveragePool { window, counts_padding } = nodes[pool].op else {
                        bail!("{} is no average pool", nodes[pool].name)
                    };
                    unit(id, Some((window, counts_padding)), Some(linear))?
                }
                Task::Pool(id) => match nodes[id].op {
                    Op::MaxPool(window) => pool(Reduce::Maximum, window, false, step.output.channels),
                    Op::AveragePool { window, counts_padding } => {
                        pool(Reduce::Mean, window, counts_padding, step.output.channels)
                    }
                    _ => bail!("{} is no pool", nodes[id].name),
                },
                Task::GlobalAverage(_) => Work::GlobalAverage,
                Task::Copy => Work::Copy,
            };
            steps.push(Step { work, input: step.input, output: step.output, by_input: step.by_input });
        }
        Ok(Self { steps, buffers: plan.buffers, result: plan.result })
    }
}

fn pool(reduce: Reduce, window: Window, counts_padding: bool, channels: usize) -> Work {
    Work::Pool(Pool { reduce, window, counts_padding, bias: Memory::zeroed(channels), floor: f32::NEG_INFINITY })
}
