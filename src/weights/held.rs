//! Tensors held to the network's description.

use std::collections::BTreeMap;

use super::classifier::is_imagenet;
use super::{Mismatch, Misshaped, expected_tensors};
use crate::inception::{FEATURES, Network};

/// What becomes of each tensor, by torchvision's names.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) applied: Vec<String>,
    pub(super) mismatch: Mismatch,
    pub(super) unused: Vec<String>,
    /// Outputs of the classifier that is among the tensors.
    pub(super) classifier: Option<usize>,
}

/// A tensor to be held to: its shape, and its type where it is one that is not read.
pub(super) struct Candidate<'t> {
    pub(super) shape: &'t [usize],
    pub(super) is_read: bool,
    /// `F32 [64, 32, 3, 3]`.
    pub(super) shown: String,
}

/// Holds tensors to a network. Batch norm's scale is applied wherever it is; only variants that have one miss it.
pub(super) fn hold(network: &Network, mut found: BTreeMap<&str, Candidate<'_>>) -> Held {
    let mut held = Held { classifier: take_classifier(&mut found), ..Held::default() };
    for (name, shape, is_needed) in wanted(network) {
        match found.remove(name.as_str()) {
            None if is_needed => held.mismatch.missing.push(name),
            None => {}
            Some(tensor) if tensor.shape == shape && tensor.is_read => held.applied.push(name),
            Some(tensor) => held.mismatch.misshaped.push(Misshaped {
                name,
                found: tensor.shown,
                expected: format!("F16, BF16, F32 or F64 {shape:?}"),
            }),
        }
    }
    for name in found.into_keys().map(str::to_owned) {
        if is_beyond_the_features(&name, network) { held.unused.push(name) } else { held.mismatch.unknown.push(name) }
    }
    held
}

/// The tensors that a network takes, and whether it needs them.
fn wanted(network: &Network) -> impl Iterator<Item = (String, Vec<usize>, bool)> {
    let scales = network.convolutions().filter(|(_, convolution)| !convolution.gamma);
    let scales = scales.map(|(node, convolution)| (format!("{}.bn.weight", node.name), vec![convolution.out_channels]));
    let needed = expected_tensors(network).map(|(name, shape)| (name, shape, true));
    needed.chain(scales.map(|(name, shape)| (name, shape, false)))
}

fn take_classifier(found: &mut BTreeMap<&str, Candidate<'_>>) -> Option<usize> {
    let (weight, bias) = (found.get("fc.weight")?, found.get("fc.bias")?);
    let &[outputs] = bias.shape else { return None };
    let fits = weight.shape == [outputs, FEATURES] && is_imagenet(outputs) && weight.is_read && bias.is_read;
    fits.then(|| {
        found.remove("fc.weight");
        found.remove("fc.bias");
        outputs
    })
}

/// What belongs to training or to a classifier: in torchvision's checkpoints, in a model's file, and whatever is in no module of the
/// network. What is left in one may change what the network is.
fn is_beyond_the_features(name: &str, network: &Network) -> bool {
    let module = name.split_once('.').map_or(name, |(module, _)| module);
    let is_of_network = network
        .convolutions()
        .any(|(node, _)| node.name.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
    name.ends_with(".num_batches_tracked") || !is_of_network
}
