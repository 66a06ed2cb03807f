//! `embeddings.safetensors`, opened: the header is read and held to the promise, the rows are read when asked for.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::Dtype;

use super::{FORMAT, NO_CLASS, Provenance};
use crate::tensor_file::{Fault, ReadError, TensorFile, fault};

/// The longest row that is believed. Where there are no rows, the file's length does not bear theirs out.
const MOST_COLUMNS: usize = 1 << 20;

/// An embeddings file whose header has been read.
#[derive(Debug)]
pub struct EmbeddingsFile {
    /// By what the rows were made.
    pub provenance: Provenance,
    /// Class names; empty where there are none.
    pub classes: Vec<String>,
    /// The folder of the images, as it was named to `extract`; files of before do not say.
    pub images: Option<String>,
    /// The image of each row, relative to that folder.
    pub paths: Vec<String>,
    /// The label of each row, by position in `classes`, [`NO_CLASS`] for none; `None` where there are no classes.
    pub labels: Option<Vec<i64>>,
    /// Numbers in a row.
    pub columns: usize,
    file: BufReader<File>,
    first_row: u64,
}

impl EmbeddingsFile {
    /// Opens the file and reads all but the rows.
    ///
    /// # Errors
    /// Where it cannot be read, is of another format or version, or is not whole.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        open(path).map_err(|(reason, source)| ReadError { path: path.to_owned(), role: "embeddings", reason, source })
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

    /// Reads `count` rows from position `first` on, one after the other: `count * columns` numbers.
    ///
    /// # Errors
    /// Where the file can no longer be read, or has no so many rows.
    pub fn rows(&mut self, first: usize, count: usize) -> io::Result<Vec<f32>> {
        let row_bytes = self.columns * size_of::<f32>();
        if first.checked_add(count).is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.seek(SeekFrom::Start(self.first_row + (first * row_bytes) as u64))?;
        let mut bytes = vec![0; count * row_bytes];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect())
    }

    /// Calls `each` with every row, in order, one in memory at a time.
    ///
    /// # Errors
    /// Where the file can no longer be read.
    pub fn for_each_row(&mut self, mut each: impl FnMut(&[f32])) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(self.first_row))?;
        let mut bytes = vec![0; self.columns * size_of::<f32>()];
        let mut row = vec![0.0; self.columns];
        for _ in 0..self.len() {
            self.file.read_exact(&mut bytes)?;
            for (number, bytes) in row.iter_mut().zip(bytes.as_chunks().0) {
                *number = f32::from_le_bytes(*bytes);
            }
            each(&row);
        }
        Ok(())
    }
}

impl Provenance {
    /// From the metadata of either kind of our files.
    pub(crate) fn read(file: &TensorFile) -> Result<Self, Fault> {
        let text = |key| file.text(key).map(str::to_owned);
        Ok(Self {
            weights: text("weights")?,
            variant: text("variant")?,
            preprocess: text("preprocess")?,
            version: text("version")?,
        })
    }
}

fn open(path: &Path) -> Result<EmbeddingsFile, Fault> {
    let mut file = TensorFile::open(path, FORMAT)?;
    let provenance = Provenance::read(&file)?;
    let (classes, paths): (_, Vec<String>) = (file.classes()?, file.json("paths")?);
    let embeddings = file.tensor("embeddings").ok_or_else(|| fault("it has no tensor `embeddings`"))?.clone();
    let columns = match (embeddings.dtype, embeddings.shape.as_slice()) {
        (Dtype::F32, &[rows, columns]) if rows == paths.len() && (1..=MOST_COLUMNS).contains(&columns) => columns,
        (dtype, shape) => {
            return Err(fault(format!("`embeddings` is {dtype:?} {shape:?}, not F32 [{}, 2048]", paths.len())));
        }
    };
    let labels = match file.tensor("labels") {
        None => None,
        Some(_) => Some(file.integers("labels", &[paths.len()])?),
    };
    if let Some(label) = labels.iter().flatten().find(|&&label| label < NO_CLASS || label >= classes.len() as i64) {
        return Err(fault(format!("the label {label} is beyond its {} classes", classes.len())));
    }
    let images = file.optional_text("images").map(str::to_owned);
    let (file, first_row) = file.into_stream(&embeddings);
    Ok(EmbeddingsFile { provenance, classes, images, paths, labels, columns, file, first_row })
}
