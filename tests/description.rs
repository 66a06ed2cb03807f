//! The network's description against the libraries' own accounts of the network.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::collections::HashSet;

use headstock::inception::keras::{self, LayerKind};
use headstock::inception::{FreezePoint, INPUT_SIDE, Network, Op, Variant};
use headstock::weights::expected_tensors;
use serde_json::Value;
use support::under_tests;

fn keras_own_table() -> Vec<Value> {
    let table = std::fs::read_to_string(under_tests("golden/keras_layers.jsonl")).unwrap();
    table.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_layers_are_numbered_named_shaped_and_sized_as_keras_does_it() {
    let network = Network::new(Variant::Keras);
    let shapes = network.shapes([INPUT_SIDE; 2]).unwrap();
    let layers = keras::layers(&network);
    let expected = keras_own_table();
    assert_eq!(expected.len(), 311);
    assert_eq!(layers.len(), 312, "Keras' table ends before the pooled features");
    for (index, (layer, expected)) in layers.iter().zip(&expected).enumerate() {
        let [channels, height, width] = shapes[layer.node];
        assert_eq!(expected["index"], index);
        assert_eq!(expected["name"], layer.name.as_str(), "{index}");
        assert_eq!(expected["type"], layer.kind.name(), "{index}");
        assert_eq!(expected["output"], serde_json::json!([height, width, channels]), "{index}");
        assert_eq!(expected["parameters"], layer.parameters(&network), "{index}");
        let window = match &network.nodes()[layer.node].op {
            Op::Convolution(convolution) if layer.kind == LayerKind::Conv2D => Some(convolution.window),
            Op::MaxPool(window) | Op::AveragePool { window, .. } => Some(*window),
            _ => None,
        };
        if let Some(window) = window {
            assert_eq!(expected["kernel"], serde_json::json!(window.kernel), "{index}");
            assert_eq!(expected["strides"], serde_json::json!([window.stride, window.stride]), "{index}");
        }
    }
}

#[test]
fn each_layer_reads_what_keras_says_it_reads() {
    let network = Network::new(Variant::Keras);
    let layers = keras::layers(&network);
    let last_of_node = |node: usize| &layers.iter().rfind(|layer| layer.node == node).unwrap().name;
    for (layer, expected) in layers.iter().zip(keras_own_table()) {
        let first_of_node = layers.iter().find(|other| other.node == layer.node).unwrap();
        if first_of_node == layer {
            let inputs: Vec<_> = network.nodes()[layer.node].inputs.iter().map(|&node| last_of_node(node)).collect();
            assert_eq!(expected["inputs"], serde_json::json!(inputs), "{}", layer.name);
        }
    }
}

#[test]
fn freezing_the_first_150_layers_leaves_17_366_976_parameters_to_train() {
    for variant in [Variant::Tf2015, Variant::Keras] {
        let trained = FreezePoint::Layers(150).trainable_parameters(&Network::new(variant)).unwrap();
        assert_eq!(trained, 17_366_976);
    }
}

#[test]
fn a_freeze_point_is_a_number_a_block_by_either_name_or_nothing() {
    let network = Network::new(Variant::Keras);
    let layers = keras::layers(&network);
    let frozen = |text: &str| text.parse::<FreezePoint>().unwrap().frozen_layers(&network, &layers).unwrap();
    assert_eq!(frozen("none"), 0);
    assert_eq!(frozen("249"), 249);
    assert_eq!(frozen("mixed5"), 165, "Keras numbers mixed5 164");
    assert_eq!(frozen("Mixed_6c"), 165);
    assert_eq!(frozen("mixed10"), 311);
    assert!("guitar".parse::<FreezePoint>().is_err());
    for impossible in ["313", "mixed11", "mixed9_0", "Mixed_7b.branch3x3"] {
        let point: FreezePoint = impossible.parse().unwrap();
        assert!(point.frozen_layers(&network, &layers).is_err(), "{impossible}");
    }
}

#[test]
fn there_are_94_convolutions_of_5_711_billion_multiplications() {
    let network = Network::new(Variant::Tf2015);
    let shapes = network.shapes([INPUT_SIDE; 2]).unwrap();
    assert_eq!(network.convolutions().count(), 94);
    let multiplications: usize = network
        .nodes()
        .iter()
        .zip(&shapes)
        .filter_map(|(node, [_, height, width])| match &node.op {
            Op::Convolution(convolution) => Some(convolution.kernel_len() * height * width),
            _ => None,
        })
        .sum();
    assert_eq!(multiplications / 1_000_000, 5_711);
}

#[test]
fn node_and_tensor_names_are_unique_and_inputs_come_first() {
    for variant in Variant::ALL {
        let network = Network::new(variant);
        let names: HashSet<_> = network.nodes().iter().map(|node| &node.name).collect();
        assert_eq!(names.len(), network.nodes().len());
        for (id, node) in network.nodes().iter().enumerate() {
            assert!(node.inputs.iter().all(|&input| input < id), "{}", node.name);
        }
        let tensors: Vec<_> = expected_tensors(&network).map(|(name, _)| name).collect();
        assert_eq!(tensors.len(), if variant == Variant::Torchvision { 470 } else { 376 });
        assert_eq!(tensors.iter().collect::<HashSet<_>>().len(), tensors.len());
    }
}

#[test]
fn a_cut_network_ends_at_its_node_and_holds_only_what_that_needs() {
    let whole = Network::new(Variant::Tf2015);
    let cut = whole.until("Mixed_7b.branch3x3").unwrap();
    assert_eq!(cut.nodes().last().unwrap().name, "Mixed_7b.branch3x3");
    assert!(cut.nodes().iter().all(|node| node.name != "Mixed_7b.branch1x1"));
    assert_eq!(cut.shapes([INPUT_SIDE; 2]).unwrap().last(), Some(&[768, 8, 8]));
    assert_eq!(whole.until("features").unwrap(), whole);
    assert_eq!(whole.until("no such node"), None);
}

#[test]
fn an_image_that_is_too_small_is_an_error_that_names_the_layer() {
    let network = Network::new(Variant::Keras);
    assert!(network.shapes([75, 75]).is_ok(), "Keras' documented smallest image");
    let error = network.shapes([74, 200]).unwrap_err().to_string();
    assert!(error.contains("74x200") && error.contains("Mixed_7a"), "{error}");
}
