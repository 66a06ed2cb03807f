//! The file, written and read.

use std::io::{self, Write};
use std::path::Path;

use candle_core::Tensor;
use safetensors::Dtype;

use super::ModelFile;
use crate::embeddings::Provenance;
use crate::head::{Head, HeadTensor};
use crate::inception::Network;
use crate::sha256;
use crate::tensor_file::{Entry, Fault, ReadError, TensorFile, write_header};
use crate::weights::{Weights, expected_tensors};
use crate::whole_file::{WriteError, write_whole};

/// The name of the format and its version, as it stands in the metadata.
pub const FORMAT: &str = "headstock.model/1";

/// What the names of the head's tensors begin with.
const HEAD: &str = "head.";

impl ModelFile {
    /// Reads the head of a model, and hashes the file.
    ///
    /// # Errors
    /// Where the file cannot be read, is of another format or version, is not whole, or its head holds numbers that are none.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        read(path).map_err(|(reason, source)| ReadError { path: path.to_owned(), role: "a model", reason, source })
    }

    /// Writes the file, whole or not at all: `weights` is the network that the head's rows are of. The same model gives the same bytes.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, weights: &Weights, path: &Path) -> Result<(), WriteError> {
        let network = Network::new(weights.variant());
        let names: Vec<(String, &Tensor)> = expected_tensors(&network)
            .filter_map(|(name, _)| weights.tensor(&name).map(|tensor| (name, tensor)))
            .collect();
        write_whole(path, |out| {
            let mut metadata = self.head.metadata()?;
            metadata.extend([("format", FORMAT.to_owned()), ("start_weights", self.start_weights.clone())]);
            let head = self.head.tensors(HEAD);
            let backbone =
                names.iter().map(|(name, tensor)| Entry { name, dtype: Dtype::F32, shape: tensor.dims().to_vec() });
            // The head first, as its labels are the widest numbers.
            let entries: Vec<Entry<'_>> = head.iter().map(HeadTensor::entry).chain(backbone).collect();
            write_header(&metadata, &entries, out)?;
            head.iter().try_for_each(|tensor| out.write_all(&tensor.bytes))?;
            names.iter().try_for_each(|(_, tensor)| write_numbers(tensor, out))
        })
    }
}

fn write_numbers(tensor: &Tensor, out: &mut impl Write) -> io::Result<()> {
    let numbers: Vec<f32> = tensor.flatten_all().and_then(|flat| flat.to_vec1()).map_err(io::Error::other)?;
    numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))
}

fn read(path: &Path) -> Result<ModelFile, Fault> {
    let mut file = TensorFile::open(path, FORMAT)?;
    let text = |key| file.text(key).map(str::to_owned);
    let provenance = Provenance {
        weights: sha256::of_file(path).map_err(|source| ("it cannot be read".to_owned(), Some(source)))?,
        variant: text("variant")?,
        preprocess: text("preprocess")?,
        version: text("version")?,
    };
    let start_weights = text("start_weights")?;
    Ok(ModelFile { head: Head::read_from(&mut file, HEAD, provenance)?, start_weights })
}
