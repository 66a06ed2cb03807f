//! The network as steps, each from one place to another, whatever the size of the images.
//!
//! ```text
//! nodes ─▶ places: who shares memory with whom ─▶ steps, weights laid out
//!          a concatenation is one buffer; its branches are channels of it
//! ```
//!
//! A 1x1 convolution after an average pool is moved before it: both are linear, and the pool treats each channel alike, so
//! that the result is the same, and the pool has fewer channels to go through. Bias and ReLU stay behind the pool.

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::algorithm::Algorithm;
use super::convolution::{Convolution, KernelView, Numbers};
use super::kernels::{Kernels, Reduce};
use super::memory::Memory;
use super::pool::Pool;
use crate::inception::{Network, Node, NodeId, Op, Window};
use crate::weights::{ConvolutionWeights, Folded, Weights};

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
    Convolutions(Vec<Convolution>),
    Pool(Pool),
    GlobalAverage,
}

/// Some channels of a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// `None` for the images themselves.
    pub buffer: Option<usize>,
    /// The first of them.
    pub channel: usize,
    /// How many.
    pub channels: usize,
}

/// Memory of the size of a node's result.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    pub node: NodeId,
    pub channels: usize,
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
        if weights.variant() != network.variant() {
            bail!("weights of the variant {} in a network of the variant {}", weights.variant(), network.variant());
        }
        let nodes = network.nodes();
        let channels = channels(nodes);
        let mut buffers = Vec::new();
        let mut places = places(nodes, &channels, &mut buffers)?;
        let widest = buffers.iter().map(|buffer| buffer.channels).max().unwrap_or(0).max(3);
        let pooled = pooled_before(nodes);

        // Which works there are, in order; their weights are then laid out side by side on all threads.
        let mut drafts = Vec::new();
        for (id, node) in nodes.iter().enumerate() {
            let input = node.inputs.first().map(|&input| places[input]);
            let draft = |work, input, output| Draft { node: id, work, input, output };
            match (&node.op, input) {
                (Op::Convolution(_), Some(input)) => match node.inputs.iter().find(|&&pool| pooled[pool]) {
                    Some(&pool) => {
                        let before = places[nodes[pool].inputs[0]];
                        places[pool] = Place { buffer: Some(buffers.len()), channel: 0, channels: channels[id] };
                        buffers.push(Buffer { node: pool, channels: channels[id] });
                        drafts.push(draft(Task::Linear(id), before, places[pool]));
                        drafts.push(draft(Task::PoolOf { pool, convolution: id }, places[pool], places[id]));
                    }
                    None => drafts.push(draft(Task::Convolution(id), input, places[id])),
                },
                (Op::MaxPool(_) | Op::AveragePool { .. }, Some(input)) if !pooled[id] => {
                    drafts.push(draft(Task::Pool(id), input, places[id]));
                }
                (Op::GlobalAverage, Some(input)) => drafts.push(draft(Task::GlobalAverage, input, places[id])),
                _ => {}
            }
        }
        let steps = drafts.into_par_iter().map(|draft| {
            let work = draft.work.ready(nodes, weights, kernels, widest)?;
            Ok(Step { node: draft.node, work, input: draft.input, output: draft.output })
        });
        let steps = steps.collect::<Result<Vec<_>>>()?;
        let Some(&result) = places.last() else { bail!("a network without nodes") };
        Ok(Self { steps, buffers, result, zeros: Memory::zeroed(widest) })
    }
}

struct Draft {
    node: NodeId,
    work: Task,
    input: Place,
    output: Place,
}

enum Task {
    Convolution(NodeId),
    /// A convolution whose bias and ReLU wait behind a pool.
    Linear(NodeId),
    PoolOf {
        pool: NodeId,
        convolution: NodeId,
    },
    Pool(NodeId),
    GlobalAverage,
}

impl Task {
    fn ready(&self, nodes: &[Node], weights: &Weights, kernels: &dyn Kernels, widest: usize) -> Result<Work> {
        let none = f32::NEG_INFINITY;
        Ok(match *self {
            Self::Convolution(id) => {
                let Folded { kernel, bias } = weights_of(&nodes[id], weights)?.folded()?;
                convolution(&nodes[id], &kernel, &bias, 0.0, kernels)?
            }
            Self::Linear(id) => {
                let Folded { kernel, bias } = weights_of(&nodes[id], weights)?.folded()?;
                let bias = vec![0.0; bias.len()];
                convolution(&nodes[id], &kernel, &bias, none, kernels)?
            }
            Self::PoolOf { pool, convolution } => {
                let bias = weights_of(&nodes[convolution], weights)?.folded_bias()?;
                let mut in_place = Memory::zeroed(bias.len());
                in_place.copy_from_slice(&bias);
                pool_of(&nodes[pool], in_place, 0.0)?
            }
            Self::Pool(id) => pool_of(&nodes[id], Memory::zeroed(widest), none)?,
            Self::GlobalAverage => Work::GlobalAverage,
        })
    }
}

fn convolution(node: &Node, kernel: &[f32], bias: &[f32], floor: f32, kernels: &dyn Kernels) -> Result<Work> {
    let Op::Convolution(shape) = node.op else { bail!("{} is no convolution", node.name) };
    let kernel = &KernelView::new(&shape, kernel);
    let numbers = Numbers { kernel, bias, floor, accumulate: false, shared: false };
    Ok(Work::Convolutions(Convolution::all(shape, Algorithm::of(&shape), numbers, kernels)))
}

fn pool_of(node: &Node, bias: Memory, floor: f32) -> Result<Work> {
    let (reduce, window, counts_padding): (_, Window, _) = match node.op {
        Op::MaxPool(window) => (Reduce::Maximum, window, false),
        Op::AveragePool { window, counts_padding } => (Reduce::Mean, window, counts_padding),
        _ => bail!("{} is no pool", node.name),
    };
    Ok(Work::Pool(Pool { reduce, window, counts_padding, bias, floor }))
}

fn weights_of<'a>(node: &Node, weights: &'a Weights) -> Result<&'a ConvolutionWeights> {
    let Some(convolution) = weights.convolution(&node.name) else { bail!("{} has no weights", node.name) };
    Ok(convolution)
}

/// Channels of each node's result.
pub fn channels(nodes: &[Node]) -> Vec<usize> {
    let mut channels: Vec<usize> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let of_inputs = node.inputs.iter().map(|&input| channels[input]);
        channels.push(match &node.op {
            Op::Input => 3,
            Op::Convolution(convolution) => convolution.out_channels,
            Op::Concat => of_inputs.sum(),
            Op::MaxPool(_) | Op::AveragePool { .. } | Op::GlobalAverage => of_inputs.max().unwrap_or(0),
        });
    }
    channels
}

/// Average pools whose only reader is a 1x1 convolution, and that keep the size.
pub fn pooled_before(nodes: &[Node]) -> Vec<bool> {
    let readers = |id: NodeId| nodes.iter().filter(move |node| node.inputs.contains(&id));
    let keeps = |window: &Window| window.stride == 1 && (0..2).all(|i| window.kernel[i] == 2 * window.padding[i] + 1);
    let is_1x1 =
        |node: &Node| matches!(&node.op, Op::Convolution(c) if c.window.kernel == [1, 1] && c.window.stride == 1);
    let moves = |(id, node): (NodeId, &Node)| match &node.op {
        Op::AveragePool { window, .. } => keeps(window) && readers(id).count() == 1 && readers(id).all(is_1x1),
        _ => false,
    };
    nodes.iter().enumerate().map(moves).collect()
}

/// Gives each node a buffer, or its channels of the buffer of the concatenation that takes it.
fn places(nodes: &[Node], channels: &[usize], buffers: &mut Vec<Buffer>) -> Result<Vec<Place>> {
    let mut places: Vec<Option<Place>> = vec![None; nodes.len()];
    // Readers before what they read: a concatenation may be channels of a larger one.
    for (id, node) in nodes.iter().enumerate().rev() {
        let place = places[id].unwrap_or_else(|| {
            let buffer = (node.op != Op::Input).then(|| {
                buffers.push(Buffer { node: id, channels: channels[id] });
                buffers.len() - 1
            });
            Place { buffer, channel: 0, channels: channels[id] }
        });
        places[id] = Some(place);
        if node.op == Op::Concat {
            let mut channel = place.channel;
            for &input in &node.inputs {
                if places[input].is_some() {
                    bail!("{} is concatenated twice", nodes[input].name);
                }
                places[input] = Some(Place { buffer: place.buffer, channel, channels: channels[input] });
                channel += channels[input];
            }
        }
    }
    Ok(places.into_iter().flatten().collect())
}
