//! Names that differ from torchvision's word by word.

use std::collections::{BTreeMap, HashMap};

use super::{Named, Names};
use crate::inception::Network;
use crate::weights::checkpoint::StoredTensor;
use crate::weights::expected_tensors;

/// Names that a table has to know before a file is taken for one of Inception-v3: a quarter.
const FEWEST: usize = 94;

/// Whose names, what stands before each of them, and torchvision's name of each.
pub(super) struct Table {
    names: Names,
    prefix: String,
    canonical: HashMap<String, String>,
}

/// The table that knows the most names of a file, each behind the same prefix.
pub(super) fn best(network: &Network, tensors: &BTreeMap<String, StoredTensor<'_>>) -> Option<Table> {
    let all = [
        (Names::Torchvision, torchvision(network)),
        (Names::PytorchFid, pytorch_fid(network)),
        (Names::FidTorchScript, fid_torch_script(network)),
    ];
    let found = all.into_iter().filter_map(|(table, canonical)| {
        let mut known: BTreeMap<&str, usize> = BTreeMap::new();
        for name in tensors.keys() {
            let starts = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
            for start in starts.filter(|&start| canonical.contains_key(&name[start..])) {
                *known.entry(&name[..start]).or_default() += 1;
            }
        }
        // The first of equals, which is the shortest.
        let (prefix, count) =
            known.into_iter().rev().max_by_key(|(prefix, count)| (*count, usize::MAX - prefix.len()))?;
        (count >= FEWEST).then(|| (count, Table { names: table, prefix: prefix.to_owned(), canonical }))
    });
    found.max_by_key(|(count, _)| *count).map(|(_, table)| table)
}

impl Table {
    /// The tensors under torchvision's names. What is no tensor of the network keeps its own, without the prefix where it stands
    /// beside the network's.
    pub(super) fn rename(self, tensors: BTreeMap<String, StoredTensor<'_>>) -> Named<'_> {
        let mut named = Named { names: self.names, tensors: BTreeMap::new(), beyond: Vec::new() };
        for (name, tensor) in tensors {
            match name.strip_prefix(&self.prefix) {
                None => named.beyond.push(name),
                Some(own) => {
                    let own = self.canonical.get(own).map_or(own, String::as_str).to_owned();
                    named.tensors.insert(own, tensor);
                }
            }
        }
        named
    }
}

/// Every tensor that a variant may have.
fn torchvision(network: &Network) -> HashMap<String, String> {
    expected_tensors(network).map(|(name, _)| (name.clone(), name)).collect()
}

/// pytorch-fid puts torchvision's modules into four sequences.
fn pytorch_fid(network: &Network) -> HashMap<String, String> {
    const SEQUENCES: [&[&str]; 4] = [
        &["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"],
        &["Conv2d_3b_1x1", "Conv2d_4a_3x3"],
        &["Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"],
        &["Mixed_7a", "Mixed_7b", "Mixed_7c"],
    ];
    let places: HashMap<&str, (usize, usize)> = (0..)
        .zip(SEQUENCES)
        .flat_map(|(sequence, modules)| (0..).zip(modules).map(move |(place, module)| (*module, (sequence, place))))
        .collect();
    let theirs = |(name, _): (String, Vec<usize>)| {
        let (module, part) = name.split_once('.')?;
        let (sequence, place) = places.get(module)?;
        Some((format!("blocks.{sequence}.{place}.{part}"), name))
    };
    expected_tensors(network).filter_map(theirs).collect()
}

/// The graph of 2015 calls a convolution `conv`, `conv_1`, ... within its branch, and a branch `tower`, `tower_1`, ...
fn fid_torch_script(network: &Network) -> HashMap<String, String> {
    const PARTS: [(&str, &str); 5] = [
        ("weight", "conv.weight"),
        ("gamma", "bn.weight"),
        ("beta", "bn.bias"),
        ("mean", "bn.running_mean"),
        ("var", "bn.running_var"),
    ];
    let name = |(theirs, (node, _)): (String, (&crate::inception::Node, _))| {
        let ours = node.name.clone();
        PARTS.map(|(part, our_part)| (format!("{theirs}.{part}"), format!("{ours}.{our_part}")))
    };
    script_convolutions().zip(network.convolutions()).flat_map(name).collect()
}

/// The names of the convolutions, in the order of the network's.
fn script_convolutions() -> impl Iterator<Item = String> {
    const A: &[&str] =
        &["conv", "tower.conv", "tower.conv_1", "tower_1.conv", "tower_1.conv_1", "tower_1.conv_2", "tower_2.conv"];
    const B: &[&str] = &["conv", "tower.conv", "tower.conv_1", "tower.conv_2"];
    const C: &[&str] = &[
        "conv",
        "tower.conv",
        "tower.conv_1",
        "tower.conv_2",
        "tower_1.conv",
        "tower_1.conv_1",
        "tower_1.conv_2",
        "tower_1.conv_3",
        "tower_1.conv_4",
        "tower_2.conv",
    ];
    const D: &[&str] =
        &["tower.conv", "tower.conv_1", "tower_1.conv", "tower_1.conv_1", "tower_1.conv_2", "tower_1.conv_3"];
    const E: &[&str] = &[
        "conv",
        "tower_conv",
        "tower_mixed_conv",
        "tower_mixed_conv_1",
        "tower_1_conv",
        "tower_1_conv_1",
        "tower_1_mixed_conv",
        "tower_1_mixed_conv_1",
        "tower_2_conv",
    ];
    const BLOCKS: [&[&str]; 11] = [A, A, A, B, C, C, C, C, D, E, E];
    let stem = ["conv", "conv_1", "conv_2", "conv_3", "conv_4"].map(str::to_owned);
    let blocks = (0..).zip(BLOCKS).flat_map(|(index, convolutions)| {
        let block = if index == 0 { "mixed".to_owned() } else { format!("mixed_{index}") };
        convolutions.iter().map(move |convolution| format!("{block}.{convolution}"))
    });
    stem.into_iter().chain(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inception::Variant;

    #[test]
    fn each_table_names_every_tensor_once() {
        let network = Network::new(Variant::Torchvision);
        for table in [torchvision(&network), pytorch_fid(&network), fid_torch_script(&network)] {
            let mut ours: Vec<&String> = table.values().collect();
            ours.sort();
            ours.dedup();
            assert_eq!((table.len(), ours.len()), (5 * 94, 5 * 94));
        }
    }
}
