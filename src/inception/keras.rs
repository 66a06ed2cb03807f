//! Keras' 311 numbered layers of the same network.
//!
//! People say "freeze the first 150 layers" and mean Keras' numbers. Keras counts the convolution, its batch norm and its
//! activation as three layers, and does not number them branch by branch but by depth, so that the numbers have to be
//! derived by Keras' own rule (`keras/src/ops/function.py`, `map_graph`): layers are sorted by their distance from the
//! output, farthest first, and at one distance by when a depth-first walk from the output first meets them.

use super::{Network, NodeId, Op};

/// One of Keras' layers; its number is its place in what [`layers`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Keras' name: `conv2d_40`, `mixed5`.
    pub name: String,
    /// What it does.
    pub kind: LayerKind,
    /// The node of the network it is a part of.
    pub node: NodeId,
}

/// Keras' classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// The image.
    InputLayer,
    /// A convolution's kernel.
    Conv2D,
    /// A convolution's batch norm.
    BatchNormalization,
    /// A convolution's ReLU.
    Activation,
    /// Maximum of a window.
    MaxPooling2D,
    /// Mean of a window.
    AveragePooling2D,
    /// Branches side by side.
    Concatenate,
    /// Mean of each channel.
    GlobalAveragePooling2D,
}

impl LayerKind {
    /// The name of Keras' class.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InputLayer => "InputLayer",
            Self::Conv2D => "Conv2D",
            Self::BatchNormalization => "BatchNormalization",
            Self::Activation => "Activation",
            Self::MaxPooling2D => "MaxPooling2D",
            Self::AveragePooling2D => "AveragePooling2D",
            Self::Concatenate => "Concatenate",
            Self::GlobalAveragePooling2D => "GlobalAveragePooling2D",
        }
    }

    /// What Keras calls a layer of this class that was given no name; the first has no number.
    const fn default_name(self) -> &'static str {
        match self {
            Self::InputLayer => "input_layer",
            Self::Conv2D => "conv2d",
            Self::BatchNormalization => "batch_normalization",
            Self::Activation => "activation",
            Self::MaxPooling2D => "max_pooling2d",
            Self::AveragePooling2D => "average_pooling2d",
            Self::Concatenate => "concatenate",
            Self::GlobalAveragePooling2D => "global_average_pooling2d",
        }
    }

    /// What a node consists of, in the order of computation.
    const fn of(op: &Op) -> &'static [Self] {
        match op {
            Op::Input => &[Self::InputLayer],
            Op::Convolution(_) => &[Self::Conv2D, Self::BatchNormalization, Self::Activation],
            Op::MaxPool(_) => &[Self::MaxPooling2D],
            Op::AveragePool { .. } => &[Self::AveragePooling2D],
            Op::Concat => &[Self::Concatenate],
            Op::GlobalAverage => &[Self::GlobalAveragePooling2D],
        }
    }
}

impl Layer {
    /// Numbers the layer holds, trained or measured.
    #[must_use]
    pub fn parameters(&self, network: &Network) -> usize {
        match (&network.nodes()[self.node].op, self.kind) {
            (Op::Convolution(convolution), LayerKind::Conv2D) => convolution.kernel_len(),
            (Op::Convolution(convolution), LayerKind::BatchNormalization) => {
                convolution.out_channels * if convolution.gamma { 4 } else { 3 }
            }
            _ => 0,
        }
    }

    /// Those of them that training changes: not batch norm's mean and variance.
    #[must_use]
    pub fn trainable_parameters(&self, network: &Network) -> usize {
        match (&network.nodes()[self.node].op, self.kind) {
            (Op::Convolution(convolution), LayerKind::BatchNormalization) => {
                convolution.out_channels * if convolution.gamma { 2 } else { 1 }
            }
            _ => self.parameters(network),
        }
    }
}

/// The layers in Keras' order: index 0 is the image, 310 is `mixed10`, and the pooled features come last.
#[must_use]
pub fn layers(network: &Network) -> Vec<Layer> {
    let parts = Parts::of(network);
    let met = parts.met_from_output();
    let depth = parts.depths();
    let mut order: Vec<usize> = (0..parts.layers.len()).collect();
    order.sort_by_key(|&part| (std::cmp::Reverse(depth[part]), met[part]));
    order.into_iter().map(|part| parts.layers[part].clone()).collect()
}

/// The network taken apart into layers, in the order in which Keras' program makes them.
struct Parts {
    layers: Vec<Layer>,
    /// The layers that each one reads.
    inputs: Vec<Vec<usize>>,
}

impl Parts {
    fn of(network: &Network) -> Self {
        let mut parts = Self { layers: Vec::new(), inputs: Vec::new() };
        let mut end_of_node = Vec::with_capacity(network.nodes().len());
        for (node, description) in network.nodes().iter().enumerate() {
            let mut inputs: Vec<usize> = description.inputs.iter().map(|&input| end_of_node[input]).collect();
            for &kind in LayerKind::of(&description.op) {
                let name = description.keras.map_or_else(|| parts.next_name(kind), str::to_owned);
                parts.layers.push(Layer { name, kind, node });
                parts.inputs.push(std::mem::replace(&mut inputs, vec![parts.layers.len() - 1]));
            }
            end_of_node.push(parts.layers.len() - 1);
        }
        parts
    }

    /// `conv2d`, `conv2d_1`, ...; layers that were given a name are not counted.
    fn next_name(&self, kind: LayerKind) -> String {
        let stem = kind.default_name();
        let is_default = |name: &str| {
            name.strip_prefix(stem).is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix('_').is_some_and(|n| n.parse::<usize>().is_ok())
            })
        };
        match self.layers.iter().filter(|layer| layer.kind == kind && is_default(&layer.name)).count() {
            0 => stem.to_owned(),
            n => format!("{stem}_{n}"),
        }
    }

    /// When a depth-first walk from the output, inputs in order, first meets each layer.
    fn met_from_output(&self) -> Vec<usize> {
        let mut met = vec![usize::MAX; self.layers.len()];
        let mut time = 0;
        let mut ahead = vec![self.layers.len() - 1];
        while let Some(layer) = ahead.pop() {
            if met[layer] == usize::MAX {
                met[layer] = time;
                time += 1;
                ahead.extend(self.inputs[layer].iter().rev());
            }
        }
        met
    }

    /// The longest way from each layer to the output.
    fn depths(&self) -> Vec<usize> {
        let mut depths = vec![0; self.layers.len()];
        for layer in (0..self.layers.len()).rev() {
            for &input in &self.inputs[layer] {
                depths[input] = depths[input].max(depths[layer] + 1);
            }
        }
        depths
    }
}
