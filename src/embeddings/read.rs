//! `embeddings.safetensors`, opened: the header is read and held to the promise, the rows are read when asked for.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::{FORMAT, HEADER_LIMIT, Provenance};

/// An embeddings file whose header has been read.
#[derive(Debug)]
pub struct EmbeddingsFile {
    /// By what the rows were made.
    pub provenance: Provenance,
    /// Class names; empty where there are none.
    pub classes: Vec<String>,
    /// The image of each row, relative to the folder it was read from.
    pub paths: Vec<String>,
    /// The label of each row, by position in `classes`, [`NO_CLASS`](super::NO_CLASS) for none; `None` where there are
    /// no classes.
    pub labels: Option<Vec<i64>>,
    /// Numbers in a row.
    pub columns: usize,
    file: BufReader<File>,
    first_row: u64,
}

/// A file that is no embeddings file.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} as embeddings: {reason}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// One line.
    pub reason: String,
    /// What the system says, where it is the system that refuses.
    pub source: Option<io::Error>,
}

impl EmbeddingsFile {
    /// Opens the file and reads all but the rows.
    ///
    /// # Errors
    /// Where it cannot be read, is of another format or version, or is not whole.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let fail = |(reason, source)| ReadError { path: path.to_owned(), reason, source };
        open(path).map_err(fail)
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Calls `each` with every row, in order, one in memory at a time.
    ///
    /// # Errors
    /// Where the file can no longer be read.
    pub fn for_each_row(&mut self, mut each: impl FnMut(&[f32])) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.first_row))?;
        let mut bytes = vec![0; self.columns * size_of::<f32>()];
        let mut row = vec![0.0; self.columns];
        for _ in 0..self.len() {
            self.file.read_exact(&mut bytes)?;
            for (number, bytes) in row.iter_mut().zip(bytes.chunks_exact(4)) {
                *number = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
            each(&row);
        }
        Ok(())
    }
}

/// What is wrong with a file, and the system's word on it if it has one.
type Fault = (String, Option<io::Error>);

fn fault(reason: impl Into<String>) -> Fault {
    (reason.into(), None)
}

fn open(path: &Path) -> Result<EmbeddingsFile, Fault> {
    let unreadable = |source| ("it cannot be read".to_owned(), Some(source));
    let no_safetensors = || fault("it is no safetensors file");
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let file_len = file.get_ref().metadata().map_err(unreadable)?.len();

    let mut len = [0; 8];
    file.read_exact(&mut len).map_err(|_| no_safetensors())?;
    let header_len = usize::try_from(u64::from_le_bytes(len)).unwrap_or(usize::MAX);
    if header_len > HEADER_LIMIT || 8 + header_len as u64 > file_len {
        return Err(no_safetensors());
    }
    let mut header = vec![0; header_len];
    file.read_exact(&mut header).map_err(unreadable)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|_| no_safetensors())?;

    let metadata = header.metadata().clone().unwrap_or_default();
    match metadata.get("format").map(String::as_str) {
        Some(FORMAT) => {}
        Some(other) => return Err(fault(format!("its format is {other}, not {FORMAT}"))),
        None => return Err(fault(format!("its metadata names no format, where {FORMAT} should be"))),
    }
    let text = |key: &str| metadata.get(key).cloned().ok_or_else(|| fault(format!("its metadata has no `{key}`")));
    let list = |key: &str| -> Result<Vec<String>, Fault> {
        serde_json::from_str(&text(key)?).map_err(|_| fault(format!("`{key}` of its metadata is no list")))
    };
    let provenance = Provenance {
        weights: text("weights")?,
        variant: text("variant")?,
        preprocess: text("preprocess")?,
        version: text("version")?,
    };
    let (classes, paths) = (list("classes")?, list("paths")?);

    let data = 8 + header_len as u64;
    for (name, info) in header.tensors() {
        let (start, end) = info.data_offsets;
        let numbers = info.shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side));
        if numbers.and_then(|numbers| numbers.checked_mul(info.dtype.bitsize() / 8)) != end.checked_sub(start) {
            return Err(fault(format!("the header contradicts itself about `{name}`")));
        }
        if end as u64 > file_len - data {
            return Err(fault("it is cut off"));
        }
    }
    let embeddings = header.info("embeddings").ok_or_else(|| fault("it has no tensor `embeddings`"))?;
    let columns = match (embeddings.dtype, embeddings.shape.as_slice()) {
        (Dtype::F32, &[rows, columns]) if rows == paths.len() => columns,
        (dtype, shape) => {
            return Err(fault(format!("`embeddings` is {dtype:?} {shape:?}, not F32 [{}, 2048]", paths.len())));
        }
    };
    let labels = match header.info("labels") {
        None => None,
        Some(info) => Some(read_labels(&mut file, data, info, paths.len(), classes.len())?),
    };
    let first_row = data + embeddings.data_offsets.0 as u64;
    Ok(EmbeddingsFile { provenance, classes, paths, labels, columns, file, first_row })
}

fn read_labels(
    file: &mut BufReader<File>,
    data: u64,
    info: &TensorInfo,
    rows: usize,
    classes: usize,
) -> Result<Vec<i64>, Fault> {
    if info.dtype != Dtype::I64 || info.shape != [rows] {
        return Err(fault(format!("`labels` is {:?} {:?}, not I64 [{rows}]", info.dtype, info.shape)));
    }
    let mut bytes = vec![0; rows * size_of::<i64>()];
    let read = file.seek(SeekFrom::Start(data + info.data_offsets.0 as u64)).and_then(|_| file.read_exact(&mut bytes));
    read.map_err(|source| ("its labels cannot be read".to_owned(), Some(source)))?;
    let labels: Vec<i64> = bytes.chunks_exact(8).filter_map(|b| b.try_into().ok().map(i64::from_le_bytes)).collect();
    match labels.iter().find(|&&label| label < super::NO_CLASS || label >= classes as i64) {
        Some(label) => Err(fault(format!("the label {label} is beyond its {classes} classes"))),
        None => Ok(labels),
    }
}
