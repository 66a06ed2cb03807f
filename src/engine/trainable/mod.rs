//! Interpreters of the part of a network that training changes.
//!
//! ```text
//! maps that cross ─▶ Trainable ─▶ features [batch, 2048] ─▶ head ─▶ loss
//!  the border           │  ▲                                 │
//!                       │  ╰── backward: by the features ◀───╯
//!                       ▼
//!               values and gradients, flat ─▶ an optimiser, a checkpoint
//! ```
//!
//! Where the frozen part ends is [`Border`]'s business; the frozen part itself is run by any [`Engine`](super::Engine), on
//! [`Border::trunks`]. A [`Trainable`] takes what that gave, channels last ([`channels_last`]), and knows neither heads nor losses:
//! it gives features, takes the gradient by the features, and hands its parameters as one flat vector to
//! whoever wants to change them, or lets an [`Optimiser`] move them where they are.
//!
//! - [`Plain`]: stock candle tensors and candle's own differentiation, on any device; the oracle of others.
//! - [`Training`]: the planned engine in both directions, on CPUs.
//! - `cuda::training::Training`, with the feature `cuda`: the same on NVIDIA cards, with frozen batch norms.
//!
//! [`open_trainable`] opens the right one.

pub mod operations;
mod optimiser;
mod plain;
pub(super) mod plan;

#[cfg(feature = "cuda")]
pub(super) use optimiser::Change;
pub use optimiser::{Optimiser, Rule, clip_scale, squared_norm};
pub use plain::Plain;

use std::ops::Range;

use candle_core::{DType, Device, Result, Tensor};

use super::Precision;
use super::cpu::training::Training;
#[cfg(feature = "cuda")]
use super::cuda;
use crate::inception::freeze::FreezeError;
use crate::inception::{Border, FreezePoint, Network, Variant};
#[cfg(feature = "cuda")]
use crate::panics;
use crate::weights::Weights;

/// The part of a network past a border, with parameters that training changes.
pub trait Trainable: Send {
    /// What is trained, and what has to be brought.
    fn border(&self) -> &Border;

    /// Maps what crosses the border to features `[batch, 2048]`, float32. `maps` has a tensor for each of the border's groups, in
    /// their order: `[batch, height, width, channels]`, float32, contiguous, on [`Self::device`].
    ///
    /// With [`Pass::Train`] it keeps what [`Self::backward`] needs and, with [`BatchNorm::Train`], uses the batch's statistics and
    /// updates the running ones. With [`Pass::Evaluate`] it keeps nothing and changes nothing.
    ///
    /// # Errors
    /// Those of candle: maps of other shapes, a device out of memory.
    fn features(&mut self, maps: &[Tensor], pass: Pass) -> Result<Tensor>;

    /// Adds to the gradients those of the last `features(.., Pass::Train)`, given the gradient of the loss by the features,
    /// `[batch, 2048]`. What that pass kept is then let go.
    ///
    /// # Errors
    /// Where there was no such pass since the last call; those of candle.
    fn backward(&mut self, by_features: &Tensor) -> Result<()>;

    /// Name, shape and place in the flat vectors of every trained parameter, in the order of the network's nodes, and of a node in
    /// the order kernel, gamma where there is one, beta.
    fn parameters(&self) -> &[Parameter];

    /// Hands all values and all gradients, flat, to a rule that may change both: a checkpoint, or an optimiser, which also sets the
    /// gradients back to zero.
    ///
    /// # Errors
    /// Those of candle.
    fn update(&mut self, rule: &mut dyn FnMut(&mut [f32], &mut [f32])) -> Result<()>;

    /// One step of an optimiser, where the parameters are: moves the values and sets the gradients to zero. `scale` is told the sum of the
    /// squares of all gradients and says by what they are multiplied; where it says nothing, nothing changes.
    ///
    /// # Errors
    /// Those of candle.
    fn step(
        &mut self,
        optimiser: &mut Optimiser,
        learning_rate: f64,
        scale: &mut dyn FnMut(f64) -> Option<f64>,
    ) -> Result<()> {
        self.update(&mut |values, gradients| {
            if let Some(scale) = scale(squared_norm(gradients)) {
                optimiser.step(values, gradients, learning_rate, scale);
            }
        })
    }

    /// Brings an optimiser up to date with what [`Self::step`] kept where the parameters are, before its state is asked for.
    ///
    /// # Errors
    /// Those of candle.
    fn settle(&mut self, _optimiser: &mut Optimiser) -> Result<()> {
        Ok(())
    }

    /// Likewise the running means and variances of the batch norms that train with the batch's statistics: none with
    /// [`BatchNorm::Frozen`].
    ///
    /// # Errors
    /// Those of candle.
    fn update_statistics(&mut self, rule: &mut dyn FnMut(&mut [f32])) -> Result<()>;

    /// Name, shape and place in that vector of every running mean and variance.
    fn statistics(&self) -> &[Parameter];

    /// Where it runs, and where its inputs are to be.
    fn device(&self) -> &Device;
}

/// A tensor that is part of a flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// torchvision's: `Mixed_7c.branch1x1.conv.weight`, `.bn.weight`, `.bn.bias`, `.bn.running_mean`, `.bn.running_var`.
    pub name: String,
    /// In torchvision's order: a kernel is `[out, in, height, width]`.
    pub shape: Vec<usize>,
    /// Its numbers in the flat vector, row-major.
    pub range: Range<usize>,
}

/// What features are computed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// To learn from.
    Train,
    /// To look at.
    Evaluate,
}

/// What the batch norms past the border normalise by. Those of frozen layers always use their running statistics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BatchNorm {
    /// The running statistics, which stay as they are. Beta, and gamma where there is one, are trained.
    Frozen,
    /// The batch's own mean and (biased) variance; the running ones follow as PyTorch has it, `(1 - momentum) * running +
    /// momentum * batch` with the unbiased variance.
    Train {
        /// The share of the new; PyTorch's default is 0.1.
        momentum: f64,
    },
}

/// Why a network cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainableError {
    /// The network has no such freeze point.
    #[error(transparent)]
    Freeze(#[from] FreezeError),
    /// The weights belong to another network.
    #[error("weights of the variant {weights} in a network of the variant {network}")]
    Variant {
        /// Of the network.
        network: Variant,
        /// Of the weights.
        weights: Variant,
    },
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Prepares the part of a network past a freeze point for training, by the fastest interpreter for the device: of NVIDIA cards in
/// [`Precision::of_training`], but in float32 where batch norms train; of all others in float32.
///
/// # Errors
/// Where the network has no such freeze point or the weights are of another variant; those of candle and of CUDA's libraries.
#[cfg_attr(not(feature = "cuda"), expect(unused_variables, reason = "only NVIDIA cards have more than one precision"))]
pub fn open_trainable(
    network: &Network,
    weights: &Weights,
    freeze: &FreezePoint,
    batch_norm: BatchNorm,
    device: &Device,
    precision: Precision,
) -> std::result::Result<Box<dyn Trainable>, TrainableError> {
    match (device, batch_norm) {
        (Device::Cpu, _) => Ok(Box::new(Training::new(network, weights, freeze, batch_norm)?)),
        #[cfg(feature = "cuda")]
        (Device::Cuda(_), BatchNorm::Frozen) => {
            let opened =
                panics::silently(|| cuda::training::Training::new(network, weights, freeze, device, precision));
            Ok(Box::new(opened.unwrap_or_else(|words| Err(candle_core::Error::msg(words).into()))?))
        }
        _ => Ok(Box::new(Plain::new(network, weights, freeze, batch_norm, device, DType::F32)?)),
    }
}

/// What an [`Engine`](super::Engine) gives of a trunk, as a [`Trainable`] takes it: `[batch, channels, height, width]`, or features
/// `[batch, channels]`, to `[batch, height, width, channels]`, contiguous.
///
/// # Errors
/// Those of candle: a tensor of another rank.
pub fn channels_last(result: &Tensor) -> Result<Tensor> {
    if let [batch, channels] = *result.dims() {
        return result.reshape((batch, 1, 1, channels));
    }
    result.permute((0, 2, 3, 1))?.contiguous()
}
