//! The numbers of the network: from a file, or from the binary itself, to named tensors that are known to be all there.
//!
//! ```text
//!                    told apart by content         whose names?            held to the description
//! embedded bytes ─┐                                                        ┌▶ Report: applied, missing, unused, ...
//!                 ├─▶ checkpoint: name ─▶ where ─▶ naming: torchvision's ─▶ read ─▶ Weights ─▶ folded (inference) or not (fine-tuning)
//! --weights FILE ─┘   its numbers lie              names, variant          ▲        │   ▲
//!                                                            from_tensors ─┘        └───┘ with_tensors: what training changed
//! ```
//!
//! `checkpoint` knows kinds of files and nothing of networks; `naming` knows what Inception-v3's tensors are called where; `held` what the
//! network needs. Numbers are read last, when it is known that all are there and which.
//!
//! Here tensors bear torchvision's names, as in `torchvision.models.inception_v3().state_dict()`:
//!
//! | name | shape | |
//! |---|---|---|
//! | `<node>.conv.weight` | `[out, in, height, width]` | the kernel |
//! | `<node>.bn.weight` | `[out]` | gamma; in variants that have none it is multiplied into kernel and mean where a file has one |
//! | `<node>.bn.bias` | `[out]` | beta |
//! | `<node>.bn.running_mean`, `<node>.bn.running_var` | `[out]` | the statistics |
//! | `fc.weight`, `fc.bias` | `[outputs, 2048]`, `[outputs]` | the network's own classifier, where the file has it: 1000 or 1008 outputs |
//!
//! The variant is what the file says (metadata `variant`), else what its names or its classifier say, else what is asked for, else
//! torchvision's if batch norm has a scale. A file of a whole model (`headstock.model/1`, [`model`](crate::model)) is such a file: what it
//! holds beside the network is passed over.

mod checkpoint;
mod classifier;
mod embedded;
mod error;
mod fold;
mod held;
mod naming;
mod published;
mod read;
mod replaced;
mod report;
mod write;

pub use checkpoint::{Container, FormatError, PickleError};
pub use classifier::Classifier;
pub use error::{Mismatch, Misshaped, WeightsError};
pub use fold::Folded;
pub use naming::Names;
pub use published::{PUBLISHED, Place, Published};
pub use report::Report;
pub use write::Precision;

use std::collections::HashMap;
use std::fmt::Write;

use candle_core::Tensor;

use crate::inception::{Network, Variant};

/// Every tensor of one backbone, float32, in memory, as trained: batch norm is not folded.
#[derive(Clone, Debug)]
pub struct Weights {
    variant: Variant,
    sha256: String,
    preprocess: Option<String>,
    convolutions: HashMap<String, ConvolutionWeights>,
    classifier: Option<Classifier>,
}

/// The tensors of one convolution with its batch norm, float32.
#[derive(Clone, Debug)]
pub struct ConvolutionWeights {
    /// `[out, in, height, width]`.
    pub kernel: Tensor,
    /// `[out]`; `None` stands for ones that were never trained.
    pub gamma: Option<Tensor>,
    /// `[out]`.
    pub beta: Tensor,
    /// `[out]`, the mean of the convolution's results over the training images.
    pub mean: Tensor,
    /// `[out]`, their variance.
    pub variance: Tensor,
}

impl Weights {
    /// Which of the published networks the numbers belong to.
    #[must_use]
    pub const fn variant(&self) -> Variant {
        self.variant
    }

    /// The SHA-256 of the file they came from, in lower-case hex: what `sha256sum FILE` prints. That of a model's file is of all of it,
    /// its head and its metadata included. Numbers that [`with_tensors`](Self::with_tensors) changed are in no file yet: what they give
    /// here stands for the file that they came from and every change, and for no file.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The preprocessing that they were trained with, JSON, where the file says: a model's own. Not to be trusted before it is parsed.
    #[must_use]
    pub fn preprocess(&self) -> Option<&str> {
        self.preprocess.as_deref()
    }

    /// The network's own classifier, where the file has one.
    #[must_use]
    pub const fn classifier(&self) -> Option<&Classifier> {
        self.classifier.as_ref()
    }

    /// These weights with a preprocessing, JSON, where their file said none.
    #[must_use]
    pub fn or_preprocess(mut self, json: impl FnOnce() -> String) -> Self {
        self.preprocess.get_or_insert_with(json);
        self
    }

    /// A tensor by its name in files, `Mixed_5b.branch1x1.bn.bias`.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        let (node, part) = node_and_part(name)?;
        self.convolutions.get(node)?.part(part)
    }

    /// The tensors of the convolution of this node, by the node's name.
    #[must_use]
    pub fn convolution(&self, node: &str) -> Option<&ConvolutionWeights> {
        self.convolutions.get(node)
    }
}

impl ConvolutionWeights {
    /// A tensor by the end of its name in files, `bn.bias`.
    fn part(&self, part: &str) -> Option<&Tensor> {
        match part {
            "conv.weight" => Some(&self.kernel),
            "bn.weight" => self.gamma.as_ref(),
            "bn.bias" => Some(&self.beta),
            "bn.running_mean" => Some(&self.mean),
            "bn.running_var" => Some(&self.variance),
            _ => None,
        }
    }

    /// The same, to be replaced.
    fn part_mut(&mut self, part: &str) -> Option<&mut Tensor> {
        match part {
            "conv.weight" => Some(&mut self.kernel),
            "bn.weight" => self.gamma.as_mut(),
            "bn.bias" => Some(&mut self.beta),
            "bn.running_mean" => Some(&mut self.mean),
            "bn.running_var" => Some(&mut self.variance),
            _ => None,
        }
    }
}

/// `Mixed_5b.branch1x1.bn.bias` is the part `bn.bias` of `Mixed_5b.branch1x1`.
fn node_and_part(name: &str) -> Option<(&str, &str)> {
    let (dot, _) = name.rmatch_indices('.').nth(1)?;
    Some((&name[..dot], &name[dot + 1..]))
}

/// The tensors a network needs: names and shapes, in the order of its nodes.
pub fn expected_tensors(network: &Network) -> impl Iterator<Item = (String, Vec<usize>)> {
    network.convolutions().flat_map(|(node, convolution)| {
        let vector = vec![convolution.out_channels];
        let gamma = convolution.gamma.then(|| (format!("{}.bn.weight", node.name), vector.clone()));
        std::iter::once((format!("{}.conv.weight", node.name), convolution.kernel_shape().to_vec())).chain(gamma).chain(
            ["bias", "running_mean", "running_var"].map(|part| (format!("{}.bn.{part}", node.name), vector.clone())),
        )
    })
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
