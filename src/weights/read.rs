//! safetensors to [`Weights`], all or nothing.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::{ConvolutionWeights, Weights, expected_tensors};
use crate::inception::{Network, Variant};

/// Why weights could not be had, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be opened or read.
    #[error("cannot read the weights {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The bytes are not safetensors.
    #[error("not a whole safetensors file")]
    Format(#[from] safetensors::SafeTensorError),
    /// Nothing in the file tells the variant.
    #[error(
        "the file does not say which variant of Inception-v3 it holds (its metadata has no `variant`): pass --variant tf2015 or --variant keras"
    )]
    VariantUnknown,
    /// The metadata names a variant that there is not.
    #[error("the file's metadata is wrong")]
    Variant(#[from] crate::inception::UnknownVariant),
    /// The file says one variant, the flag another.
    #[error("the file says that it holds the variant {file}, not {asked}")]
    VariantConflict {
        /// What the metadata says.
        file: Variant,
        /// What was asked for.
        asked: Variant,
    },
    /// The tensors are not those of the network.
    #[error("the tensors are not those of Inception-v3 ({variant})\n{mismatch}")]
    Mismatch {
        /// The network they were held to.
        variant: Variant,
        /// What is wrong, by name.
        mismatch: Mismatch,
    },
    /// The binary carries no weights.
    #[error("this binary was built without embedded weights (feature `embedded-weights`): pass --weights FILE")]
    NotEmbedded,
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// How the tensors of a file differ from those the network needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Needed, and not in the file.
    pub missing: Vec<String>,
    /// In the file, and no part of the network.
    pub unknown: Vec<String>,
    /// Of another shape or number type.
    pub misshaped: Vec<Misshaped>,
}

/// A tensor of another shape or number type than is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshaped {
    /// Its name.
    pub name: String,
    /// What the file has: `F32 [64, 32, 3, 3]`.
    pub found: String,
    /// What is needed.
    pub expected: String,
}

impl Weights {
    /// Reads a safetensors file, float16 or float32. `variant` decides where the file does not say.
    ///
    /// # Errors
    /// Where the file cannot be read, tells no variant, or lacks, misshapes or adds a tensor; the error lists them.
    pub fn from_file(path: &Path, variant: Option<Variant>) -> Result<Self, WeightsError> {
        let bytes = std::fs::read(path).map_err(|source| WeightsError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes, variant)
    }

    /// Reads the bytes of a safetensors file.
    ///
    /// # Errors
    /// As [`Self::from_file`].
    pub fn from_bytes(bytes: &[u8], variant: Option<Variant>) -> Result<Self, WeightsError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let file = SafeTensors::deserialize(bytes)?;
        let said = |key: &str| header.metadata().as_ref()?.get(key);
        let named: Option<Variant> = said("variant").map(|name| name.parse()).transpose()?;
        let variant = match (named, variant) {
            (Some(file), Some(asked)) if file != asked => return Err(WeightsError::VariantConflict { file, asked }),
            (Some(variant), _) | (None, Some(variant)) => variant,
            // Of the three, only torchvision's batch norm has a gamma.
            (None, None) if file.tensor("Conv2d_1a_3x3.bn.weight").is_ok() => Variant::Torchvision,
            (None, None) => return Err(WeightsError::VariantUnknown),
        };
        let network = Network::new(variant);
        hold_to(&network, &file).map_err(|mismatch| WeightsError::Mismatch { variant, mismatch })?;
        let (sha256, convolutions) = rayon::join(
            || hex(&Sha256::digest(bytes)),
            || Self::gather(&network, |name| to_tensor(&file.tensor(name)?)),
        );
        let preprocess = said("preprocess").cloned();
        Ok(Self { variant, sha256, preprocess, convolutions: convolutions? })
    }

    /// Puts together the tensors that `tensor` gives by name.
    fn gather(
        network: &Network,
        tensor: impl Fn(&str) -> Result<Tensor, WeightsError> + Sync,
    ) -> Result<HashMap<String, ConvolutionWeights>, WeightsError> {
        let nodes: Vec<_> = network.convolutions().collect();
        let convolutions = nodes.into_par_iter().map(|(node, convolution)| {
            let part = |part: &str| tensor(&format!("{}.{part}", node.name));
            let weights = ConvolutionWeights {
                kernel: part("conv.weight")?,
                gamma: if convolution.gamma { Some(part("bn.weight")?) } else { None },
                beta: part("bn.bias")?,
                mean: part("bn.running_mean")?,
                variance: part("bn.running_var")?,
            };
            Ok((node.name.clone(), weights))
        });
        convolutions.collect()
    }
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

/// What belongs to training or to a classifier: in torchvision's checkpoints, and in a model's file.
fn is_beyond_the_features(name: &str) -> bool {
    const PREFIXES: [&str; 4] = ["AuxLogits.", "fc.", "head.", "held_out."];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || name.ends_with(".num_batches_tracked")
}

fn hold_to(network: &Network, file: &SafeTensors<'_>) -> Result<(), Mismatch> {
    let mut mismatch = Mismatch::default();
    let mut found: BTreeMap<&str, TensorView<'_>> = file.iter().collect();
    for (name, shape) in expected_tensors(network) {
        match found.remove(name.as_str()) {
            None => mismatch.missing.push(name),
            Some(tensor) if tensor.shape() == shape && matches!(tensor.dtype(), Dtype::F16 | Dtype::F32) => {}
            Some(tensor) => mismatch.misshaped.push(Misshaped {
                name,
                found: format!("{:?} {:?}", tensor.dtype(), tensor.shape()),
                expected: format!("F16 or F32 {shape:?}"),
            }),
        }
    }
    mismatch.unknown = found.into_keys().filter(|name| !is_beyond_the_features(name)).map(str::to_owned).collect();
    if mismatch == Mismatch::default() { Ok(()) } else { Err(mismatch) }
}

/// The tensor as float32 on the CPU.
fn to_tensor(view: &TensorView<'_>) -> Result<Tensor, WeightsError> {
    let values: Vec<f32> = match view.dtype() {
        Dtype::F16 => floats(view.data()),
        _ => view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
    };
    Ok(Tensor::from_vec(values, view.shape(), &Device::Cpu)?)
}

/// Little-endian float16 as float32, a piece at a time: the bytes need not be aligned, and the processor converts many at once.
fn floats(bytes: &[u8]) -> Vec<f32> {
    const PIECE: usize = 4096;
    let mut floats = vec![0.0; bytes.len() / 2];
    let mut halves = [f16::ZERO; PIECE];
    for (bytes, floats) in bytes.chunks(2 * PIECE).zip(floats.chunks_mut(PIECE)) {
        let halves = &mut halves[..floats.len()];
        halves.iter_mut().zip(bytes.chunks_exact(2)).for_each(|(half, b)| *half = f16::from_le_bytes([b[0], b[1]]));
        halves.convert_to_f32_slice(floats);
    }
    floats
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let misshaped: Vec<String> =
            self.misshaped.iter().map(|m| format!("{}: {}, not {}", m.name, m.found, m.expected)).collect();
        let mut separator = "";
        for (title, lines) in [("missing", &self.missing), ("unknown", &self.unknown), ("misshaped", &misshaped)] {
            if !lines.is_empty() {
                write!(f, "{separator}{} {title}:\n  {}", lines.len(), lines.join("\n  "))?;
                separator = "\n";
            }
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}
