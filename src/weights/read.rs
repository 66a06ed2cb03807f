//! Checkpoints to [`Weights`], all or nothing.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::checkpoint::{Bytes, Checkpoint, Container, StoredTensor};
use super::classifier::Classifier;
use super::held::{Candidate, Held, hold};
use super::naming::{Named, Names, canonical};
use super::{ConvolutionWeights, Mismatch, Report, Weights, WeightsError, hex};
use crate::inception::{FEATURES, Network, Variant};
use crate::onnx;

impl Weights {
    /// Reads a checkpoint of any kind that is known ([`weights`](super)). `variant` decides where the file does not say.
    ///
    /// # Errors
    /// Where the file cannot be read, is no checkpoint of Inception-v3, tells no variant, or lacks, misshapes or adds a tensor; the error
    /// lists them.
    pub fn from_file(path: &Path, variant: Option<Variant>) -> Result<Self, WeightsError> {
        let bytes = map(path)?;
        if onnx::is_onnx(&bytes, Some(path)) {
            return Self::from_onnx(bytes.to_vec(), path, variant);
        }
        Self::of_bytes(&bytes, variant)
    }

    /// A graph says by its pools which variant it is.
    fn from_onnx(bytes: Vec<u8>, path: &Path, variant: Option<Variant>) -> Result<Self, WeightsError> {
        let graph = onnx::recognise(bytes, Some(path))?;
        if let Some(asked) = variant.filter(|&asked| asked != graph.variant) {
            return Err(WeightsError::VariantConflict { file: graph.variant, asked });
        }
        let mut tensors = graph.tensors;
        if let Some(onnx::Classifier { weight, bias }) = graph.classifier {
            let outputs = bias.len();
            tensors.insert("fc.weight".to_owned(), (vec![outputs, FEATURES], weight));
            tensors.insert("fc.bias".to_owned(), (vec![outputs], bias));
        }
        Self::from_tensors(graph.variant, graph.sha256, graph.preprocess, tensors)
    }

    /// Reads the bytes of such a file.
    ///
    /// # Errors
    /// As [`Self::from_file`].
    pub fn from_bytes(bytes: &[u8], variant: Option<Variant>) -> Result<Self, WeightsError> {
        Self::of_bytes(&bytes.into(), variant)
    }

    fn of_bytes(bytes: &Bytes<'_>, variant: Option<Variant>) -> Result<Self, WeightsError> {
        let reading = Reading::open(bytes, variant)?;
        let (sha256, weights) = rayon::join(|| hex(&Sha256::digest(&**bytes)), || reading.weights());
        Ok(Self { sha256, ..weights? })
    }

    /// Weights of tensors that are in memory already, by torchvision's names: shape, and numbers with the last index fastest.
    /// `fc.weight` and `fc.bias` become the classifier. `sha256` is that of the file that they came from, `preprocess` JSON.
    ///
    /// # Errors
    /// [`WeightsError::Mismatch`] where they are not those of the variant's network.
    pub fn from_tensors(
        variant: Variant,
        sha256: String,
        preprocess: Option<String>,
        tensors: impl IntoIterator<Item = (String, (Vec<usize>, Vec<f32>))>,
    ) -> Result<Self, WeightsError> {
        let network = Network::new(variant);
        let tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)> = tensors.into_iter().collect();
        let candidates = tensors.iter().map(|(name, (shape, numbers))| {
            let is_read = numbers.len() == shape.iter().product::<usize>();
            let shown = format!("{} numbers as F32 {shape:?}", numbers.len());
            (name.as_str(), Candidate { shape, is_read, shown })
        });
        let held = hold(&network, candidates.collect());
        let weights = gather(&network, &held, |name| {
            let (shape, numbers) = tensors.get(name)?;
            Some(Tensor::from_slice(numbers, shape.as_slice(), &Device::Cpu).map_err(WeightsError::from))
        })?;
        Ok(Self { sha256, preprocess, ..weights })
    }
}

/// Maps a file.
pub(super) fn map(path: &Path) -> Result<Bytes<'static>, WeightsError> {
    Bytes::map(path).map_err(|source| WeightsError::Read { path: path.to_owned(), source })
}

/// A checkpoint whose names are understood, held to the network that it is of; its numbers are not read yet.
pub(super) struct Reading<'a> {
    container: Container,
    names: Names,
    tensors: BTreeMap<String, StoredTensor<'a>>,
    /// None where nothing tells.
    variant: Option<Variant>,
    network: Network,
    preprocess: Option<String>,
    held: Held,
}

impl<'a> Reading<'a> {
    /// Looks through the bytes of a file. `asked` is the variant where the file does not say.
    pub(super) fn open(bytes: &Bytes<'a>, asked: Option<Variant>) -> Result<Self, WeightsError> {
        let Checkpoint { container, tensors, mut metadata } = Checkpoint::of(bytes)?;
        let (count, first) = (tensors.len(), tensors.keys().next().cloned());
        let Named { names, tensors, beyond } =
            canonical(tensors).ok_or(WeightsError::OtherNetwork { tensors: count, first })?;
        let said = match metadata.get("variant") {
            Some(name) => Some(name.parse()?),
            None => names.variant().or_else(|| variant_of_classifier(&tensors)),
        };
        let variant = match (said, asked) {
            (Some(file), Some(asked)) if file != asked => return Err(WeightsError::VariantConflict { file, asked }),
            (said, asked) => said.or(asked).or_else(|| variant_of_scales(&tensors)),
        };
        // Keras' network and the one of 2015 have the same tensors.
        let network = Network::new(variant.unwrap_or(Variant::Keras));
        let candidates = tensors.iter().map(|(name, tensor)| (name.as_str(), candidate(tensor)));
        let mut held = hold(&network, candidates.collect());
        held.unused.extend(beyond);
        let preprocess = metadata.remove("preprocess");
        Ok(Self { container, names, tensors, variant, network, preprocess, held })
    }

    /// The numbers, but for the file's hash.
    fn weights(&self) -> Result<Weights, WeightsError> {
        if self.variant.is_none() {
            return Err(WeightsError::VariantUnknown);
        }
        let weights = gather(&self.network, &self.held, |name| {
            let tensor = self.tensors.get(name)?;
            let read = || Ok(Tensor::from_vec(tensor.numbers()?, tensor.shape(), &Device::Cpu)?);
            Some(read())
        });
        Ok(Weights { preprocess: self.preprocess.clone(), ..weights? })
    }

    pub(super) fn into_report(self, bytes: &Bytes<'_>) -> Report {
        let mut numbers = BTreeMap::new();
        for tensor in self.held.applied.iter().filter_map(|name| self.tensors.get(name)) {
            *numbers.entry(tensor.number().to_string()).or_default() += 1;
        }
        let Held { applied, mismatch, unused, classifier } = self.held;
        Report {
            container: self.container,
            names: self.names,
            variant: self.variant,
            preprocess: self.preprocess,
            numbers,
            applied,
            mismatch,
            unused,
            classifier,
            sha256: hex(&Sha256::digest(&**bytes)),
        }
    }
}

fn candidate<'t>(tensor: &'t StoredTensor<'_>) -> Candidate<'t> {
    Candidate { shape: tensor.shape(), is_read: tensor.number().size().is_some(), shown: tensor.to_string() }
}

/// Only the network of 2015 has 1008 outputs.
fn variant_of_classifier(tensors: &BTreeMap<String, StoredTensor<'_>>) -> Option<Variant> {
    (tensors.get("fc.bias")?.shape() == [1008]).then_some(Variant::Tf2015)
}

/// Of the three, only torchvision's batch norm has a scale.
fn variant_of_scales(tensors: &BTreeMap<String, StoredTensor<'_>>) -> Option<Variant> {
    tensors.contains_key("Conv2d_1a_3x3.bn.weight").then_some(Variant::Torchvision)
}

/// Puts together the tensors that `tensor` gives by name, once they are known to be those of the network.
fn gather(
    network: &Network,
    held: &Held,
    tensor: impl Fn(&str) -> Option<Result<Tensor, WeightsError>> + Sync,
) -> Result<Weights, WeightsError> {
    let variant = network.variant();
    if held.mismatch != Mismatch::default() {
        return Err(WeightsError::Mismatch { variant, mismatch: held.mismatch.clone() });
    }
    let absent = |name: String| {
        let mismatch = Mismatch { missing: vec![name], ..Mismatch::default() };
        Err(WeightsError::Mismatch { variant, mismatch })
    };
    let needed = |name: String| tensor(&name).unwrap_or_else(|| absent(name));
    let nodes: Vec<_> = network.convolutions().collect();
    let convolutions = nodes.into_par_iter().map(|(node, convolution)| {
        let part = |part: &str| format!("{}.{part}", node.name);
        let weights = ConvolutionWeights {
            kernel: needed(part("conv.weight"))?,
            gamma: tensor(&part("bn.weight")).transpose()?,
            beta: needed(part("bn.bias"))?,
            mean: needed(part("bn.running_mean"))?,
            variance: needed(part("bn.running_var"))?,
        };
        let weights = if convolution.gamma { weights } else { weights.without_gamma()? };
        Ok((node.name.clone(), weights))
    });
    let convolutions = convolutions.collect::<Result<_, WeightsError>>()?;
    let classifier = held.classifier.map(|_| {
        let part = |name: &str| needed(name.to_owned());
        Ok::<_, WeightsError>(Classifier { weight: part("fc.weight")?, bias: part("fc.bias")? })
    });
    Ok(Weights { variant, sha256: String::new(), preprocess: None, convolutions, classifier: classifier.transpose()? })
}

impl ConvolutionWeights {
    /// The same convolution without a scale: it goes into the kernel and into the mean that is taken off after it.
    fn without_gamma(mut self) -> candle_core::Result<Self> {
        if let Some(gamma) = self.gamma.take()
            && gamma.to_vec1::<f32>()?.iter().any(|scale| scale.to_bits() != 1_f32.to_bits())
        {
            self.kernel = self.kernel.broadcast_mul(&gamma.reshape(((), 1, 1, 1))?)?;
            self.mean = (self.mean * gamma)?;
        }
        Ok(self)
    }
}
