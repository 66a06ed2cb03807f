//! Weights as a safetensors file of ours.

use std::io::{self, Write};
use std::path::Path;

use candle_core::Tensor;
use half::f16;
use safetensors::Dtype;

use super::{Weights, expected_tensors};
use crate::inception::Network;
use crate::tensor_file::{Entry, write_header};
use crate::whole_file::{WriteError, write_whole};

/// How kernels are written; batch norm's vectors are float32 always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// float32.
    F32,
    /// float16, rounded to nearest: features move by about 1e-3 relative L2.
    F16,
}

impl Weights {
    /// Writes safetensors: all tensors under torchvision's names, the classifier too, and as metadata `variant` and, where there is one,
    /// `preprocess`. [`from_file`](Self::from_file) needs to be told nothing of it. The same weights give the same bytes.
    ///
    /// # Errors
    /// Where the file cannot be written; what was there before is then still there.
    pub fn write(&self, path: &Path, precision: Precision, preprocess: Option<&str>) -> Result<(), WriteError> {
        let network = Network::new(self.variant);
        let own = expected_tensors(&network).filter_map(|(name, _)| Some((self.tensor(&name)?, name)));
        let classifier = self.classifier.iter().flat_map(|classifier| {
            [(&classifier.weight, "fc.weight".to_owned()), (&classifier.bias, "fc.bias".to_owned())]
        });
        let dtype = |tensor: &Tensor| match precision {
            Precision::F16 if tensor.rank() > 1 => Dtype::F16,
            _ => Dtype::F32,
        };
        let mut tensors: Vec<(Dtype, &Tensor, String)> =
            own.chain(classifier).map(|(tensor, name)| (dtype(tensor), tensor, name)).collect();
        // Wider numbers first, so that all are aligned.
        tensors.sort_by_key(|(dtype, ..)| *dtype == Dtype::F16);

        let mut metadata = vec![("variant", self.variant.to_string())];
        metadata.extend(preprocess.map(|preprocess| ("preprocess", preprocess.to_owned())));
        write_whole(path, |out| {
            let entries: Vec<Entry<'_>> = tensors
                .iter()
                .map(|(dtype, tensor, name)| Entry { name, dtype: *dtype, shape: tensor.dims().to_vec() })
                .collect();
            write_header(&metadata, &entries, out)?;
            tensors.iter().try_for_each(|(dtype, tensor, _)| write_numbers(*dtype, tensor, out))
        })
    }
}

fn write_numbers(dtype: Dtype, tensor: &Tensor, out: &mut impl Write) -> io::Result<()> {
    let numbers: Vec<f32> = tensor.flatten_all().and_then(|flat| flat.to_vec1()).map_err(io::Error::other)?;
    match dtype {
        Dtype::F16 => numbers.iter().try_for_each(|&number| out.write_all(&f16::from_f32(number).to_le_bytes())),
        _ => numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes())),
    }
}
