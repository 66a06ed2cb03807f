//! Where the frozen part of a network ends and the trained part begins, node by node.
//!
//! A freeze point counts Keras' layers, and these are numbered by depth, not by branch. So a cut may run through a block, and
//! even between a convolution's kernel and its batch norm. With `--freeze 150` it runs through `Mixed_6c`:
//!
//! ```text
//!               frozen, once an image            ┊ past, every step
//!                                                ┊
//!          ╭──────────────────────────────(768)──┊─▶ branch1x1 ─────────────────╮
//!          │                                     ┊                              │
//! Mixed_6b ┼─▶ branch7x7_1 ─▶ branch7x7_2 (160)──┊─▶ branch7x7_3 ───────────────┼─▶ concat ─▶ Mixed_6d ─▶ ...
//!          │                                     ┊                              │
//!          ├─▶ ... ──▶ branch7x7dbl_4 (160)──────┊─▶ branch7x7dbl_5 ────────────┤
//!          │                                     ┊                              │
//!          ╰─────────────────────────────────────┊─▶ pool ─▶ branch_pool ───────╯
//!                                                ┊
//!                            what crosses: 1088 channels of 17x17, one group
//! ```
//!
//! A node is past the border if one of its tensors is trained or if it reads a node that is past. Everything else is frozen, and
//! those frozen nodes cross that a node past the border reads. A pool or a concatenation whose inputs cross anyway is not kept
//! beside them but computed again, as `pool` above: it costs little, and memory is what crossing costs.

use std::ops::Range;

use super::freeze::FreezeError;
use super::keras::{self, LayerKind};
use super::{FreezePoint, INPUT_SIDE, Network, Node, NodeId, Op};

/// The border that a freeze point draws through a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Border {
    past: Vec<NodeId>,
    groups: Vec<BorderGroup>,
    /// By node.
    trained: Vec<Trained>,
}

/// Nodes of one map size that cross the border; their channels, one node after the other, make one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BorderGroup {
    /// In the order of the network.
    pub nodes: Vec<NodeId>,
    /// Of all nodes together.
    pub channels: usize,
    /// By node of the group, its channels among those.
    places: Vec<Range<usize>>,
}

/// What of a node is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Trained {
    kernel: bool,
    batch_norm: bool,
}

impl Border {
    /// The border of this network at this freeze point.
    ///
    /// # Errors
    /// Where the network has no such point.
    pub fn new(network: &Network, freeze: &FreezePoint) -> Result<Self, FreezeError> {
        let trained = trained(network, freeze)?;
        let nodes = network.nodes();
        let mut past: Vec<bool> = Vec::with_capacity(nodes.len());
        for (node, trained) in nodes.iter().zip(&trained) {
            past.push(trained.kernel || trained.batch_norm || node.inputs.iter().any(|&input| past[input]));
        }
        // Taking one node past may bring the inputs of the next together, hence until nothing changes.
        while let Some(node) = cheap_to_repeat(network, &past) {
            past[node] = true;
        }
        let crossing: Vec<NodeId> = (0..nodes.len()).filter(|&node| crosses(network, &past, node)).collect();
        let groups = groups(network, &crossing);
        let past = (0..nodes.len()).filter(|&node| past[node]).collect();
        Ok(Self { past, groups, trained })
    }

    /// What crosses, grouped by map size: nodes' channels one after the other make one tensor a group. With all layers frozen it
    /// is the features themselves, with none the image.
    #[must_use]
    pub fn groups(&self) -> &[BorderGroup] {
        &self.groups
    }

    /// Which group brings the result of a node over the border, and at which of the group's channels.
    #[must_use]
    pub fn place(&self, node: NodeId) -> Option<(usize, Range<usize>)> {
        self.groups.iter().enumerate().find_map(|(group, members)| {
            let position = members.nodes.iter().position(|&member| member == node)?;
            Some((group, members.places[position].clone()))
        })
    }

    /// A network a group, in their order, whose last node gives the maps of that group: what a frozen engine runs.
    #[must_use]
    pub fn trunks(&self, network: &Network) -> Vec<Network> {
        self.groups.iter().map(|group| network.until_all(&group.nodes)).collect()
    }

    /// The nodes computed past the border, in an order in which they can be computed.
    #[must_use]
    pub fn past(&self) -> &[NodeId] {
        &self.past
    }

    /// Whether the kernel of this convolution is trained; never for another node.
    #[must_use]
    pub fn trains_kernel(&self, node: NodeId) -> bool {
        self.trained[node].kernel
    }

    /// Whether the batch norm of this convolution, its beta and where there is one its gamma, is trained; never for another node.
    /// Wherever the kernel is, it is: batch norm is the later layer.
    #[must_use]
    pub fn trains_batch_norm(&self, node: NodeId) -> bool {
        self.trained[node].batch_norm
    }

    /// How many numbers are trained: kernels, betas and gammas.
    #[must_use]
    pub fn trained_numbers(&self, network: &Network) -> usize {
        let of_node = |(trained, node): (&Trained, &Node)| match &node.op {
            Op::Convolution(convolution) => {
                let kernel = if trained.kernel { convolution.kernel_len() } else { 0 };
                let vectors = if trained.batch_norm { 1 + usize::from(convolution.gamma) } else { 0 };
                kernel + vectors * convolution.out_channels
            }
            _ => 0,
        };
        self.trained.iter().zip(network.nodes()).map(of_node).sum()
    }
}

fn trained(network: &Network, freeze: &FreezePoint) -> Result<Vec<Trained>, FreezeError> {
    let layers = keras::layers(network);
    let frozen = freeze.frozen_layers(network, &layers)?;
    let mut trained = vec![Trained::default(); network.nodes().len()];
    for layer in &layers[frozen..] {
        match layer.kind {
            LayerKind::Conv2D => trained[layer.node].kernel = true,
            LayerKind::BatchNormalization => trained[layer.node].batch_norm = true,
            _ => {}
        }
    }
    Ok(trained)
}

/// Whether a frozen node is read past the border, or is what the network gives.
fn crosses(network: &Network, past: &[bool], node: NodeId) -> bool {
    let nodes = network.nodes();
    let is_read = || nodes.iter().zip(past).any(|(reader, &past)| past && reader.inputs.contains(&node));
    !past[node] && (node + 1 == nodes.len() || is_read())
}

/// A node that crosses although it could be had, at little cost, from others that cross.
fn cheap_to_repeat(network: &Network, past: &[bool]) -> Option<NodeId> {
    network.nodes().iter().enumerate().position(|(id, node)| {
        let is_cheap = matches!(node.op, Op::MaxPool(_) | Op::AveragePool { .. } | Op::Concat | Op::GlobalAverage);
        is_cheap && crosses(network, past, id) && node.inputs.iter().all(|&input| crosses(network, past, input))
    })
}

/// Nodes of one map size together. Which nodes these are does not depend on the size of the image: at the usual one each
/// window of stride 2, and each without padding, leaves a size of its own.
fn groups(network: &Network, crossing: &[NodeId]) -> Vec<BorderGroup> {
    // The usual image is not too small.
    let shapes = network.shapes([INPUT_SIDE; 2]).unwrap_or_default();
    let mut groups: Vec<([usize; 2], BorderGroup)> = Vec::new();
    for &node in crossing {
        let [channels, height, width] = shapes[node];
        let at = groups.iter().position(|(size, _)| *size == [height, width]).unwrap_or_else(|| {
            groups.push(([height, width], BorderGroup { nodes: Vec::new(), channels: 0, places: Vec::new() }));
            groups.len() - 1
        });
        let group = &mut groups[at].1;
        group.nodes.push(node);
        group.places.push(group.channels..group.channels + channels);
        group.channels += channels;
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
