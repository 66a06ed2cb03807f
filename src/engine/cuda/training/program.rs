//! The plan past a border with its units on the card.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::CudaStream;
use candle_core::{Error, bail};

use super::super::arithmetic::Arithmetic;
use super::super::error::Result;
use super::super::kernels::{Pool, Reduce};
use super::parameters::{Collected, Parameters};
use super::unit::Unit;
use crate::engine::trainable::plan::{Buffer, Place, Plan, Step, Task};
use crate::engine::weights_of;
use crate::inception::{Border, Network, NodeId, Op};
use crate::weights::Weights;

/// All that is known before the first batch.
pub struct Program {
    /// In the order of computing.
    pub steps: Vec<(Step, Work)>,
    /// First those of the border's groups.
    pub buffers: Vec<Buffer>,
    /// Where the features are.
    pub result: Place,
    /// All numbers of the units.
    pub parameters: Parameters,
}

/// What is done in a step.
pub enum Work {
    /// A convolution, batch norm and ReLU.
    Unit(Box<Unit>),
    /// The same with an average pool between convolution and batch norm.
    Pooled {
        /// Without the pool.
        unit: Box<Unit>,
        /// Where what the convolution gives is.
        linear: Place,
        /// The pool; bias and ReLU are the unit's.
        pool: Pool,
    },
    /// A pool, or a copy.
    Pool(Pool),
    /// The mean of each channel.
    GlobalAverage,
}

impl Program {
    /// Takes the part of a network past a border to the card.
    ///
    /// # Errors
    /// A network whose places cannot be shared; those of candle and of the driver.
    pub fn new(
        network: &Network,
        weights: &Weights,
        border: &Border,
        (stream, arithmetic): (&Arc<CudaStream>, Arithmetic),
    ) -> Result<Self> {
        let plan = Plan::new(network, border)?;
        let mut collected = Collected::default();
        let mut unit = |id: NodeId| -> Result<Box<Unit>> {
            let node = &network.nodes()[id];
            let Op::Convolution(shape) = node.op else {
                return Err(Error::msg(format!("{} is no convolution", node.name)).into());
            };
            let numbers = weights_of(node, weights)?;
            let on = (stream, arithmetic);
            Ok(Box::new(Unit::new((&node.name, id), shape, numbers, border, &mut collected, on)?))
        };
        let mut steps = Vec::new();
        for step in plan.steps {
            let work = match step.task {
                Task::Unit(id) => Work::Unit(unit(id)?),
                Task::Pooled { unit: id, pool: of, linear } => {
                    let unit = unit(id)?;
                    let pool = Pool { bias: Some(unit.shifts()), relu: true, ..pool(network, of)? };
                    Work::Pooled { unit, linear, pool }
                }
                Task::Pool(id) => Work::Pool(pool(network, id)?),
                Task::GlobalAverage(_) => Work::GlobalAverage,
                Task::Copy => Work::Pool(Pool::COPY),
            };
            steps.push((step, work));
        }
        let parameters = Parameters::new(stream, &collected)?;
        Ok(Self { steps, buffers: plan.buffers, result: plan.result, parameters })
    }

    /// All units, in the order of the network.
    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.steps.iter().filter_map(|(_, work)| work.unit())
    }
}

impl Work {
    /// Its unit, if it has one.
    pub fn unit(&self) -> Option<&Unit> {
        match self {
            Self::Unit(unit) | Self::Pooled { unit, .. } => Some(unit),
            Self::Pool(_) | Self::GlobalAverage => None,
        }
    }
}

fn pool(network: &Network, id: NodeId) -> candle_core::Result<Pool> {
    let node = &network.nodes()[id];
    let (reduce, window) = match node.op {
        Op::MaxPool(window) => (Reduce::Maximum, window),
        Op::AveragePool { window, counts_padding } => (Reduce::Mean { counts_padding }, window),
        _ => bail!("{} is no pool", node.name),
    };
    Ok(Pool { reduce, window, bias: None, relu: false })
}
