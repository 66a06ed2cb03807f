//! What candle-onnx 0.11.1 lacks or takes otherwise than the specification, put together from what it has.
//!
//! | in the graph | for the evaluator |
//! |---|---|
//! | `GlobalAveragePool` | `ReduceMean` over height and width |
//! | `ReduceMean` with its axes as an input | with its axes as an attribute: the input is not read |
//! | `Squeeze` with its axes as an attribute | with its axes as an input: the attribute is not read |
//! | `Clip` with its bounds as attributes | with its bounds as inputs, likewise |
//! | `MaxPool` with padding | the border reflected around it: what is reflected is in the window already, so no maximum changes |
//! | `HardSigmoid` | multiply, add, clip |
//!
//! What would be computed wrongly without a word is refused: windows that reach past the map (`ceil_mode`).

use std::collections::HashMap;

use candle_onnx::onnx::attribute_proto::AttributeType;
use candle_onnx::onnx::tensor_proto::DataType;
use candle_onnx::onnx::{AttributeProto, ModelProto, NodeProto, TensorProto};

/// Rewrites the nodes of a graph. `small` holds its short constants of integers, by name.
pub(super) fn prepare(model: &mut ModelProto, small: &HashMap<String, Vec<i64>>) -> Result<(), String> {
    let Some(graph) = &mut model.graph else { return Ok(()) };
    let mut small = small.clone();
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        if let (Some(name), Some(integers)) = (node.output.first(), constant_integers(&node)) {
            small.insert(name.clone(), integers);
        }
        if int(&node, "ceil_mode") != 0 {
            return Err(format!("the windows of {} '{}' may reach past the map (ceil_mode)", node.op_type, node.name));
        }
        match node.op_type.as_str() {
            "GlobalAveragePool" => nodes.push(mean(&node, &[2, 3], 1)),
            "ReduceMean" if node.input.len() > 1 => {
                let axes = small.get(&node.input[1]).ok_or_else(|| not_constant(&node))?;
                nodes.push(mean(&node, axes, int_or(&node, "keepdims", 1)));
            }
            "Squeeze" if attribute(&node, "axes").is_some() => {
                let axes = attribute(&node, "axes").map(|axes| axes.ints.clone()).unwrap_or_default();
                let name = format!("{}.axes", node.output.first().map_or("", String::as_str));
                nodes.push(constant(&name, row(&axes)));
                nodes.push(NodeProto { input: vec![first(&node.input), name], attribute: vec![], ..node });
            }
            "Clip" if node.input.len() == 1 => clip(&node, &mut nodes),
            "MaxPool" if ints(&node, "pads").iter().any(|&pad| pad != 0) => max_pool(node, &mut nodes)?,
            "HardSigmoid" => hard_sigmoid(&node, &mut nodes),
            _ => nodes.push(node),
        }
    }
    graph.node = nodes;
    Ok(())
}

fn not_constant(node: &NodeProto) -> String {
    format!("{} '{}' is over axes that are not constant", node.op_type, node.name)
}

/// The mean over axes, in place of a node.
fn mean(node: &NodeProto, axes: &[i64], keepdims: i64) -> NodeProto {
    NodeProto {
        op_type: "ReduceMean".to_owned(),
        input: vec![first(&node.input)],
        attribute: vec![ints_attribute("axes", axes), int_attribute("keepdims", keepdims)],
        ..node.clone()
    }
}

/// The border repeated in reverse, then the pool without padding. A window of twice the padding and one at least has seen what it adds.
fn max_pool(mut node: NodeProto, nodes: &mut Vec<NodeProto>) -> Result<(), String> {
    let (kernel, pads) = (ints(&node, "kernel_shape"), ints(&node, "pads"));
    let is_seen = |at: usize| kernel.get(at % 2).is_some_and(|&side| pads[at] >= 0 && side > 2 * pads[at]);
    if kernel.len() != 2 || pads.len() != 4 || !(0..4).all(is_seen) {
        return Err(format!("the padding of MaxPool '{}' is wider than half of its window", node.name));
    }
    let output = first(&node.output);
    let (padded, by) = (format!("{output}.padded"), format!("{output}.pads"));
    nodes.push(constant(&by, row(&[0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]])));
    nodes.push(NodeProto {
        op_type: "Pad".to_owned(),
        input: vec![first(&node.input), by],
        output: vec![padded.clone()],
        name: format!("{}.pad", node.name),
        attribute: vec![AttributeProto {
            name: "mode".to_owned(),
            s: b"reflect".to_vec(),
            r#type: AttributeType::String as i32,
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    });
    node.input = vec![padded];
    node.attribute.retain(|attribute| attribute.name != "pads");
    nodes.push(node);
    Ok(())
}

fn clip(node: &NodeProto, nodes: &mut Vec<NodeProto>) {
    let output = first(&node.output);
    let mut input = vec![first(&node.input)];
    for (bound, otherwise) in [("min", f32::MIN), ("max", f32::MAX)] {
        let name = format!("{output}.{bound}");
        nodes.push(constant(&name, scalar(attribute(node, bound).map_or(otherwise, |bound| bound.f))));
        input.push(name);
    }
    nodes.push(NodeProto { input, attribute: vec![], ..node.clone() });
}

/// max(0, min(1, alpha x + beta)).
fn hard_sigmoid(node: &NodeProto, nodes: &mut Vec<NodeProto>) {
    let output = first(&node.output);
    let float = |name: &str, otherwise: f32| attribute(node, name).map_or(otherwise, |attribute| attribute.f);
    let name = |part: &str| format!("{output}.{part}");
    for (part, number) in [("alpha", float("alpha", 0.2)), ("beta", float("beta", 0.5)), ("zero", 0.0), ("one", 1.0)] {
        nodes.push(constant(&name(part), scalar(number)));
    }
    let of = |op: &str, input: Vec<String>, output: String| NodeProto {
        op_type: op.to_owned(),
        name: output.clone(),
        input,
        output: vec![output],
        ..NodeProto::default()
    };
    nodes.push(of("Mul", vec![first(&node.input), name("alpha")], name("scaled")));
    nodes.push(of("Add", vec![name("scaled"), name("beta")], name("shifted")));
    nodes.push(of("Clip", vec![name("shifted"), name("zero"), name("one")], output));
}

fn first(names: &[String]) -> String {
    names.first().cloned().unwrap_or_default()
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

fn int(node: &NodeProto, name: &str) -> i64 {
    int_or(node, name, 0)
}

fn int_or(node: &NodeProto, name: &str, otherwise: i64) -> i64 {
    attribute(node, name).map_or(otherwise, |attribute| attribute.i)
}

fn ints(node: &NodeProto, name: &str) -> Vec<i64> {
    attribute(node, name).map(|attribute| attribute.ints.clone()).unwrap_or_default()
}

fn int_attribute(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i, r#type: AttributeType::Int as i32, ..AttributeProto::default() }
}

fn ints_attribute(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints: ints.to_vec(),
        r#type: AttributeType::Ints as i32,
        ..AttributeProto::default()
    }
}

fn constant(name: &str, tensor: TensorProto) -> NodeProto {
    let value = AttributeProto {
        name: "value".to_owned(),
        t: Some(tensor),
        r#type: AttributeType::Tensor as i32,
        ..AttributeProto::default()
    };
    NodeProto {
        op_type: "Constant".to_owned(),
        output: vec![name.to_owned()],
        name: name.to_owned(),
        attribute: vec![value],
        ..NodeProto::default()
    }
}

fn row(integers: &[i64]) -> TensorProto {
    let (dims, data_type) = (vec![integers.len() as i64], DataType::Int64 as i32);
    TensorProto { dims, data_type, int64_data: integers.to_vec(), ..TensorProto::default() }
}

fn scalar(number: f32) -> TensorProto {
    TensorProto { data_type: DataType::Float as i32, float_data: vec![number], ..TensorProto::default() }
}

/// The numbers of a constant, where it is one of integers.
fn constant_integers(node: &NodeProto) -> Option<Vec<i64>> {
    let tensor = attribute(node, "value")?.t.as_ref()?;
    if node.op_type != "Constant" || tensor.data_type != DataType::Int64 as i32 {
        return None;
    }
    let integer = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte)) as i64;
    let raw = tensor.raw_data.chunks_exact(8).map(integer);
    Some(if tensor.int64_data.is_empty() { raw.collect() } else { tensor.int64_data.clone() })
}
