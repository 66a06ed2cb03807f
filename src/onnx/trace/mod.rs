//! A graph followed from its input on: what each node does to the maps of an image, in few words that all exporters' graphs come down
//! to.
//!
//! ```text
//! nodes, in order ─▶ names ─▶ constant   numbers known now (`constants`)
//!                         ├─▶ map        a step: what made it, of which steps (`maps`)
//!                         └─▶ unfollowed the first node of its past that is none of this, and why
//! ```
//!
//! Graphs differ in what is beside the point: layouts and transposes, where a batch norm is folded, in how many nodes an average is written
//! down. That is settled here: a step is free of layout, because a map knows which of its axes is which. A node that is not understood is
//! no error yet. It is one if what it makes turns out to be a part of the network.

mod constants;
mod maps;
mod node;

use std::collections::HashMap;
use std::rc::Rc;

pub(super) use constants::Constant;
use node::Node;

use super::external::ExternalFiles;
use super::numbers::{Numbers, Stored};
use super::proto::{GraphProto, TensorProto, ValueInfoProto};
use super::{OnnxError, named};
use crate::inception::Window;

/// The position of a step; what it is made of has smaller ones.
pub(super) type StepId = usize;

/// One operation on maps.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) op: Op,
    pub(super) inputs: Vec<StepId>,
    /// Position of the node in the graph.
    pub(super) node: usize,
}

/// What a step computes, channels last or first alike.
#[derive(Debug)]
pub(super) enum Op {
    /// What the graph is given.
    Image,
    /// Some of the channels, by position.
    Channels(Vec<usize>),
    /// Kernel [out, in, height, width].
    Convolution {
        kernel: Constant,
        window: Window,
    },
    /// With a number for each channel, or one for all.
    Arithmetic {
        operation: Arithmetic,
        by: Rc<Numbers>,
    },
    /// (x - mean) / sqrt(variance + epsilon) * gamma + beta, by channel.
    BatchNorm {
        gamma: Rc<Numbers>,
        beta: Rc<Numbers>,
        mean: Rc<Numbers>,
        variance: Rc<Numbers>,
        epsilon: f64,
    },
    Relu,
    /// Zeros around the map, `[above and below, left and right]`.
    Pad([usize; 2]),
    MaxPool(Window),
    AveragePool {
        window: Window,
        counts_padding: bool,
    },
    Concat,
    GlobalAverage,
    /// Weight [in, out], or [out, in] where `out_first`.
    Linear {
        weight: Constant,
        out_first: bool,
    },
    Softmax,
}

/// x on the left, the number on the right, except in `MinusFrom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Plus,
    Minus,
    MinusFrom,
    Times,
    Over,
}

/// What an axis of a map runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axis {
    Batch,
    Channels,
    Height,
    Width,
}

/// What a name stands for.
#[derive(Clone, Debug)]
enum Value {
    Constant(Constant),
    Map {
        step: StepId,
        axes: Rc<[Axis]>,
    },
    /// What a map's lengths would be; never needed, but not to be refused either.
    Shape,
}

/// A node that is not followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unfollowed {
    /// Its position in the graph.
    pub(super) node: usize,
    pub(super) because: &'static str,
}

/// The order of a map's axes in the graph's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    ChannelsFirst,
    ChannelsLast,
}

/// A graph, followed.
pub(super) struct Trace<'a> {
    pub(super) steps: Vec<Step>,
    graph: &'a GraphProto,
    initializers: HashMap<&'a str, &'a TensorProto>,
    values: HashMap<&'a str, Result<Value, Unfollowed>>,
    /// Numbers that may still be computed: a graph of many nodes may make much of a few constants.
    computable: usize,
}

/// [`Trace::computable`] at the beginning.
const COMPUTABLE: usize = 1 << 20;

impl<'a> Trace<'a> {
    /// Follows all nodes.
    ///
    /// # Errors
    /// Where the graph has no input that could be an image, or a tensor is not what it should be.
    pub(super) fn of(graph: &'a GraphProto, beside: &mut ExternalFiles) -> Result<Self, OnnxError> {
        let initializers = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let mut trace = Self { steps: Vec::new(), graph, initializers, values: HashMap::new(), computable: COMPUTABLE };
        let image = trace.image().ok_or(OnnxError::NoImage)?;
        let axes = match layout(image).ok_or(OnnxError::NoImage)? {
            Layout::ChannelsFirst => [Axis::Batch, Axis::Channels, Axis::Height, Axis::Width],
            Layout::ChannelsLast => [Axis::Batch, Axis::Height, Axis::Width, Axis::Channels],
        };
        trace.steps.push(Step { op: Op::Image, inputs: vec![], node: 0 });
        trace.values.insert(&image.name, Ok(Value::Map { step: 0, axes: axes.into() }));
        for (position, node) in graph.node.iter().enumerate() {
            let node = Node { proto: node, position };
            for (output, name) in node.proto.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
                let value = trace.value(&node, output, beside)?;
                trace.values.insert(name, value);
            }
        }
        Ok(trace)
    }

    /// The step that makes an output of the graph.
    pub(super) fn output(&self, output: &ValueInfoProto) -> Result<StepId, Unfollowed> {
        match self.values.get(output.name.as_str()) {
            Some(Ok(Value::Map { step, .. })) => Ok(*step),
            Some(Err(unfollowed)) => Err(*unfollowed),
            _ => Err(Unfollowed { node: self.graph.node.len(), because: "nothing makes it of an image" }),
        }
    }

    /// How to speak of the node behind a step.
    pub(super) fn shown(&self, node: usize) -> String {
        self.graph.node.get(node).map_or_else(|| "the graph's output".to_owned(), named)
    }

    /// The first input that is no weight.
    fn image(&self) -> Option<&'a ValueInfoProto> {
        self.graph.input.iter().find(|input| !self.initializers.contains_key(input.name.as_str()))
    }

    /// What a node gives.
    fn value(
        &mut self,
        node: &Node<'a>,
        output: usize,
        beside: &mut ExternalFiles,
    ) -> Result<Result<Value, Unfollowed>, OnnxError> {
        let mut inputs = Vec::with_capacity(node.proto.input.len().min(64));
        for name in &node.proto.input {
            match self.input(name, beside)? {
                Some(Err(unfollowed)) => return Ok(Err(unfollowed)),
                Some(Ok(value)) => inputs.push(Some(value)),
                None => inputs.push(None),
            }
        }
        let is_map = inputs.iter().flatten().any(|input| matches!(input, Value::Map { .. }));
        let value = if is_map { self.map(node, output, &inputs) } else { self.constant(node, &inputs, beside)? };
        Ok(value.map_err(|because| Unfollowed { node: node.position, because }))
    }

    /// What a name stands for; none for the empty one, an input that is left out.
    fn input(
        &mut self,
        name: &'a str,
        beside: &mut ExternalFiles,
    ) -> Result<Option<Result<Value, Unfollowed>>, OnnxError> {
        if name.is_empty() {
            return Ok(None);
        }
        if let Some(value) = self.values.get(name) {
            return Ok(Some(value.clone()));
        }
        let Some(tensor) = self.initializers.get(name) else {
            let node = self.graph.node.len();
            return Ok(Some(Err(Unfollowed { node, because: "one of its nodes reads what no node makes" })));
        };
        let value = Ok(Value::Constant(Constant::stored(&Stored::new(tensor, beside)?)));
        self.values.insert(name, value.clone());
        Ok(Some(value))
    }

    fn push(&mut self, node: &Node<'_>, op: Op, inputs: Vec<StepId>) -> StepId {
        self.steps.push(Step { op, inputs, node: node.position });
        self.steps.len() - 1
    }
}

/// Where the channels of an input lie; none where it can be no image of three channels.
pub(super) fn layout(input: &ValueInfoProto) -> Option<Layout> {
    let shape = input.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    let dims: Vec<Option<i64>> = shape.dim.iter().map(|dim| dim.dim_value.filter(|&dim| dim > 0)).collect();
    match dims[..] {
        [_, Some(3), _, _] => Some(Layout::ChannelsFirst),
        [_, _, _, Some(3)] => Some(Layout::ChannelsLast),
        [_, None, _, _] => Some(Layout::ChannelsFirst),
        _ => None,
    }
}
