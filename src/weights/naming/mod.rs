//! Whose names a checkpoint's tensors bear, and what torchvision calls them.
//!
//! ```text
//! stored names ─▶ how many does each table know, behind one prefix? ─▶ the table ─▶ torchvision's names
//!              └▶ Keras: layers by their numbers, kernels [height, width, in, out] turned to [out, in, height, width]
//! ```
//!
//! | whose | a kernel's name |
//! |---|---|
//! | torchvision, timm, torch-fidelity, pytorch-fid's weights, ours | `Mixed_6a.branch3x3.conv.weight` |
//! | pytorch-fid's module | `blocks.2.3.branch3x3.conv.weight` |
//! | the FID TorchScript | `net.layers.mixed_3.conv.weight` |
//! | Keras 3 | `layers/conv2d_26/vars/0` |
//! | Keras before, and its `.h5` | `conv2d_26/conv2d_26/kernel:0` |
//!
//! What stands before all of the names is no matter: `module.` of `DataParallel`, `_orig_mod.` of `torch.compile`, `state_dict.model.` of a
//! training run's checkpoint. Where there are several networks in a file, the one of the shortest prefix is taken.

mod keras;
mod tables;

use std::collections::BTreeMap;
use std::fmt;

use super::checkpoint::StoredTensor;
use crate::inception::{Network, Variant};

/// Whose names a file's tensors bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// torchvision's, which are timm's, torch-fidelity's and ours as well.
    Torchvision,
    /// Those of pytorch-fid's own module.
    PytorchFid,
    /// Those of the TorchScript of the network of 2015.
    FidTorchScript,
    /// Keras'.
    Keras,
    /// Nobody's: the tensors were told apart by what a graph does with them.
    Graph,
}

impl Names {
    /// The variant that goes by such names alone.
    pub(super) const fn variant(self) -> Option<Variant> {
        match self {
            Self::Torchvision | Self::Graph => None,
            Self::PytorchFid | Self::FidTorchScript => Some(Variant::Tf2015),
            Self::Keras => Some(Variant::Keras),
        }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Torchvision => "torchvision",
            Self::PytorchFid => "pytorch-fid",
            Self::FidTorchScript => "FID TorchScript",
            Self::Keras => "Keras",
            Self::Graph => "none is needed: recognised by its graph",
        })
    }
}

/// The tensors of a checkpoint under torchvision's names, their axes in torchvision's order.
pub(super) struct Named<'a> {
    pub(super) names: Names,
    pub(super) tensors: BTreeMap<String, StoredTensor<'a>>,
    /// What belongs to no network of this kind, by the names in the file.
    pub(super) beyond: Vec<String>,
}

/// Names the tensors of a checkpoint; none where they are not those of Inception-v3.
pub(super) fn canonical(tensors: BTreeMap<String, StoredTensor<'_>>) -> Option<Named<'_>> {
    // Names are the same for all variants.
    let network = Network::new(Variant::Torchvision);
    match tables::best(&network, &tensors) {
        Some(table) => Some(table.rename(tensors)),
        None => keras::rename(&network, &tensors),
    }
}
