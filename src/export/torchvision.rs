//! A state dict for `torchvision.models.inception_v3(weights=None, aux_logits=False, num_classes=K, transform_input=False,
//! init_weights=False)`, to be loaded with `strict=True`. The head is its last layer, temperature included.
//!
//! The names are ours already. A variant without gamma gets ones. What a state dict cannot say is how pools treat the border: torchvision's
//! code counts padding, so its numbers are the network's own only for the variant `torchvision`.

use std::path::Path;

use super::ExportError;
use super::pickle::{self, Entry, Numbers};
use crate::head::{Head, Linear, Model};
use crate::inception::{FEATURES, Network};
use crate::weights::Weights;
use crate::whole_file::write_whole;

/// Writes the state dict, whole or not at all.
///
/// # Errors
/// Where the head is no linear one of 2048 features, or the file cannot be written.
pub fn torchvision(weights: &Weights, head: &Head, path: &Path) -> Result<(), ExportError> {
    let Model::Linear(Linear { weight, bias }) = &head.model else { return Err(ExportError::Dense) };
    if head.features() != FEATURES {
        return Err(ExportError::Features { features: head.features() });
    }
    let network = Network::new(weights.variant());
    let mut tensors = Vec::new();
    for (node, convolution) in network.convolutions() {
        let channels = vec![convolution.out_channels];
        let mut add = |part: &str, shape: Vec<usize>, numbers| {
            tensors.push(Entry { name: format!("{}.{part}", node.name), shape, numbers });
        };
        let floats = |part: &str| match weights.tensor(&format!("{}.{part}", node.name)) {
            Some(tensor) => Ok(Numbers::Floats(tensor.flatten_all()?.to_vec1()?)),
            None if part == "bn.weight" => Ok(Numbers::Floats(vec![1.0; convolution.out_channels])),
            None => Err(candle_core::Error::Msg(format!("{}.{part} is missing", node.name))),
        };
        add("conv.weight", convolution.kernel_shape().to_vec(), floats("conv.weight")?);
        for part in ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"] {
            add(part, channels.clone(), floats(part)?);
        }
        add("bn.num_batches_tracked", vec![], Numbers::Integer(0));
    }
    let last = |part: &str, shape, numbers: Vec<f32>| Entry {
        name: format!("fc.{part}"),
        shape,
        numbers: Numbers::Floats(numbers),
    };
    tensors.push(last("weight", weight.shape().to_vec(), weight.iter().copied().collect()));
    tensors.push(last("bias", vec![bias.len()], bias.clone()));
    Ok(write_whole(path, |out| pickle::write(&tensors, out))?)
}
