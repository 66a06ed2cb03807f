//! The nodes past a border as steps from one place to another, and which of them gradients go back through.
//!
//! What crosses the border is a buffer a group, a node there some of its channels. Past it each node has a buffer, or its channels of
//! the concatenation that reads it, as in the engine's own program. Here nothing is overwritten: the way back reads it all. Where
//! several nodes read one, its gradient is the sum of what they give; the last of them, the first on the way back, begins it.

use candle_core::{Result, bail};

use super::super::super::trainable::BatchNorm;
use super::super::kernels::Reduce;
use super::super::memory::Memory;
use super::super::pool::Pool;
use super::parameters::Parameters;
use super::unit::{Site, Unit};
use super::workers::Workers;
use crate::engine::{plan, weights_of};
use crate::inception::{Border, Network, NodeId, Op, Window};
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

/// Some channels of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub buffer: usize,
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
    /// Whether it has a gradient.
    pub has_gradient: bool,
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
        let is_past = |node: NodeId| border.past().contains(&node);
        let pooled = pooled_before(network, border);
        let mut plan = Plan::new(network, border, &pooled)?;
        let goes_back = goes_back(network, border);

        let mut drafts: Vec<(Draft, Place, Place)> = Vec::new();
        for &id in border.past() {
            let node = &nodes[id];
            let Some(&input) = node.inputs.first() else { bail!("{} reads nothing", node.name) };
            match node.op {
                Op::Convolution(_) if pooled[input] => {
                    let linear = plan.push(id, plan.channels[id]);
                    drafts.push((
                        Draft::Pooled { id, pool: input, linear },
                        plan.place(nodes[input].inputs[0])?,
                        plan.place(id)?,
                    ));
                }
                Op::Convolution(_) => drafts.push((Draft::Unit(id), plan.place(input)?, plan.place(id)?)),
                Op::MaxPool(_) | Op::AveragePool { .. } if pooled[id] => {}
                Op::MaxPool(_) | Op::AveragePool { .. } | Op::GlobalAverage => {
                    drafts.push((Draft::Other(id), plan.place(input)?, plan.place(id)?));
                }
                Op::Concat => {
                    let mut to = plan.place(id)?;
                    for &input in &node.inputs {
                        to.channels = plan.channels[input];
                        if !is_past(input) {
                            drafts.push((Draft::Copy, plan.place(input)?, to));
                        }
                        to.channel += to.channels;
                    }
                }
                Op::Input => bail!("{} is not past the border", node.name),
            }
        }

        // On the way back: who begins a gradient, and who adds to it.
        let mut begun: Vec<Place> = Vec::new();
        let mut by_inputs = vec![None; drafts.len()];
        for (position, (draft, input, _)) in drafts.iter().enumerate().rev() {
            let read = match draft {
                Draft::Unit(id) | Draft::Other(id) => nodes[*id].inputs[0],
                Draft::Pooled { pool, .. } => nodes[*pool].inputs[0],
                Draft::Copy => continue,
            };
            if goes_back[read] {
                by_inputs[position] = Some(begin(&mut begun, *input)?);
            }
        }

        let mut steps = Vec::new();
        for ((draft, input, output), by_input) in drafts.into_iter().zip(by_inputs) {
            let mut unit = |id: NodeId, pooled, linear| -> Result<Work> {
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
                    by_input,
                };
                let mut unit = Unit::new(&site, numbers, parameters, workers)?;
                if unit.follows() {
                    unit.set_raw(plan.push_without_gradient(id, shape.out_channels));
                }
                Ok(Work::Unit(Box::new(unit)))
            };
            let work = match draft {
                Draft::Unit(id) => unit(id, None, None)?,
                Draft::Pooled { id, pool, linear } => {
                    let Op::AveragePool { window, counts_padding } = nodes[pool].op else {
                        bail!("{} is no average pool", nodes[pool].name)
                    };
                    unit(id, Some((window, counts_padding)), Some(linear))?
                }
                Draft::Other(id) => match nodes[id].op {
                    Op::MaxPool(window) => pool(Reduce::Maximum, window, false, plan.channels[id]),
                    Op::AveragePool { window, counts_padding } => {
                        pool(Reduce::Mean, window, counts_padding, plan.channels[id])
                    }
                    _ => Work::GlobalAverage,
                },
                Draft::Copy => Work::Copy,
            };
            steps.push(Step { work, input, output, by_input });
        }
        let result = plan.place(nodes.len() - 1)?;
        Ok(Self { steps, buffers: plan.buffers, result })
    }
}

enum Draft {
    Unit(NodeId),
    Pooled { id: NodeId, pool: NodeId, linear: Place },
    Other(NodeId),
    Copy,
}

fn pool(reduce: Reduce, window: Window, counts_padding: bool, channels: usize) -> Work {
    Work::Pool(Pool { reduce, window, counts_padding, bias: Memory::zeroed(channels), floor: f32::NEG_INFINITY })
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
struct Plan {
    buffers: Vec<Buffer>,
    channels: Vec<usize>,
    places: Vec<Option<Place>>,
}

impl Plan {
    fn new(network: &Network, border: &Border, pooled: &[bool]) -> Result<Self> {
        let nodes = network.nodes();
        let mut plan = Self { buffers: Vec::new(), channels: channels(network), places: vec![None; nodes.len()] };
        for group in border.groups() {
            let buffer = plan.buffers.len();
            let Some(&node) = group.nodes.first() else { bail!("a group without nodes") };
            plan.buffers.push(Buffer { node, channels: group.channels, has_gradient: false });
            for &node in &group.nodes {
                if let Some((_, range)) = border.place(node) {
                    plan.places[node] = Some(Place { buffer, channel: range.start, channels: range.len() });
                }
            }
        }
        // Readers before what they read: a concatenation may be channels of a larger one.
        for &id in border.past().iter().rev().filter(|&&id| !pooled[id]) {
            let place = match plan.places[id] {
                Some(place) => place,
                None => plan.push(id, plan.channels[id]),
            };
            plan.places[id] = Some(place);
            if nodes[id].op == Op::Concat {
                let mut channel = place.channel;
                for &input in &nodes[id].inputs {
                    let channels = plan.channels[input];
                    if border.past().contains(&input) {
                        if plan.places[input].is_some() {
                            bail!("{} is concatenated twice", nodes[input].name);
                        }
                        plan.places[input] = Some(Place { buffer: place.buffer, channel, channels });
                    }
                    channel += channels;
                }
            }
        }
        Ok(plan)
    }

    fn place(&self, node: NodeId) -> Result<Place> {
        let Some(place) = self.places[node] else { bail!("node {node} has no place") };
        Ok(place)
    }

    fn push(&mut self, node: NodeId, channels: usize) -> Place {
        self.buffers.push(Buffer { node, channels, has_gradient: true });
        Place { buffer: self.buffers.len() - 1, channel: 0, channels }
    }

    fn push_without_gradient(&mut self, node: NodeId, channels: usize) -> Place {
        let place = self.push(node, channels);
        self.buffers[place.buffer].has_gradient = false;
        place
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
fn pooled_before(network: &Network, border: &Border) -> Vec<bool> {
    let mut pooled = plan::pooled_before(network.nodes());
    for (id, pooled) in pooled.iter_mut().enumerate() {
        *pooled &= border.past().contains(&id);
    }
    pooled
}

fn channels(network: &Network) -> Vec<usize> {
    plan::channels(network.nodes())
}
