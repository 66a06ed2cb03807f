//! `headstock.head/1`: a head as a file.
//!
//! | | | |
//! |---|---|---|
//! | `weight`, `bias` | F32 [K, F], `[K]` | a linear head |
//! | `dense1.weight`, `dense1.bias`, `dense2.weight`, `dense2.bias` | F32 [H, F], `[H]`, [K, H], `[K]` | a dense head |
//! | `held_out.labels`, `held_out.probabilities`, `held_out.map` | I64 `[M]`, F32 [M, K], F32 [M, 2] | rows to look at |
//! | metadata | strings | `format`, `kind`, `classes`, `temperature`, `thresholds`, `fit`, `held_out` (JSON), and the provenance of the embeddings |
//!
//! A model's file ([`model`](crate::model)) holds a head in the same way, with tensors under names that begin with `head.`.

use std::io::Write;
use std::path::Path;

use ndarray::Array2;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::{Dense, Head, HeldOut, Linear, Model};
use crate::embeddings::Provenance;
use crate::metrics::Metrics;
use crate::printable::shortened;
use crate::tensor_file::{Entry, Fault, ReadError, TensorFile, fault, write_header};
use crate::whole_file::{WriteError, write_whole};

/// The name of the format and its version, as it stands in the metadata.
pub const FORMAT: &str = "headstock.head/1";

/// The metadata of the rows to look at.
#[derive(Serialize, Deserialize)]
struct HeldOutText {
    set: String,
    metrics: Metrics,
    images: Option<String>,
    paths: Vec<String>,
}

impl Head {
    /// Reads a head.
    ///
    /// # Errors
    /// Where the file cannot be read, is of another format or version, is not whole, or holds numbers that are none.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        read(path).map_err(|(reason, source)| ReadError { path: path.to_owned(), role: "a head", reason, source })
    }

    /// Writes the head, whole or not at all. The same head gives the same bytes.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        write_whole(path, |out| {
            let mut metadata = self.metadata()?;
            metadata.extend([("format", FORMAT.to_owned()), ("weights", self.provenance.weights.clone())]);
            let tensors = self.tensors("");
            let entries: Vec<Entry<'_>> = tensors.iter().map(HeadTensor::entry).collect();
            write_header(&metadata, &entries, out)?;
            tensors.iter().try_for_each(|tensor| out.write_all(&tensor.bytes))
        })
    }

    /// All of the metadata but the format and the weights that the rows were made by.
    pub(crate) fn metadata(&self) -> serde_json::Result<Vec<(&'static str, String)>> {
        let kind = match self.model {
            Model::Linear(_) => "linear",
            Model::Dense(_) => "dense",
        };
        let Provenance { variant, preprocess, version, .. } = self.provenance.clone();
        let mut metadata = vec![
            ("kind", kind.to_owned()),
            ("classes", serde_json::to_string(&self.classes)?),
            ("temperature", serde_json::to_string(&self.temperature)?),
            ("fit", self.fit.to_string()),
            ("variant", variant),
            ("preprocess", preprocess),
            ("version", version),
        ];
        if let Some(thresholds) = &self.thresholds {
            metadata.push(("thresholds", serde_json::to_string(thresholds)?));
        }
        if let Some(HeldOut { set, metrics, images, paths, .. }) = self.held_out.clone() {
            metadata.push(("held_out", serde_json::to_string(&HeldOutText { set, metrics, images, paths })?));
        }
        Ok(metadata)
    }

    /// Wider numbers first. `prefix` begins the names of the model's tensors.
    pub(crate) fn tensors(&self, prefix: &str) -> Vec<HeadTensor> {
        let mut tensors = Vec::new();
        if let Some(held_out) = &self.held_out {
            tensors.push(HeadTensor::integers("held_out.labels".to_owned(), &held_out.labels));
            tensors.push(HeadTensor::matrix("held_out.probabilities".to_owned(), &held_out.probabilities));
            tensors.push(HeadTensor::matrix("held_out.map".to_owned(), &held_out.map));
        }
        let name = |name: &str| format!("{prefix}{name}");
        match &self.model {
            Model::Linear(Linear { weight, bias }) => {
                tensors.push(HeadTensor::matrix(name("weight"), weight));
                tensors.push(HeadTensor::vector(name("bias"), bias));
            }
            Model::Dense(Dense { weight1, bias1, weight2, bias2 }) => {
                tensors.push(HeadTensor::matrix(name("dense1.weight"), weight1));
                tensors.push(HeadTensor::vector(name("dense1.bias"), bias1));
                tensors.push(HeadTensor::matrix(name("dense2.weight"), weight2));
                tensors.push(HeadTensor::vector(name("dense2.bias"), bias2));
            }
        }
        tensors
    }

    /// The head in an open file, whose tensors' names begin with `prefix`.
    pub(crate) fn read_from(file: &mut TensorFile, prefix: &str, provenance: Provenance) -> Result<Self, Fault> {
        let classes = file.classes()?;
        if classes.len() < 2 {
            return Err(fault("it names fewer than two classes"));
        }
        let model = match file.text("kind")? {
            "linear" => Model::Linear(read_linear(file, prefix, classes.len())?),
            "dense" => Model::Dense(read_dense(file, prefix, classes.len())?),
            other => return Err(fault(format!("its kind is '{}', where linear or dense should be", shortened(other)))),
        };
        let temperature: f64 = file.json("temperature")?;
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(fault(format!("its temperature {temperature} is not above 0")));
        }
        let thresholds: Option<Vec<f64>> = file.optional_json("thresholds")?;
        if let Some(thresholds) = &thresholds {
            check_thresholds(thresholds, classes.len())?;
        }
        let fit = file.value("fit")?;
        let held_out = match file.optional_json("held_out")? {
            Some(text) => Some(read_held_out(file, text, &classes)?),
            None => None,
        };
        Ok(Self { classes, model, temperature, thresholds, provenance, fit, held_out })
    }
}

/// A tensor on its way to the file.
pub(crate) struct HeadTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl HeadTensor {
    fn matrix(name: String, matrix: &Array2<f32>) -> Self {
        let bytes = matrix.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self { name, dtype: Dtype::F32, shape: matrix.shape().to_vec(), bytes }
    }

    fn vector(name: String, vector: &[f32]) -> Self {
        let bytes = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self { name, dtype: Dtype::F32, shape: vec![vector.len()], bytes }
    }

    fn integers(name: String, integers: &[usize]) -> Self {
        let bytes = integers.iter().flat_map(|&number| (number as i64).to_le_bytes()).collect();
        Self { name, dtype: Dtype::I64, shape: vec![integers.len()], bytes }
    }

    pub(crate) fn entry(&self) -> Entry<'_> {
        Entry { name: &self.name, dtype: self.dtype, shape: self.shape.clone() }
    }
}

fn read(path: &Path) -> Result<Head, Fault> {
    let mut file = TensorFile::open(path, FORMAT)?;
    let provenance = Provenance::read(&file)?;
    Head::read_from(&mut file, "", provenance)
}

fn check_thresholds(thresholds: &[f64], classes: usize) -> Result<(), Fault> {
    if thresholds.len() != classes {
        return Err(fault(format!("its thresholds are not those of its {classes} classes")));
    }
    match thresholds.iter().find(|threshold| !(0.0..=1.0).contains(*threshold)) {
        Some(threshold) => Err(fault(format!("its threshold {threshold} is no probability"))),
        None => Ok(()),
    }
}

fn read_linear(file: &mut TensorFile, prefix: &str, classes: usize) -> Result<Linear, Fault> {
    let [weight, bias] = ["weight", "bias"].map(|name| format!("{prefix}{name}"));
    let features = columns(file, &weight)?;
    Ok(Linear { weight: matrix(file, &weight, [classes, features])?, bias: vector(file, &bias, classes)? })
}

fn read_dense(file: &mut TensorFile, prefix: &str, classes: usize) -> Result<Dense, Fault> {
    let [weight1, bias1, weight2, bias2] =
        ["dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias"].map(|name| format!("{prefix}{name}"));
    let (features, hidden) = (columns(file, &weight1)?, columns(file, &weight2)?);
    Ok(Dense {
        weight1: matrix(file, &weight1, [hidden, features])?,
        bias1: vector(file, &bias1, hidden)?,
        weight2: matrix(file, &weight2, [classes, hidden])?,
        bias2: vector(file, &bias2, classes)?,
    })
}

fn read_held_out(file: &mut TensorFile, text: HeldOutText, classes: &[String]) -> Result<HeldOut, Fault> {
    let HeldOutText { set, metrics, images, paths } = text;
    let (rows, count) = (paths.len(), classes.len());
    let labels = file.integers("held_out.labels", &[rows])?;
    let labels: Option<Vec<usize>> =
        labels.into_iter().map(|label| usize::try_from(label).ok().filter(|&label| label < count)).collect();
    let labels = labels.ok_or_else(|| fault(format!("`held_out.labels` goes beyond its {count} classes")))?;
    if !metrics.classes.iter().map(|class| &class.class).eq(classes)
        || metrics.confusion.len() != count
        || metrics.confusion.iter().any(|row| row.len() != count)
    {
        return Err(fault(format!("its metrics are not those of its {count} classes")));
    }
    let probabilities = matrix(file, "held_out.probabilities", [rows, count])?;
    if !probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
        return Err(fault("`held_out.probabilities` holds numbers that are no probabilities"));
    }
    let map = matrix(file, "held_out.map", [rows, 2])?;
    Ok(HeldOut { set, metrics, images, paths, labels, probabilities, map })
}

/// The second side of a matrix, at least 1.
fn columns(file: &TensorFile, name: &str) -> Result<usize, Fault> {
    match file.tensor(name).map(|info| info.shape.as_slice()) {
        Some(&[_, columns]) if columns > 0 => Ok(columns),
        Some(shape) => Err(fault(format!("`{name}` is of shape {shape:?}, where numbers in rows should be"))),
        None => Err(fault(format!("it has no tensor `{name}`"))),
    }
}

fn matrix(file: &mut TensorFile, name: &str, shape: [usize; 2]) -> Result<Array2<f32>, Fault> {
    let numbers = finite(name, file.floats(name, &shape)?)?;
    Array2::from_shape_vec(shape, numbers).map_err(|error| fault(format!("`{name}`: {error}")))
}

fn vector(file: &mut TensorFile, name: &str, len: usize) -> Result<Vec<f32>, Fault> {
    finite(name, file.floats(name, &[len])?)
}

fn finite(name: &str, numbers: Vec<f32>) -> Result<Vec<f32>, Fault> {
    if numbers.iter().all(|number| number.is_finite()) {
        Ok(numbers)
    } else {
        Err(fault(format!("`{name}` holds numbers that are not finite")))
    }
}
