//! Our safetensors files: opened without trusting them, written with the same bytes every time.
//!
//! All promises (`headstock.embeddings/1`, `headstock.head/1`, `headstock.model/1`) are one JSON header with string metadata, then tensors.
//! Files come from strangers: nothing is allocated that the file's own length does not bear out. Numbers take what they
//! take in the file; JSON is measured before it is parsed (`room`), and refused where it would swell beyond that.
//! `tests/strangers_files` and `fuzz/` hold the readers to it.
//!
//! ```text
//! header ─▶ JSON, measured ─▶ metadata: strings ─▶ measured again ─▶ classes, paths, ...
//!                          └▶ tensors: type, shape, place ─▶ numbers, read when asked for
//! ```

mod header;
mod room;

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::header::{Entry, parse as parse_header, write_header};
use self::room::Extent;
use crate::printable::shortened;

/// The longest header, in bytes, that the safetensors libraries read.
pub const HEADER_LIMIT: usize = 100_000_000;

/// A file that is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} as {role}: {reason}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// What it was to be: `embeddings`, `a head`, `a model`.
    pub role: &'static str,
    /// One line.
    pub reason: String,
    /// What the system says, where it is the system that refuses.
    pub source: Option<io::Error>,
}

/// What is wrong with a file, and the system's word on it if it has one.
pub(crate) type Fault = (String, Option<io::Error>);

/// A fault that is the file's own.
pub(crate) fn fault(reason: impl Into<String>) -> Fault {
    (reason.into(), None)
}

fn unreadable(source: io::Error) -> Fault {
    ("it cannot be read".to_owned(), Some(source))
}

/// A file of ours whose header has been read and agrees with the file's length.
#[derive(Debug)]
pub(crate) struct TensorFile {
    file: BufReader<File>,
    file_len: u64,
    metadata: HashMap<String, String>,
    header: Metadata,
    data: u64,
}

impl TensorFile {
    /// Opens a file whose metadata must say `format`, a name and a version such as `headstock.head/1`.
    pub(crate) fn open(path: &Path, format: &str) -> Result<Self, Fault> {
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
        let (metadata, header) = header::parse(&header, file_len).ok_or_else(no_safetensors)?;
        match metadata.get("format").map(String::as_str) {
            Some(found) if found == format => {}
            Some(other) => return Err(fault(wrong_format(&shortened(other), format))),
            None => return Err(fault(format!("its metadata names no format, where {format} should be"))),
        }
        let data = 8 + header_len as u64;
        match (file_len - data).cmp(&(header.data_len() as u64)) {
            Ordering::Less => return Err(fault("it is cut off")),
            Ordering::Greater => return Err(fault("there is something behind its last tensor")),
            Ordering::Equal => {}
        }
        Ok(Self { file, file_len, metadata, header, data })
    }

    /// A string of the metadata.
    pub(crate) fn text(&self, key: &str) -> Result<&str, Fault> {
        self.optional_text(key).ok_or_else(|| fault(format!("its metadata has no `{key}`")))
    }

    /// A string of the metadata that may be missing.
    pub(crate) fn optional_text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// A string of the metadata that holds JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, key: &str) -> Result<T, Fault> {
        self.parse(key, self.text(key)?, Extent::fits)
    }

    /// A string of the metadata that holds JSON and may be missing.
    pub(crate) fn optional_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Fault> {
        self.optional_text(key).map(|text| self.parse(key, text, Extent::fits)).transpose()
    }

    /// A string of the metadata that holds JSON of any form.
    pub(crate) fn value(&self, key: &str) -> Result<Value, Fault> {
        self.parse(key, self.text(key)?, Extent::fits_as_values)
    }

    fn parse<T: DeserializeOwned>(&self, key: &str, text: &str, fits: fn(Extent, u64) -> bool) -> Result<T, Fault> {
        let wrong = || fault(format!("`{key}` of its metadata is not what it should be"));
        if !fits(Extent::of(text).ok_or_else(wrong)?, self.file_len) {
            return Err(fault(format!("`{key}` of its metadata has more parts than a file of its length can use")));
        }
        serde_json::from_str(text).map_err(|_| wrong())
    }

    /// The names of the classes, no two alike.
    pub(crate) fn classes(&self) -> Result<Vec<String>, Fault> {
        let classes: Vec<String> = self.json("classes")?;
        let mut seen = HashSet::with_capacity(classes.len());
        match classes.iter().find(|class| !seen.insert(class.as_str())) {
            Some(twice) => Err(fault(format!("it names the class {twice:?} twice"))),
            None => Ok(classes),
        }
    }

    /// The type and shape of a tensor, where there is such a one.
    pub(crate) fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.header.info(name)
    }

    /// All numbers of an F32 tensor of this shape.
    pub(crate) fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Fault> {
        self.numbers(name, Dtype::F32, shape, f32::from_le_bytes)
    }

    /// All numbers of an I64 tensor of this shape.
    pub(crate) fn integers(&mut self, name: &str, shape: &[usize]) -> Result<Vec<i64>, Fault> {
        self.numbers(name, Dtype::I64, shape, i64::from_le_bytes)
    }

    fn numbers<T, const SIZE: usize>(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        from_bytes: fn([u8; SIZE]) -> T,
    ) -> Result<Vec<T>, Fault> {
        let info = self.header.info(name).ok_or_else(|| fault(format!("it has no tensor `{name}`")))?;
        if info.dtype != dtype || info.shape != shape {
            return Err(fault(format!("`{name}` is {:?} {:?}, not {dtype:?} {shape:?}", info.dtype, info.shape)));
        }
        let (start, end) = info.data_offsets;
        let mut read = || {
            self.file.seek(SeekFrom::Start(self.data + start as u64))?;
            // The header was held to the file's length: this many are there.
            let count = (end - start) / SIZE;
            let mut numbers = Vec::with_capacity(count);
            for _ in 0..count {
                let mut bytes = [0; SIZE];
                self.file.read_exact(&mut bytes)?;
                numbers.push(from_bytes(bytes));
            }
            Ok(numbers)
        };
        read().map_err(|source| (format!("`{name}` cannot be read"), Some(source)))
    }

    /// Lets go of the header: the file, and where in it the tensor of this description begins.
    pub(crate) fn into_stream(self, info: &TensorInfo) -> (BufReader<File>, u64) {
        (self.file, self.data + info.data_offsets.0 as u64)
    }
}

/// What to say of a file that names another format: most often it is another of our files.
fn wrong_format(found: &str, wanted: &str) -> String {
    let name = |format: &str| format.split_once('/').map_or(format.to_owned(), |(name, _)| name.to_owned());
    if name(found) == name(wanted) {
        format!("its format is {found}, and this version of headstock reads {wanted}")
    } else {
        format!("its format is {found}, not {wanted}")
    }
}
