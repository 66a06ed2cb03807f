//! The border between what is frozen and what is trained, at every freeze point.
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

use candle_core::Device;
use headstock::engine::{Cpu, Engine, Reference};
use headstock::image::Preset;
use headstock::inception::{Border, FreezePoint, INPUT_SIDE, Network, NodeId, Op, Variant};
use headstock::weights::Weights;
use support::{golden_pixels, relative_l2};

/// Every freeze point of a network, with its border.
fn borders(network: &Network) -> impl Iterator<Item = (FreezePoint, Border)> {
    (0..=312).map(FreezePoint::Layers).map(|freeze| (freeze.clone(), Border::new(network, &freeze).unwrap()))
}

fn names(network: &Network, nodes: &[NodeId]) -> Vec<String> {
    nodes.iter().map(|&node| network.nodes()[node].name.clone()).collect()
}

/// Trained numbers, counted node by node.
fn trained(network: &Network, border: &Border) -> usize {
    let of_node = |(node, description): (NodeId, &headstock::inception::Node)| match description.op {
        Op::Convolution(convolution) => {
            let kernel = if border.trains_kernel(node) { convolution.kernel_len() } else { 0 };
            let vectors = if border.trains_batch_norm(node) { 1 + usize::from(convolution.gamma) } else { 0 };
            kernel + vectors * convolution.out_channels
        }
        _ => 0,
    };
    network.nodes().iter().enumerate().map(of_node).sum()
}

#[test]
fn past_150_lie_17_366_976_trained_numbers_and_1088_channels_cross() {
    let network = Network::new(Variant::Tf2015);
    let border = Border::new(&network, &FreezePoint::Layers(150)).unwrap();
    assert_eq!(trained(&network, &border), 17_366_976);
    let [group] = border.groups() else { panic!("one map size crosses") };
    assert_eq!(names(&network, &group.nodes), ["Mixed_6b", "Mixed_6c.branch7x7_2", "Mixed_6c.branch7x7dbl_4"]);
    assert_eq!(group.channels, 1088);
    assert_eq!(border.place(group.nodes[1]), Some((0, 768..928)));
    let past = names(&network, border.past());
    assert_eq!(
        past[..6],
        ["branch1x1", "branch7x7_3", "branch7x7dbl_5", "pool", "branch_pool", ""].map(|part| format!(
            "Mixed_6c.{part}"
        )
        .trim_end_matches('.')
        .to_owned())
    );
    assert_eq!(past.last().unwrap(), "features");
}

#[test]
fn with_nothing_frozen_the_image_crosses_and_with_everything_the_features() {
    for variant in Variant::ALL {
        let network = Network::new(variant);
        let all = Border::new(&network, &FreezePoint::Nothing).unwrap();
        assert_eq!(names(&network, &all.groups()[0].nodes), ["input"]);
        assert_eq!(all.past().len(), network.nodes().len() - 1);
        let none = Border::new(&network, &FreezePoint::Layers(311)).unwrap();
        assert_eq!(names(&network, &none.groups()[0].nodes), ["features"]);
        assert!(none.past().is_empty());
        assert_eq!(none.trunks(&network), std::slice::from_ref(&network));
    }
}

#[test]
fn a_cut_inside_a_reduction_lets_maps_of_two_sizes_cross() {
    let network = Network::new(Variant::Keras);
    let mut most = 0;
    for (freeze, border) in borders(&network) {
        let trunks = border.trunks(&network);
        let sizes: HashSet<_> =
            trunks.iter().map(|trunk| trunk.shapes([INPUT_SIDE; 2]).unwrap().last().unwrap()[1]).collect();
        assert_eq!(sizes.len(), border.groups().len(), "{freeze}");
        most = most.max(sizes.len());
    }
    assert_eq!(most, 2);
}

#[test]
fn at_every_cut_each_node_has_all_it_reads_and_nothing_is_kept_or_computed_in_vain() {
    for variant in Variant::ALL {
        let network = Network::new(variant);
        for (freeze, border) in borders(&network) {
            let crossing: Vec<NodeId> = border.groups().iter().flat_map(|group| group.nodes.clone()).collect();
            let mut at_hand: HashSet<NodeId> = crossing.iter().copied().collect();
            assert_eq!(at_hand.len(), crossing.len(), "{freeze}: nothing crosses twice");
            for &node in border.past() {
                assert!(network.nodes()[node].inputs.iter().all(|input| at_hand.contains(input)), "{freeze}");
                assert!(at_hand.insert(node), "{freeze}: {node} comes twice");
            }
            assert!(at_hand.contains(&(network.nodes().len() - 1)), "{freeze}: the features come out");
            let is_read = |node: &NodeId| border.past().iter().any(|&by| network.nodes()[by].inputs.contains(node));
            assert!(border.past().is_empty() || crossing.iter().all(is_read), "{freeze}: all that crosses is read");
            for &node in border.past() {
                let inputs = &network.nodes()[node].inputs;
                let is_trained = border.trains_kernel(node) || border.trains_batch_norm(node);
                let reads_past = inputs.iter().any(|input| border.past().contains(input));
                let is_cheap = !matches!(network.nodes()[node].op, Op::Convolution(_));
                assert!(is_trained || reads_past || is_cheap, "{freeze}: {node} is frozen and dear");
            }
        }
    }
}

#[test]
fn at_every_cut_what_is_trained_is_past_the_border_and_counts_as_keras_counts() {
    for variant in Variant::ALL {
        let network = Network::new(variant);
        for (freeze, border) in borders(&network) {
            assert_eq!(trained(&network, &border), freeze.trainable_parameters(&network).unwrap(), "{freeze}");
            for node in 0..network.nodes().len() {
                if border.trains_kernel(node) || border.trains_batch_norm(node) {
                    assert!(border.past().contains(&node), "{freeze}");
                }
                assert!(border.trains_batch_norm(node) || !border.trains_kernel(node), "{freeze}");
            }
        }
    }
}

#[test]
fn at_every_cut_trunks_give_the_channels_of_their_groups_node_by_node() {
    for variant in Variant::ALL {
        let network = Network::new(variant);
        let shapes = network.shapes([INPUT_SIDE; 2]).unwrap();
        for (freeze, border) in borders(&network) {
            let trunks = border.trunks(&network);
            assert_eq!(trunks.len(), border.groups().len());
            for (trunk, group) in trunks.iter().zip(border.groups()) {
                let [channels, height, width] = *trunk.shapes([INPUT_SIDE; 2]).unwrap().last().unwrap();
                assert_eq!(channels, group.channels, "{freeze}");
                let mut next = 0;
                for &node in &group.nodes {
                    assert_eq!(shapes[node][1..], [height, width], "{freeze}");
                    let (_, place) = border.place(node).unwrap();
                    assert_eq!(place, next..next + shapes[node][0], "{freeze}");
                    next = place.end;
                }
                assert_eq!(next, channels, "{freeze}");
            }
        }
    }
}

#[test]
fn the_planned_engine_runs_trunks_as_the_reference_does() {
    let weights = Weights::embedded().unwrap();
    let network = Network::new(weights.variant());
    let whole = golden_pixels(&Preset::Tf.preprocess().normalise);
    let images = whole.narrow(0, 0, 2).unwrap().narrow(2, 90, 107).unwrap().narrow(3, 80, 99).unwrap();
    let mut seen = HashSet::new();
    for cut in
        [0, 1, 2, 10, 25, 41, 66, 75, 79, 84, 87, 88, 92, 96, 150, 151, 165, 220, 231, 238, 249, 252, 259, 268, 290]
    {
        let border = Border::new(&network, &FreezePoint::Layers(cut)).unwrap();
        for trunk in border.trunks(&network) {
            if !seen.insert(format!("{:?}", trunk.nodes())) {
                continue;
            }
            let expected = Reference::new(trunk.clone(), &weights, &Device::Cpu).unwrap().run(&images).unwrap();
            let maps = Cpu::new(trunk, &weights).unwrap().run(&images).unwrap();
            assert_eq!(maps.dims(), expected.dims(), "{cut}");
            let error = relative_l2(&maps, &expected);
            assert!(error < 1e-5, "{cut}: relative L2 {error:e}");
        }
    }
    assert!(seen.len() > 15, "{} different trunks", seen.len());
}

#[test]
fn a_freeze_point_that_there_is_not_is_an_error() {
    let network = Network::new(Variant::Keras);
    assert!(Border::new(&network, &FreezePoint::Layers(313)).is_err());
    assert!(Border::new(&network, &FreezePoint::Block("mixed11".to_owned())).is_err());
}
