//! The numbers of the network: from a file, or from the binary itself, to named tensors that are known to be all there.
//!
//! ```text
//! embedded bytes ─┐
//!                 ├─▶ safetensors ─▶ held to the description ─▶ Weights ─▶ folded (inference) or not (fine-tuning)
//! --weights FILE ─┘      (f16, f32)   missing, unknown, misshaped
//! ```
//!
//! Tensors bear torchvision's names, as in `torchvision.models.inception_v3().state_dict()`:
//!
//! | name | shape | |
//! |---|---|---|
//! | `<node>.conv.weight` | `[out, in, height, width]` | the kernel |
//! | `<node>.bn.weight` | `[out]` | gamma, only in variants that have one |
//! | `<node>.bn.bias` | `[out]` | beta |
//! | `<node>.bn.running_mean`, `<node>.bn.running_var` | `[out]` | the statistics |

mod embedded;
mod fold;
mod read;

pub use fold::Folded;
pub use read::{Mismatch, Misshaped, WeightsError, hex};

use std::collections::HashMap;

use candle_core::Tensor;

use crate::inception::{Network, Variant};

/// Every tensor of one backbone, float32, in memory, as trained: batch norm is not folded.
#[derive(Clone, Debug)]
pub struct Weights {
    variant: Variant,
    sha256: String,
    convolutions: HashMap<String, ConvolutionWeights>,
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

    /// The SHA-256 of the file they came from, in lower-case hex: what `sha256sum FILE` prints.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The tensors of the convolution of this node, by the node's name.
    #[must_use]
    pub fn convolution(&self, node: &str) -> Option<&ConvolutionWeights> {
        self.convolutions.get(node)
    }
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
