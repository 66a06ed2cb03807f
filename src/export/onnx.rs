//! One ONNX file: the network with its batch norms folded, the head with its temperature folded, softmax.
//!
//! ```text
//! input [N, 3, 299, 299] ─▶ network ─▶ embedding [N, 2048] ─▶ head ─▶ softmax ─▶ probabilities [N, K]
//! ```
//!
//! The input is normalised: the metadata says how (`preprocess`), and what the classes are called. Nodes bear the names of the description.

use std::io::Write;
use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;
use serde_json::json;

use super::ExportError;
use crate::head::{Dense, Head, Linear, Model};
use crate::inception::{FEATURES, INPUT_SIDE, Network, Node, Op, Window};
use crate::onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type, data_type,
};
use crate::onnx::{FORMAT, PREPROCESS};
use crate::weights::Weights;
use crate::whole_file::write_whole;

/// The version of the operators: `Softmax` and the pools as they are since 13, and what every runtime of these years reads.
const OPSET: i64 = 17;
/// The version of the file format that came with it.
const IR_VERSION: i64 = 8;

const INPUT: &str = "input";
const EMBEDDING: &str = "embedding";
const PROBABILITIES: &str = "probabilities";
/// The length of a batch, left open.
const BATCH: &str = "batch";

/// Writes the network and the head, whole or not at all.
///
/// # Errors
/// Where the head takes rows of another length, or the file cannot be written.
pub fn onnx(weights: &Weights, head: &Head, path: &Path) -> Result<(), ExportError> {
    if head.features() != FEATURES {
        return Err(ExportError::Features { features: head.features() });
    }
    let network = Network::new(weights.variant());
    let mut graph = Graph::default();
    for node in network.nodes() {
        let inputs = node.inputs.iter().map(|&input| name(&network.nodes()[input])).collect();
        graph.network_node(node, inputs, weights)?;
    }
    graph.head(&head.model);
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "headstock".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(GraphProto {
            node: graph.nodes,
            name: format!("inception_v3_{}", weights.variant()),
            initializer: graph.tensors,
            input: vec![floats(INPUT, &[3, INPUT_SIDE, INPUT_SIDE])],
            output: vec![floats(PROBABILITIES, &[head.classes.len()]), floats(EMBEDDING, &[FEATURES])],
        }),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: metadata(weights, head),
        functions: Vec::new(),
    };
    Ok(write_whole(path, |out| out.write_all(&model.encode_to_vec()))?)
}

/// The activations of a node bear its name, but for the first and the last, which are known to the caller by these.
fn name(node: &Node) -> String {
    match node.op {
        Op::Input => INPUT.to_owned(),
        Op::GlobalAverage => EMBEDDING.to_owned(),
        _ => node.name.clone(),
    }
}

fn metadata(weights: &Weights, head: &Head) -> Vec<StringStringEntryProto> {
    let mut entries = vec![
        ("format", FORMAT.to_owned()),
        (PREPROCESS, head.provenance.preprocess.clone()),
        ("classes", json!(head.classes).to_string()),
        ("temperature", json!(head.temperature).to_string()),
        ("variant", weights.variant().to_string()),
        ("weights", weights.sha256().to_owned()),
    ];
    if let Some(thresholds) = &head.thresholds {
        entries.push(("thresholds", json!(thresholds).to_string()));
    }
    entries.into_iter().map(|(key, value)| StringStringEntryProto { key: key.to_owned(), value }).collect()
}

/// A graph on its way to the file.
#[derive(Default)]
struct Graph {
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
}

impl Graph {
    fn network_node(&mut self, node: &Node, inputs: Vec<String>, weights: &Weights) -> Result<(), ExportError> {
        let name = name(node);
        match &node.op {
            Op::Input => {}
            Op::Convolution(convolution) => {
                let Some(of_node) = weights.convolution(&node.name) else {
                    return Err(candle_core::Error::Msg(format!("{name} has no weights")).into());
                };
                let folded = of_node.folded()?;
                let kernel = self.tensor(format!("{name}.weight"), &convolution.kernel_shape(), &folded.kernel);
                let bias = self.tensor(format!("{name}.bias"), &[convolution.out_channels], &folded.bias);
                let product = format!("{name}.conv");
                let inputs = inputs.into_iter().chain([kernel, bias]).collect();
                self.node("Conv", inputs, &product, window(&convolution.window));
                self.node("Relu", vec![product], &name, vec![]);
            }
            Op::MaxPool(w) => self.node("MaxPool", inputs, &name, window(w)),
            Op::AveragePool { window: w, counts_padding } => {
                let mut attributes = window(w);
                attributes.push(int("count_include_pad", i64::from(*counts_padding)));
                self.node("AveragePool", inputs, &name, attributes);
            }
            Op::Concat => self.node("Concat", inputs, &name, vec![int("axis", 1)]),
            Op::GlobalAverage => {
                let mean = "mean".to_owned();
                self.node("GlobalAveragePool", inputs, &mean, vec![]);
                self.node("Flatten", vec![mean], &name, vec![int("axis", 1)]);
            }
        }
        Ok(())
    }

    fn head(&mut self, model: &Model) {
        let embedding = EMBEDDING.to_owned();
        let logits = match model {
            Model::Linear(Linear { weight, bias }) => self.linear("head", embedding, weight.dim(), weight.iter(), bias),
            Model::Dense(Dense { weight1, bias1, weight2, bias2 }) => {
                let hidden = self.linear("head.dense1", embedding, weight1.dim(), weight1.iter(), bias1);
                let active = format!("{hidden}.relu");
                self.node("Relu", vec![hidden], &active, vec![]);
                self.linear("head.dense2", active, weight2.dim(), weight2.iter(), bias2)
            }
        };
        self.node("Softmax", vec![logits], PROBABILITIES, vec![int("axis", 1)]);
    }

    /// rows @ weight^T + bias, weight [out, in].
    fn linear<'a>(
        &mut self,
        name: &str,
        rows: String,
        (out, input): (usize, usize),
        weight: impl Iterator<Item = &'a f32>,
        bias: &[f32],
    ) -> String {
        let weight: Vec<f32> = weight.copied().collect();
        let weight = self.tensor(format!("{name}.weight"), &[out, input], &weight);
        let bias = self.tensor(format!("{name}.bias"), &[out], bias);
        self.node("Gemm", vec![rows, weight, bias], name, vec![int("transB", 1)]);
        name.to_owned()
    }

    fn node(&mut self, op: &str, input: Vec<String>, output: &str, attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            input,
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: op.to_owned(),
            attribute,
            domain: String::new(),
        });
    }

    /// Adds a float32 tensor; gives its name.
    fn tensor(&mut self, name: String, shape: &[usize], numbers: &[f32]) -> String {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.tensors.push(TensorProto {
            dims: shape.iter().map(|&dim| dim as i64).collect(),
            data_type: data_type::FLOAT,
            name: name.clone(),
            raw_data: Bytes::from(bytes),
            ..TensorProto::default()
        });
        name
    }
}

fn window(window: &Window) -> Vec<AttributeProto> {
    let [vertical, horizontal] = window.padding;
    let pads = [vertical, horizontal, vertical, horizontal];
    vec![ints("kernel_shape", &window.kernel), ints("strides", &[window.stride; 2]), ints("pads", &pads)]
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i, r#type: attribute_type::INT, ..AttributeProto::default() }
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { name: name.to_owned(), ints, r#type: attribute_type::INTS, ..AttributeProto::default() }
}

/// A batch of float32 tensors of this shape.
fn floats(name: &str, shape: &[usize]) -> ValueInfoProto {
    let open = DimensionProto { dim_param: Some(BATCH.to_owned()), ..DimensionProto::default() };
    let length = |&dim: &usize| DimensionProto { dim_value: Some(dim as i64), ..DimensionProto::default() };
    let shape = TensorShapeProto { dim: std::iter::once(open).chain(shape.iter().map(length)).collect() };
    let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape: Some(shape) });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}
