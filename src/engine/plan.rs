//! What is to be computed, in which order and between which places, before it is known where: what every planned engine begins with.
//!
//! ```text
//! nodes ─▶ places: who shares memory with whom ─▶ steps, each from one place to another
//!          a concatenation is one buffer; its branches are channels of it
//! ```
//!
//! A 1x1 convolution after an average pool is moved before it: both are linear, and the pool treats each channel alike, so
//! that the result is the same, and the pool has fewer channels to go through. Bias and ReLU stay behind the pool.

use candle_core::{Result, bail};

use crate::inception::{Network, Node, NodeId, Op, Window};

/// The steps of a network, and the buffers that they go between, whatever the size of the images.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order of computing.
    pub steps: Vec<Step>,
    /// What the places are channels of.
    pub buffers: Vec<Buffer>,
    /// Where the last node's result is.
    pub result: Place,
}

/// What is done, and between which places.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The node that it computes, or begins to.
    pub node: NodeId,
    /// How.
    pub task: Task,
    /// What it reads.
    pub input: Place,
    /// What it writes.
    pub output: Place,
}

/// One kind of step, and the nodes that say more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// max(0, convolution + bias).
    Convolution(NodeId),
    /// A convolution whose bias and ReLU wait behind a pool.
    Linear(NodeId),
    /// max(0, pool + bias), the bias being that of a convolution.
    PoolOf {
        /// The pool.
        pool: NodeId,
        /// Whose bias it is.
        convolution: NodeId,
    },
    /// A pool alone.
    Pool(NodeId),
    /// The mean of each channel.
    GlobalAverage,
}

/// Some channels of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// `None` for the images themselves.
    pub buffer: Option<usize>,
    /// The first of them.
    pub channel: usize,
    /// How many.
    pub channels: usize,
}

/// Memory of the size of a node's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The node.
    pub node: NodeId,
    /// Its channels.
    pub channels: usize,
}

impl Plan {
    /// Plans a network.
    ///
    /// # Errors
    /// Where it has no nodes, or one is concatenated twice.
    pub fn new(network: &Network) -> Result<Self> {
        let nodes = network.nodes();
        let channels = channels(nodes);
        let mut buffers = Vec::new();
        let mut places = places(nodes, &channels, &mut buffers)?;
        let pooled = pooled_before(nodes);
        let mut steps = Vec::new();
        for (id, node) in nodes.iter().enumerate() {
            let input = node.inputs.first().map(|&input| places[input]);
            let step = |task, input, output| Step { node: id, task, input, output };
            match (&node.op, input) {
                (Op::Convolution(_), Some(input)) => match node.inputs.iter().find(|&&pool| pooled[pool]) {
                    Some(&pool) => {
                        let before = places[nodes[pool].inputs[0]];
                        places[pool] = Place { buffer: Some(buffers.len()), channel: 0, channels: channels[id] };
                        buffers.push(Buffer { node: pool, channels: channels[id] });
                        steps.push(step(Task::Linear(id), before, places[pool]));
                        steps.push(step(Task::PoolOf { pool, convolution: id }, places[pool], places[id]));
                    }
                    None => steps.push(step(Task::Convolution(id), input, places[id])),
                },
                (Op::MaxPool(_) | Op::AveragePool { .. }, Some(input)) if !pooled[id] => {
                    steps.push(step(Task::Pool(id), input, places[id]));
                }
                (Op::GlobalAverage, Some(input)) => steps.push(step(Task::GlobalAverage, input, places[id])),
                _ => {}
            }
        }
        let Some(&result) = places.last() else { bail!("a network without nodes") };
        Ok(Self { steps, buffers, result })
    }
}

/// Channels of each node's result.
#[must_use]
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
#[must_use]
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
