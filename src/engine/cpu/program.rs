//! The plan with the weights laid out: steps, each from one place to another, whatever the size of the images.
//!
//! ```text
//! Plan ─▶ steps, an algorithm each, weights laid out for it
//! ```

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::algorithm::Algorithm;
use super::convolution::{Epilogue, KernelView, LaidOut};
use super::kernels::{Kernels, Reduce};
use super::memory::Memory;
use super::pool::Pool;
use crate::engine::plan::{self, Buffer, Place, Plan, Task};
use crate::engine::{require_same_variant, weights_of};
use crate::inception::{Network, Node, NodeId, Op, Window};
use crate::weights::{Folded, Weights};

/// What is done, and between which places.
pub struct Step {
    /// The node that it computes, or begins to.
    pub node: NodeId,
    pub work: Work,
    pub input: Place,
    pub output: Place,
}

pub enum Work {
    /// One after the other, to the same output.
    Convolutions(Vec<LaidOut>),
    Pool(Pool),
    GlobalAverage,
}

/// All that is known before the first image.
pub struct Program {
    pub steps: Vec<Step>,
    pub buffers: Vec<Buffer>,
    /// Where the last node's result is.
    pub result: Place,
    /// Zeros for as many channels as any place has.
    pub zeros: Memory,
}

impl Program {
    /// Folds the batch norms, chooses algorithms, lays the weights out.
    ///
    /// # Errors
    /// Where the network and the weights are not of the same variant.
    pub fn new(network: &Network, weights: &Weights, kernels: &dyn Kernels) -> Result<Self> {
        require_same_variant(network, weights)?;
        let nodes = network.nodes();
        let Plan { steps, buffers, result } = Plan::new(network)?;
        let widest = buffers.iter().map(|buffer| buffer.channels).max().unwrap_or(0).max(3);
        // Weights are laid out side by side on all threads.
        let steps = steps.into_par_iter().map(|plan::Step { node, task, input, output }| {
            Ok(Step { node, work: work(task, nodes, weights, kernels, widest)?, input, output })
        });
        let steps = steps.collect::<Result<Vec<_>>>()?;
        Ok(Self { steps, buffers, result, zeros: Memory::zeroed(widest) })
    }
}

fn work(task: Task, nodes: &[Node], weights: &Weights, kernels: &dyn Kernels, widest: usize) -> Result<Work> {
    let none = f32::NEG_INFINITY;
    Ok(match task {
        Task::Convolution(id) => {
            let Folded { kernel, bias } = weights_of(&nodes[id], weights)?.folded()?;
            convolution(&nodes[id], &kernel, &bias, 0.0, kernels)?
        }
        Task::Linear(id) => {
            let Folded { kernel, bias } = weights_of(&nodes[id], weights)?.folded()?;
            let bias = vec![0.0; bias.len()];
            convolution(&nodes[id], &kernel, &bias, none, kernels)?
        }
        Task::PoolOf { pool, convolution } => {
            let bias = weights_of(&nodes[convolution], weights)?.folded_bias()?;
            let mut in_place = Memory::zeroed(bias.len());
            in_place.copy_from_slice(&bias);
            pool_of(&nodes[pool], in_place, 0.0)?
        }
        Task::Pool(id) => pool_of(&nodes[id], Memory::zeroed(widest), none)?,
        Task::GlobalAverage => Work::GlobalAverage,
    })
}

fn convolution(node: &Node, kernel: &[f32], bias: &[f32], floor: f32, kernels: &dyn Kernels) -> Result<Work> {
    let Op::Convolution(shape) = node.op else { bail!("{} is no convolution", node.name) };
    let kernel = &KernelView::new(&shape, kernel);
    let epilogue = Epilogue { bias, floor, accumulate: false };
    Ok(Work::Convolutions(LaidOut::all(shape, Algorithm::of(&shape), kernel, epilogue, kernels)))
}

fn pool_of(node: &Node, bias: Memory, floor: f32) -> Result<Work> {
    let (reduce, window, counts_padding): (_, Window, _) = match node.op {
        Op::MaxPool(window) => (Reduce::Maximum, window, false),
        Op::AveragePool { window, counts_padding } => (Reduce::Mean, window, counts_padding),
        _ => bail!("{} is no pool", node.name),
    };
    Ok(Work::Pool(Pool { reduce, window, counts_padding, bias, floor }))
}
