//! The nodes past a border as steps from one place to another, and which of them gradients go back through: what every planned
//! [`Trainable`](super::Trainable) begins with.
//!
//! ```text
//! nodes past the border ─▶ places: who shares memory with whom ─▶ steps, each from one place to another
//!                                                            ◀── who begins a gradient, and who adds to it
//! ```
//!
//! What crosses the border is a buffer a group, a node there some of its channels. Past it each node has a buffer, or its channels of
//! the concatenation that reads it, as in the engines' own plan. Here nothing is overwritten: the way back reads it all. Where
//! several nodes read one, its gradient is the sum of what they give; the last of them, the first on the way back, begins it.
//!
//! A 1x1 convolution after an average pool is moved before it, as in [`plan`](crate::engine::plan): the pool has fewer channels then.

use candle_core::{Result, Tensor, bail};

use crate::engine::plan::{channels, pooled_before};
use crate::inception::{Border, Network, Node, NodeId, Op, Window};

/// All that is known before the first batch.
pub struct Plan {
    /// In the order of computing.
    pub steps: Vec<Step>,
    /// First those of the border's groups.
    pub buffers: Vec<Buffer>,
    /// Where the features are.
    pub result: Place,
}

/// What is done, and between which places.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// How.
    pub task: Task,
    /// What it reads.
    pub input: Place,
    /// What it writes.
    pub output: Place,
    /// Whether the gradient by the input is needed, and whether it is added to what is there.
    pub by_input: Option<bool>,
}

/// One kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A convolution with its batch norm and its ReLU,
    Unit(NodeId),
    /// and one that stands before an average pool.
    Pooled {
        /// The convolution.
        unit: NodeId,
        /// The pool.
        pool: NodeId,
        /// Where what the convolution gives is.
        linear: Place,
    },
    /// A pool alone.
    Pool(NodeId),
    /// The mean of each channel.
    GlobalAverage(NodeId),
    /// What crosses, to its channels of a concatenation.
    Copy,
}

/// Some channels of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub buffer: usize,
    /// The first of them.
    pub channel: usize,
    /// How many.
    pub channels: usize,
}

/// Memory of the size of a node's result.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// The node.
    pub node: NodeId,
    /// Its channels.
    pub channels: usize,
    /// Whether it has a gradient.
    pub has_gradient: bool,
}

impl Plan {
    /// Plans what is past a border.
    ///
    /// # Errors
    /// A network whose places cannot be shared.
    pub fn new(network: &Network, border: &Border) -> Result<Self> {
        let nodes = network.nodes();
        let pooled = pooled_past(network, border);
        let mut places = Places::new(network, border, &pooled)?;
        let mut steps = Vec::new();
        for &id in border.past() {
            let node = &nodes[id];
            let Some(&input) = node.inputs.first() else { bail!("{} reads nothing", node.name) };
            let step = |task, input, output| Step { task, input, output, by_input: None };
            match node.op {
                Op::Convolution(_) if pooled[input] => {
                    let linear = places.push(id, places.channels[id]);
                    let task = Task::Pooled { unit: id, pool: input, linear };
                    steps.push(step(task, places.of(nodes[input].inputs[0])?, places.of(id)?));
                }
                Op::Convolution(_) => steps.push(step(Task::Unit(id), places.of(input)?, places.of(id)?)),
                Op::MaxPool(_) | Op::AveragePool { .. } if pooled[id] => {}
                Op::MaxPool(_) | Op::AveragePool { .. } => {
                    steps.push(step(Task::Pool(id), places.of(input)?, places.of(id)?));
                }
                Op::GlobalAverage => steps.push(step(Task::GlobalAverage(id), places.of(input)?, places.of(id)?)),
                Op::Concat => {
                    let mut to = places.of(id)?;
                    for &input in &node.inputs {
                        to.channels = places.channels[input];
                        if !border.past().contains(&input) {
                            steps.push(step(Task::Copy, places.of(input)?, to));
                        }
                        to.channel += to.channels;
                    }
                }
                Op::Input => bail!("{} is not past the border", node.name),
            }
        }

        // On the way back: who begins a gradient, and who adds to it.
        let goes_back = goes_back(network, border);
        let mut begun: Vec<Place> = Vec::new();
        for step in steps.iter_mut().rev() {
            let read = match step.task {
                Task::Unit(id) | Task::Pooled { pool: id, .. } | Task::Pool(id) | Task::GlobalAverage(id) => {
                    nodes[id].inputs[0]
                }
                Task::Copy => continue,
            };
            if goes_back[read] {
                step.by_input = Some(begin(&mut begun, step.input)?);
            }
        }
        let result = places.of(nodes.len() - 1)?;
        Ok(Self { steps, buffers: places.buffers, result })
    }

    /// More memory of the size of a node's result, which has no gradient.
    pub fn push_without_gradient(&mut self, node: NodeId, channels: usize) -> Place {
        self.buffers.push(Buffer { node, channels, has_gradient: false });
        Place { buffer: self.buffers.len() - 1, channel: 0, channels }
    }
}

/// How many images there are, and `[height, width]` of the maps of each node that has any past a border, given what crosses:
/// `[images, height, width, channels]` a group.
///
/// # Errors
/// Maps of another number, or of other channels; maps that are too small.
pub fn sizes(network: &Network, border: &Border, maps: &[Tensor]) -> Result<(usize, Vec<[usize; 2]>)> {
    let groups = border.groups();
    if maps.len() != groups.len() {
        bail!("{} groups of maps cross the border, these are {}", groups.len(), maps.len());
    }
    let nodes = network.nodes();
    let mut sizes = vec![[0; 2]; nodes.len()];
    let images = maps.first().map_or(Ok(0), |maps| maps.dim(0))?;
    for (group, maps) in groups.iter().zip(maps) {
        let (count, height, width, channels) = maps.dims4()?;
        if channels != group.channels || count != images {
            bail!("{images} maps of {} channels cross the border, these are {count} of {channels}", group.channels);
        }
        for &node in &group.nodes {
            sizes[node] = [height, width];
        }
    }
    for &id in border.past() {
        sizes[id] = size(&nodes[id], sizes[nodes[id].inputs[0]])?;
    }
    Ok((images, sizes))
}

/// The size of what a node gives.
fn size(node: &Node, of_input: [usize; 2]) -> Result<[usize; 2]> {
    let places = |window: &Window| -> Result<[usize; 2]> {
        let [height, width] = of_input;
        let Some(places) = window.places(of_input) else {
            bail!("maps of {height}x{width} are too small: nothing is left of them at {}", node.name)
        };
        Ok(places)
    };
    match &node.op {
        Op::Convolution(convolution) => places(&convolution.window),
        Op::MaxPool(window) | Op::AveragePool { window, .. } => places(window),
        Op::GlobalAverage => Ok([1, 1]),
        Op::Input | Op::Concat => Ok(of_input),
    }
}

/// Whether the gradient of a place is begun already, and that it is now.
fn begin(begun: &mut Vec<Place>, place: Place) -> Result<bool> {
    let end = |place: &Place| place.channel + place.channels;
    let overlaps =
        |other: &&Place| other.buffer == place.buffer && other.channel < end(&place) && place.channel < end(other);
    match begun.iter().find(overlaps) {
        None => {
            begun.push(place);
            Ok(false)
        }
        Some(other) if other.channel <= place.channel && end(&place) <= end(other) => Ok(true),
        Some(_) => bail!("a concatenation and one of its branches are read by different nodes"),
    }
}

/// Places being given away.
struct Places {
    buffers: Vec<Buffer>,
    channels: Vec<usize>,
    by_node: Vec<Option<Place>>,
}

impl Places {
    fn new(network: &Network, border: &Border, pooled: &[bool]) -> Result<Self> {
        let nodes = network.nodes();
        let mut given = Self { buffers: Vec::new(), channels: channels(nodes), by_node: vec![None; nodes.len()] };
        for group in border.groups() {
            let buffer = given.buffers.len();
            let Some(&node) = group.nodes.first() else { bail!("a group without nodes") };
            given.buffers.push(Buffer { node, channels: group.channels, has_gradient: false });
            for &node in &group.nodes {
                if let Some((_, range)) = border.place(node) {
                    given.by_node[node] = Some(Place { buffer, channel: range.start, channels: range.len() });
                }
            }
        }
        // Readers before what they read: a concatenation may be channels of a larger one.
        for &id in border.past().iter().rev().filter(|&&id| !pooled[id]) {
            let place = match given.by_node[id] {
                Some(place) => place,
                None => given.push(id, given.channels[id]),
            };
            given.by_node[id] = Some(place);
            if nodes[id].op == Op::Concat {
                let mut channel = place.channel;
                for &input in &nodes[id].inputs {
                    let channels = given.channels[input];
                    if border.past().contains(&input) {
                        if given.by_node[input].is_some() {
                            bail!("{} is concatenated twice", nodes[input].name);
                        }
                        given.by_node[input] = Some(Place { buffer: place.buffer, channel, channels });
                    }
                    channel += channels;
                }
            }
        }
        Ok(given)
    }

    fn of(&self, node: NodeId) -> Result<Place> {
        let Some(place) = self.by_node[node] else { bail!("node {node} has no place") };
        Ok(place)
    }

    fn push(&mut self, node: NodeId, channels: usize) -> Place {
        self.buffers.push(Buffer { node, channels, has_gradient: true });
        Place { buffer: self.buffers.len() - 1, channel: 0, channels }
    }
}

/// By node, whether a gradient has to come to its result: where something behind it, or of itself, is trained.
fn goes_back(network: &Network, border: &Border) -> Vec<bool> {
    let mut goes_back: Vec<bool> = Vec::with_capacity(network.nodes().len());
    for (id, node) in network.nodes().iter().enumerate() {
        let is_trained = border.trains_kernel(id) || border.trains_batch_norm(id);
        goes_back.push(is_trained || node.inputs.iter().any(|&input| goes_back[input]));
    }
    goes_back
}

/// By node, whether it is an average pool past the border that keeps the size and that only a 1x1 convolution reads.
fn pooled_past(network: &Network, border: &Border) -> Vec<bool> {
    let mut pooled = pooled_before(network.nodes());
    for (id, pooled) in pooled.iter_mut().enumerate() {
        *pooled &= border.past().contains(&id);
    }
    pooled
}
