//! The flat list of nodes that the table unfolds into, in an order in which they can be computed.

use std::fmt;

use super::v3::{self, Branch, Step};
use super::{FEATURES, Variant};

/// The position of a node in its network; a node's inputs always have smaller ones.
pub type NodeId = usize;

/// Inception-v3 of one variant, from the pixels to the pooled features, or the part of it before a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    variant: Variant,
    nodes: Vec<Node>,
}

/// One operation on whole activations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Unique, and for a convolution the prefix of its tensors in torchvision's checkpoints: `Mixed_6c.branch7x7_2`.
    pub name: String,
    /// torchvision's name of the block it belongs to, `stem` before the first.
    pub block: &'static str,
    /// Keras' name, where Keras gives one that is not a running number: the blocks' `mixed0` to `mixed10`, `mixed9_0`.
    pub keras: Option<&'static str>,
    /// What it computes.
    pub op: Op,
    /// What it computes it from, in the order of concatenation.
    pub inputs: Vec<NodeId>,
}

/// What a node computes. Activations are `[channels, height, width]` of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The image: three channels, already normalised.
    Input,
    /// Convolution without bias, batch norm, ReLU.
    Convolution(Convolution),
    /// The largest value of a window; padding is never the largest.
    MaxPool(Window),
    /// The mean of a window.
    AveragePool {
        /// The window.
        window: Window,
        /// Whether the padding counts, as zeros, in the mean.
        counts_padding: bool,
    },
    /// The inputs, one after the other along the channels.
    Concat,
    /// The mean of each channel: `[channels]`.
    GlobalAverage,
}

/// The numbers of a convolution with its batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Channels it reads.
    pub in_channels: usize,
    /// Channels it writes.
    pub out_channels: usize,
    /// Kernel, stride and padding.
    pub window: Window,
    /// Whether its batch norm has a trained scale.
    pub gamma: bool,
}

impl Convolution {
    /// What batch norm adds to the variance before the square root; the same in every variant.
    pub const EPSILON: f64 = 1e-3;

    /// `[out, in, height, width]`, torchvision's order.
    #[must_use]
    pub const fn kernel_shape(&self) -> [usize; 4] {
        let [height, width] = self.window.kernel;
        [self.out_channels, self.in_channels, height, width]
    }

    /// Numbers in the kernel.
    #[must_use]
    pub const fn kernel_len(&self) -> usize {
        let [out, input, height, width] = self.kernel_shape();
        out * input * height * width
    }
}

/// A window that slides over height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// `[height, width]`.
    pub kernel: [usize; 2],
    /// The same along both axes.
    pub stride: usize,
    /// `[above and below, left and right]`.
    pub padding: [usize; 2],
}

impl Window {
    /// The number of places the window has over `[height, width]`, `None` where it does not fit.
    #[must_use]
    pub fn places(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let room = (input[axis] + 2 * self.padding[axis]).checked_sub(self.kernel[axis])?;
            Some(room / self.stride + 1)
        };
        Some([along(0)?, along(1)?])
    }
}

/// An image too small for the network.
#[derive(Debug, thiserror::Error)]
#[error("an image of {height}x{width} pixels is too small: nothing is left of it at {node}")]
pub struct ShapeError {
    height: usize,
    width: usize,
    node: String,
}

impl Network {
    /// The whole network, from the image to the [`FEATURES`] pooled features.
    #[must_use]
    pub fn new(variant: Variant) -> Self {
        let mut unfold = Unfold { variant, nodes: Vec::new(), channels: Vec::new() };
        let mut last = unfold.push("input", v3::STEM, None, Op::Input, vec![], 3);
        last = unfold.branch(v3::STEM, "", last, v3::stem());
        for block in v3::blocks(variant) {
            last = unfold.fork(block.name, block.name, Some(block.keras), last, block.branches);
        }
        unfold.push("features", "head", None, Op::GlobalAverage, vec![last], FEATURES);
        Self { variant, nodes: unfold.nodes }
    }

    /// Which of the published networks this is.
    #[must_use]
    pub const fn variant(&self) -> Variant {
        self.variant
    }

    /// The nodes, inputs before those that read them. The first is the image, the last is what the network gives.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The convolutions, in torchvision's order of modules, which is Keras' order of creation.
    pub fn convolutions(&self) -> impl Iterator<Item = (&Node, &Convolution)> {
        self.nodes.iter().filter_map(|node| match &node.op {
            Op::Convolution(convolution) => Some((node, convolution)),
            _ => None,
        })
    }

    /// The network cut after the node of this name, so that it gives that node's activations: `until("Mixed_7c")` gives
    /// the last 8x8 feature map. Nodes that the cut does not need are left out.
    #[must_use]
    pub fn until(&self, name: &str) -> Option<Self> {
        let last = self.nodes.iter().position(|node| node.name == name)?;
        Some(self.until_all(&[last]))
    }

    /// The network cut after several nodes of one map size: it gives their activations, one node's channels after the other's,
    /// by a concatenation of its own, `border`, where they are more than one. Nodes that the cut does not need are left out.
    #[must_use]
    pub fn until_all(&self, ends: &[NodeId]) -> Self {
        let mut needed = vec![false; self.nodes.len()];
        for &end in ends {
            needed[end] = true;
        }
        for id in (0..self.nodes.len()).rev() {
            if needed[id] {
                self.nodes[id].inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        let mut renumbered = vec![0; self.nodes.len()];
        let mut nodes = Vec::new();
        for (id, node) in self.nodes.iter().enumerate().filter(|&(id, _)| needed[id]) {
            renumbered[id] = nodes.len();
            let inputs = node.inputs.iter().map(|&input| renumbered[input]).collect();
            nodes.push(Node { inputs, ..node.clone() });
        }
        if ends.len() > 1 {
            let inputs = ends.iter().map(|&end| renumbered[end]).collect();
            nodes.push(Node { name: "border".to_owned(), block: "border", keras: None, op: Op::Concat, inputs });
        }
        Self { variant: self.variant, nodes }
    }

    /// `[channels, height, width]` of every node's result for an image of `[height, width]`; pooled features are
    /// `[channels, 1, 1]`.
    ///
    /// # Errors
    /// Where a window no longer fits, which for the whole network is below 75x75.
    pub fn shapes(&self, image: [usize; 2]) -> Result<Vec<[usize; 3]>, ShapeError> {
        let mut shapes: Vec<[usize; 3]> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let input = node.inputs.first().map_or([3, image[0], image[1]], |&id| shapes[id]);
            let slide = |window: &Window| {
                window.places([input[1], input[2]]).ok_or_else(|| ShapeError {
                    height: image[0],
                    width: image[1],
                    node: node.name.clone(),
                })
            };
            shapes.push(match &node.op {
                Op::Input => input,
                Op::Convolution(convolution) => {
                    let [height, width] = slide(&convolution.window)?;
                    [convolution.out_channels, height, width]
                }
                Op::MaxPool(window) | Op::AveragePool { window, .. } => {
                    let [height, width] = slide(window)?;
                    [input[0], height, width]
                }
                Op::Concat => [node.inputs.iter().map(|&id| shapes[id][0]).sum(), input[1], input[2]],
                Op::GlobalAverage => [input[0], 1, 1],
            });
        }
        Ok(shapes)
    }
}

/// The table on its way to a list.
struct Unfold {
    variant: Variant,
    nodes: Vec<Node>,
    /// Of each node's result.
    channels: Vec<usize>,
}

impl Unfold {
    fn push(
        &mut self,
        name: impl Into<String>,
        block: &'static str,
        keras: Option<&'static str>,
        op: Op,
        inputs: Vec<NodeId>,
        channels: usize,
    ) -> NodeId {
        self.nodes.push(Node { name: name.into(), block, keras, op, inputs });
        self.channels.push(channels);
        self.nodes.len() - 1
    }

    /// Appends parallel branches over `input` and their concatenation, which bears `name`.
    fn fork(
        &mut self,
        block: &'static str,
        name: &str,
        keras: Option<&'static str>,
        input: NodeId,
        branches: Vec<Branch>,
    ) -> NodeId {
        let ends: Vec<_> = branches.into_iter().map(|branch| self.branch(block, block, input, branch)).collect();
        let channels = ends.iter().map(|&end| self.channels[end]).sum();
        self.push(name, block, keras, Op::Concat, ends, channels)
    }

    /// Appends steps one after the other, their names prefixed, and gives the last.
    fn branch(&mut self, block: &'static str, prefix: &str, input: NodeId, steps: Branch) -> NodeId {
        let full = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        let pool = |stride, padding| Window { kernel: [3, 3], stride, padding: [padding; 2] };
        let mut last = input;
        for step in steps {
            let channels = self.channels[last];
            last = match step {
                Step::Conv { name, channels: out_channels, kernel, stride, padding } => {
                    let window = Window { kernel, stride, padding };
                    let gamma = self.variant.has_gamma();
                    let op = Op::Convolution(Convolution { in_channels: channels, out_channels, window, gamma });
                    self.push(full(name), block, None, op, vec![last], out_channels)
                }
                Step::MaxPool { name } => {
                    self.push(full(name), block, None, Op::MaxPool(pool(2, 0)), vec![last], channels)
                }
                Step::MaxPoolSame { name } => {
                    self.push(full(name), block, None, Op::MaxPool(pool(1, 1)), vec![last], channels)
                }
                Step::AveragePool { name } => {
                    let op = Op::AveragePool { window: pool(1, 1), counts_padding: self.variant.counts_padding() };
                    self.push(full(name), block, None, op, vec![last], channels)
                }
                Step::Fork { name, keras, branches } => self.fork(block, &full(name), keras, last, branches),
            };
        }
        last
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = |f: &mut fmt::Formatter<'_>, name: &str, w: &Window| {
            write!(f, "{name} {}x{}", w.kernel[0], w.kernel[1])?;
            if w.stride == 1 { Ok(()) } else { write!(f, " stride {}", w.stride) }
        };
        match self {
            Self::Input => f.write_str("image"),
            Self::Convolution(convolution) => window(f, "convolution", &convolution.window),
            Self::MaxPool(w) => window(f, "max pool", w),
            Self::AveragePool { window: w, .. } => window(f, "average pool", w),
            Self::Concat => f.write_str("concat"),
            Self::GlobalAverage => f.write_str("global average"),
        }
    }
}
