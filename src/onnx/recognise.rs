//! The steps of a graph, held to the description of the network: from its last concatenation back to the image.
//!
//! ```text
//! output ─▶ (softmax) ─▶ (classifier) ─▶ (mean) ─▶ last concatenation ═ Mixed_7c
//!                                                       │ inputs, one by one    │ inputs, one by one
//!                                                       ▼                       ▼
//!                                                   convolution          ═ Mixed_7c.branch1x1
//!                                                      ...                     ...
//!                                                     image              ═ input
//! ```
//!
//! Going back, every step has one place in the description, and it is compared there: kernel, stride, padding, what it reads. The order of
//! a concatenation is a part of that, as it is the order of the next kernels' channels.

use std::collections::BTreeMap;

use prost::bytes::Bytes;
use sha2::{Digest, Sha256};

use super::external::ExternalFiles;
use super::proto::{GraphProto, ModelProto};
use super::trace::{Arithmetic, Op as Made, StepId, Trace, Unfollowed};
use super::unit::{self, Unit};
use super::{FORMAT, OnnxError, PREPROCESS, input};
use crate::inception::{FEATURES, Network, Node, NodeId, Op, Variant, Window};
use crate::weights::hex;

/// An Inception-v3 out of an ONNX file.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// Which of the published networks it is, by its pools.
    pub variant: Variant,
    /// By torchvision's names, shapes and float32 numbers: those of [`expected_tensors`](crate::weights::expected_tensors), all of them.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// What the graph makes of the features, where it goes on.
    pub classifier: Option<Classifier>,
    /// The preprocessing, JSON, where the file is an export of ours.
    pub preprocess: Option<String>,
    /// The SHA-256 of the file; where numbers lie in others beside it, of all of them, one after the other.
    pub sha256: String,
}

/// The last layer of a network that was trained to classify.
#[derive(Clone, Debug, PartialEq)]
pub struct Classifier {
    /// [K, 2048], row by row.
    pub weight: Vec<f32>,
    /// `[K]`.
    pub bias: Vec<f32>,
}

/// Where a graph departs from the description.
struct Departure {
    /// Nodes of the description that were found before.
    found: usize,
    why: String,
}

/// Recognises the network in a graph; `sha256` is left to the caller, who has the files.
pub(super) fn recognise(model: &ModelProto, beside: &mut ExternalFiles) -> Result<Recognised, OnnxError> {
    let graph = model.graph.as_ref().ok_or(OnnxError::Format)?;
    let trace = Trace::of(graph, beside)?;
    let network = Network::new(variant(&trace));
    let (end, found) =
        network_end(&trace, graph, &network).map_err(|departure| OnnxError::Departure { departure: departure.why })?;
    input::require_known(&trace, found.first)?;
    let mut tensors = BTreeMap::new();
    for (node, unit) in found.units {
        unit.into_tensors(&network.nodes()[node].name, network.variant(), &mut tensors);
    }
    let said = |key: &str| model.metadata_props.iter().find(|entry| entry.key == key).map(|entry| &*entry.value);
    let preprocess = said(PREPROCESS).filter(|_| said("format") == Some(FORMAT)).map(str::to_owned);
    let classifier = end.classifier;
    Ok(Recognised { variant: network.variant(), tensors, classifier, preprocess, sha256: String::new() })
}

/// The SHA-256 of files one after the other.
pub(super) fn sha256(files: &[Bytes]) -> String {
    let mut digest = Sha256::new();
    for file in files {
        digest.update(file);
    }
    hex(&digest.finalize())
}

/// Which variant it would have to be: only one counts padding, only one has a maximum where the others have an average.
fn variant(trace: &Trace<'_>) -> Variant {
    let counts = trace.steps.iter().any(|step| match &step.op {
        Made::AveragePool { window, counts_padding } => {
            let is_padded = matches!(trace.steps[step.inputs[0]].op, Made::Pad(_));
            is_padded || (*counts_padding && window.padding != [0, 0])
        }
        _ => false,
    });
    let has_max = trace.steps.iter().any(|step| matches!(step.op, Made::MaxPool(Window { stride: 1, .. })));
    match (counts, has_max) {
        (true, _) => Variant::Torchvision,
        (false, true) => Variant::Tf2015,
        (false, false) => Variant::Keras,
    }
}

/// The first output that the network is behind; if there is none, the departure of the one that came furthest.
fn network_end<'a>(
    trace: &'a Trace<'_>,
    graph: &GraphProto,
    network: &'a Network,
) -> Result<(End, Found<'a>), Departure> {
    let mut furthest = Departure { found: 0, why: "it has no output".to_owned() };
    for output in &graph.output {
        let attempt = trace.output(output).map_err(|unfollowed| unfollowed_at(trace, unfollowed)).and_then(|step| {
            let end = End::behind(trace, step)?;
            Found::from(trace, network, end.maps).map(|found| (end, found))
        });
        match attempt {
            Ok(found) => return Ok(found),
            Err(departure) if departure.found >= furthest.found => furthest = departure,
            Err(_) => {}
        }
    }
    Err(furthest)
}

fn unfollowed_at(trace: &Trace<'_>, Unfollowed { node, because }: Unfollowed) -> Departure {
    Departure { found: 0, why: format!("{} is not followed: {because}", trace.shown(node)) }
}

/// What lies between the last maps and an output.
struct End {
    maps: StepId,
    classifier: Option<Classifier>,
}

impl End {
    /// Back from an output over softmax, classifier and mean, those of them that there are.
    fn behind(trace: &Trace<'_>, output: StepId) -> Result<Self, Departure> {
        let (mut step, mut classifier, mut shift) = (output, None, None);
        loop {
            let made = &trace.steps[step];
            let departs = |why: &str| Departure { found: 0, why: format!("{} {why}", trace.shown(made.node)) };
            match &made.op {
                Made::Softmax | Made::GlobalAverage => {}
                Made::Arithmetic { operation: Arithmetic::Plus, by } if classifier.is_none() && shift.is_none() => {
                    shift = Some(by);
                }
                Made::Linear { weight, out_first } if classifier.is_none() => {
                    let shift = shift.take().map(|by| &by.values[..]);
                    let read = classifier_of(&weight.shape(), &weight.floats(), *out_first, shift);
                    classifier = Some(read.ok_or_else(|| departs("is no classifier of 2048 features"))?);
                }
                Made::Concat if shift.is_none() => return Ok(Self { maps: step, classifier }),
                _ => {
                    return Err(departs(
                        "stands where the last concatenation of Mixed_7c, a mean or a classifier should be",
                    ));
                }
            }
            step = made.inputs[0];
        }
    }
}

/// The classifier of a matrix [K, 2048], or [2048, K].
fn classifier_of(shape: &[usize], floats: &[f32], out_first: bool, shift: Option<&[f64]>) -> Option<Classifier> {
    let ((&[classes, FEATURES], true) | (&[FEATURES, classes], false)) = (shape, out_first) else { return None };
    let bias = match shift {
        None => vec![0.0; classes],
        Some(&[one]) => vec![one as f32; classes],
        Some(shift) if shift.len() == classes => shift.iter().map(|&x| x as f32).collect(),
        Some(_) => return None,
    };
    let column = |class: usize| floats.iter().skip(class).step_by(classes.max(1)).copied();
    let weight = if out_first { floats.to_vec() } else { (0..classes).flat_map(column).collect() };
    Some(Classifier { weight, bias })
}

/// The steps that the nodes of the description turned out to be.
struct Found<'a> {
    trace: &'a Trace<'a>,
    network: &'a Network,
    /// By node.
    steps: Vec<Option<StepId>>,
    units: Vec<(NodeId, Unit)>,
    /// What stands for the image: the image itself, brought into a range.
    first: StepId,
}

impl<'a> Found<'a> {
    /// Follows the description back from its last maps.
    fn from(trace: &'a Trace<'a>, network: &'a Network, maps: StepId) -> Result<Self, Departure> {
        let steps = vec![None; network.nodes().len()];
        let mut found = Self { trace, network, steps, units: Vec::new(), first: 0 };
        let last = network.nodes().last().and_then(|mean| mean.inputs.first());
        // A network ends in a mean.
        if let Some(&last) = last {
            found.follow(last, maps)?;
        }
        Ok(found)
    }

    /// Holds a step to a node of the description, and what it reads to what the node reads.
    fn follow(&mut self, id: NodeId, step: StepId) -> Result<(), Departure> {
        let node = &self.network.nodes()[id];
        match self.steps[id].replace(step) {
            None => {}
            Some(before) if before == step => return Ok(()),
            Some(before) => {
                let made = self.shown(before);
                return Err(self.departure(step, &format!("is read where {made} should be, {}", node.name)));
            }
        }
        match &node.op {
            Op::Input => {
                self.first = step;
                Ok(())
            }
            Op::Concat => self.follow_all(node, step),
            Op::Convolution(convolution) => {
                let (unit, input) = unit::of(self.trace, step).map_err(|why| self.departure(step, &why))?;
                if unit.window != convolution.window || unit.shape != convolution.kernel_shape() {
                    let wanted = shown(node, &convolution.kernel_shape(), &convolution.window);
                    let is = shown_as(&unit.shape, &unit.window);
                    return Err(self.departure(step, &format!("ends a convolution of {is}, not of {wanted}")));
                }
                self.units.push((id, unit));
                self.follow(node.inputs[0], input)
            }
            Op::MaxPool(window) => match &self.trace.steps[step].op {
                Made::MaxPool(made) if made == window => self.follow(node.inputs[0], self.trace.steps[step].inputs[0]),
                _ => Err(self.stands_for(step, node)),
            },
            Op::AveragePool { window, counts_padding } => {
                let input = self.average(step, window, *counts_padding).ok_or_else(|| self.stands_for(step, node))?;
                self.follow(node.inputs[0], input)
            }
            Op::GlobalAverage => Err(self.stands_for(step, node)),
        }
    }

    /// What an average pool reads, where it is this one. Padding by a node of its own counts.
    fn average(&self, step: StepId, window: &Window, counts: bool) -> Option<StepId> {
        let made = &self.trace.steps[step];
        let Made::AveragePool { window: own, counts_padding } = &made.op else { return None };
        let before = &self.trace.steps[made.inputs[0]];
        match &before.op {
            Made::Pad(padding) if own.padding == [0, 0] => {
                (counts && Window { padding: *padding, ..*own } == *window).then_some(before.inputs[0])
            }
            _ => (own == window && *counts_padding == counts).then_some(made.inputs[0]),
        }
    }

    /// A concatenation: concatenations within one are one.
    fn follow_all(&mut self, node: &Node, step: StepId) -> Result<(), Departure> {
        let nodes = flat(node.inputs.clone(), |id| {
            let node = &self.network.nodes()[id];
            matches!(node.op, Op::Concat).then_some(&node.inputs)
        });
        if !matches!(self.trace.steps[step].op, Made::Concat) {
            return Err(self.stands_for(step, node));
        }
        let steps = flat(self.trace.steps[step].inputs.clone(), |step| {
            let step = &self.trace.steps[step];
            matches!(step.op, Made::Concat).then_some(&step.inputs)
        });
        if steps.len() != nodes.len() {
            let why = format!("puts together {} maps where {} are in {}", steps.len(), nodes.len(), node.name);
            return Err(self.departure(step, &why));
        }
        nodes.into_iter().zip(steps).try_for_each(|(id, step)| self.follow(id, step))
    }

    fn stands_for(&self, step: StepId, node: &Node) -> Departure {
        self.departure(step, &format!("stands where {}, {}, should be", node.name, node.op))
    }

    fn departure(&self, step: StepId, why: &str) -> Departure {
        let found = self.steps.iter().flatten().count();
        Departure { found, why: format!("{} {why}", self.shown(step)) }
    }

    fn shown(&self, step: StepId) -> String {
        self.trace.shown(self.trace.steps[step].node)
    }
}

/// Members, and in place of each that has members of its own those. No more than a few are ever right: then it ends.
fn flat<'b>(members: Vec<usize>, within: impl Fn(usize) -> Option<&'b Vec<usize>>) -> Vec<usize> {
    const MOST: usize = 64;
    let (mut flat, mut left) = (Vec::new(), members);
    left.reverse();
    while let Some(member) = left.pop() {
        match within(member) {
            Some(inner) if left.len() + inner.len() <= MOST => left.extend(inner.iter().rev()),
            _ => flat.push(member),
        }
        if flat.len() > MOST {
            break;
        }
    }
    flat
}

fn shown(node: &Node, shape: &[usize; 4], window: &Window) -> String {
    format!("{} as {} has", shown_as(shape, window), node.name)
}

/// `3x3, 32 to 64 channels, stride 2, padding 0 and 0`.
fn shown_as([out, input, height, width]: &[usize; 4], window: &Window) -> String {
    let [vertical, horizontal] = window.padding;
    format!(
        "{height}x{width}, {input} to {out} channels, stride {}, padding {vertical} and {horizontal}",
        window.stride
    )
}
