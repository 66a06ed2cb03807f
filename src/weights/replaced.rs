//! Weights with some of their numbers replaced: what training leaves.

use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};

use super::{Mismatch, Misshaped, Weights, WeightsError, hex, node_and_part};

impl Weights {
    /// These weights with other numbers in some of the tensors: names as in files, and as many float32 numbers as the tensor
    /// has, in its order. All other tensors are shared, not copied.
    ///
    /// [`sha256`](Self::sha256) of the result is a digest of this one's, and of the names and numbers in the order given; with nothing
    /// replaced it is this one's.
    ///
    /// # Errors
    /// [`WeightsError::Mismatch`] with every name that is no tensor of the network, and every count that is not the tensor's.
    pub fn with_tensors<'a>(
        &self,
        tensors: impl IntoIterator<Item = (&'a str, &'a [f32])>,
    ) -> Result<Self, WeightsError> {
        let mut changed = self.clone();
        let mut mismatch = Mismatch::default();
        let mut digest = Sha256::new().chain_update(&self.sha256);
        let mut any = false;
        for (name, numbers) in tensors {
            let Some(tensor) = changed.tensor_mut(name) else {
                mismatch.unknown.push(name.to_owned());
                continue;
            };
            if numbers.len() != tensor.elem_count() {
                mismatch.misshaped.push(Misshaped {
                    name: name.to_owned(),
                    found: format!("{} numbers", numbers.len()),
                    expected: format!("F32 {:?}", tensor.dims()),
                });
                continue;
            }
            *tensor = Tensor::from_slice(numbers, tensor.shape(), &Device::Cpu)?;
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            digest.update(name);
            digest.update([0]);
            digest.update(bytes);
            any = true;
        }
        if mismatch != Mismatch::default() {
            return Err(WeightsError::Mismatch { variant: self.variant, mismatch });
        }
        if any {
            changed.sha256 = hex(&digest.finalize());
        }
        Ok(changed)
    }

    fn tensor_mut(&mut self, name: &str) -> Option<&mut Tensor> {
        let (node, part) = node_and_part(name)?;
        self.convolutions.get_mut(node)?.part_mut(part)
    }
}
