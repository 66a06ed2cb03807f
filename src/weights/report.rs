//! What became of each tensor of a file.

use std::collections::BTreeMap;
use std::path::Path;

use super::checkpoint::Container;
use super::classifier::is_imagenet;
use super::naming::Names;
use super::read::Reading;
use super::{Mismatch, WeightsError};
use crate::inception::Variant;
use crate::onnx::{self, Recognised};

/// What a file holds, seen as weights: every tensor that is needed is applied, missing or misshaped, and every other one unknown or
/// unused.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which kind of file it is.
    pub container: Container,
    /// Whose names its tensors bear.
    pub names: Names,
    /// The network; `None` where neither the file nor who asks tells it.
    pub variant: Option<Variant>,
    /// The preprocessing that it was trained with, JSON, where the file says.
    pub preprocess: Option<String>,
    /// How many of the applied tensors have each type of numbers: `F32`.
    pub numbers: BTreeMap<String, usize>,
    /// What the network took, by torchvision's names.
    pub applied: Vec<String>,
    /// What keeps the file from being weights.
    pub mismatch: Mismatch,
    /// What is not the network's: an auxiliary classifier, counts of batches, the state of an optimiser.
    pub unused: Vec<String>,
    /// Outputs of the file's own classifier, where it has one: 1000 or 1008.
    pub classifier: Option<usize>,
    /// The SHA-256 of the file, in lower-case hex.
    pub sha256: String,
}

impl Report {
    /// Looks through a file without reading the tensors. `variant` decides where the file does not say.
    ///
    /// # Errors
    /// Where the file cannot be read, is none of the kinds that are read, or holds no Inception-v3. Tensors that are missing or
    /// misshaped are no error here.
    pub fn of_file(path: &Path, variant: Option<Variant>) -> Result<Self, WeightsError> {
        let bytes = super::read::map(path)?;
        if onnx::is_onnx(&bytes, Some(path)) {
            return Ok(Self::of_graph(onnx::recognise(bytes.to_vec(), Some(path))?));
        }
        Ok(Reading::open(&bytes, variant)?.into_report(&bytes))
    }

    /// A graph is recognised whole or not at all.
    fn of_graph(graph: Recognised) -> Self {
        let outputs = graph.classifier.map(|classifier| classifier.bias.len());
        let (classifier, unused) = match outputs {
            Some(outputs) if is_imagenet(outputs) => (Some(outputs), Vec::new()),
            Some(outputs) => (None, vec![format!("a classifier of {outputs} outputs")]),
            None => (None, Vec::new()),
        };
        Self {
            container: Container::Onnx,
            names: Names::Graph,
            variant: Some(graph.variant),
            preprocess: graph.preprocess,
            numbers: BTreeMap::from([("F32".to_owned(), graph.tensors.len())]),
            applied: graph.tensors.into_keys().collect(),
            mismatch: Mismatch::default(),
            unused,
            classifier,
            sha256: graph.sha256,
        }
    }
}
