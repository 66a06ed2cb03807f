//! The boundary cache: what the frozen part says of each image, kept.
//!
//! ```text
//! <folder>/<key>/journal.jsonl    what it is of, and how many records are whole      (the pipeline's journal)
//!               /rows-00000.f32   record ▪▪▪▪▪▪ record ▪▪▪▪▪▪ ...                     memory-mapped, read in any order
//! ```
//!
//! The key is a hash of all that decides the bytes: the images (paths, sizes, times of change), the weights, the cut, the
//! preprocessing, the views and their seed, the precision. So caches of other runs lie beside each other in one folder and are never taken
//! for one another. A run that was killed goes on with what is whole; what is torn is cut off.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Precision;
use crate::pipeline::{Batch, Journal, JournalError, Start};
use crate::weights::hex;

/// Why a cache cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The journal refuses: a full disk, another run.
    #[error("the cache cannot be written: make room, give another folder by --cache, or do without by --cache-limit 0")]
    Journal(#[from] JournalError),
    /// A number beyond float16.
    #[error("an activation is too large for float16: use --cache-precision f32")]
    TooLarge,
    /// It was written, and is not there.
    #[error("the cache {} cannot be mapped", path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A cache that is being filled: an item after the other, each with a record or rejected.
#[derive(Debug)]
pub struct CacheWriter {
    journal: Journal,
    precision: Precision,
    record_len: usize,
}

impl CacheWriter {
    /// Opens the cache of `of`, a JSON object that says all that decides its bytes, for records of `record_len` numbers.
    /// What is there of it already stays.
    ///
    /// # Errors
    /// Where the disk refuses or another run is at work on it.
    pub fn open(folder: &Path, of: &Value, record_len: usize, precision: Precision) -> Result<Self, CacheError> {
        let folder = folder.join(key(of));
        let row_bytes = record_len * precision.bytes();
        let journal = Journal::open_bytes(&folder, of, row_bytes, None, Start::Resume)?;
        Ok(Self { journal, precision, record_len })
    }

    /// How many items are done.
    #[must_use]
    pub const fn items(&self) -> usize {
        self.journal.candidates()
    }

    /// Adds what became of the next items.
    ///
    /// # Errors
    /// Where it cannot be written or is too large for the precision.
    pub fn append(&mut self, batch: Batch) -> Result<(), CacheError> {
        let bytes = self.precision.encode(&batch.rows).ok_or(CacheError::TooLarge)?;
        Ok(self.journal.append_bytes(&bytes, batch.candidates, batch.rejected)?)
    }

    /// The cache, to be read.
    ///
    /// # Errors
    /// Where it cannot be mapped.
    pub fn finish(self) -> Result<Cache, CacheError> {
        let mut rejected = self.journal.rejected().iter().map(|(item, _)| *item).peekable();
        let mut next = 0..self.journal.rows();
        let records = (0..self.journal.candidates())
            .map(|item| if rejected.next_if_eq(&item).is_some() { None } else { next.next() })
            .collect();
        let map = if self.journal.rows() == 0 { None } else { Some(map(&self.journal.shard_path(0))?) };
        Ok(Cache { journal: self.journal, map, records, precision: self.precision, record_len: self.record_len })
    }
}

/// A whole cache.
#[derive(Debug)]
pub struct Cache {
    /// Held for its lock.
    journal: Journal,
    map: Option<Mmap>,
    /// Of each item, which record is its.
    records: Vec<Option<usize>>,
    precision: Precision,
    record_len: usize,
}

impl Cache {
    /// The items without a record, by position, and why.
    #[must_use]
    pub fn rejected(&self) -> &[(usize, String)] {
        self.journal.rejected()
    }

    /// The journal, which knows what was rejected.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Writes an item's record to `numbers`, as many as a record has. False where it has none.
    pub fn read(&self, item: usize, numbers: &mut [f32]) -> bool {
        let bytes = self.record_len * self.precision.bytes();
        let record = self.records.get(item).copied().flatten();
        match (record, &self.map) {
            (Some(record), Some(map)) if map.len() >= (record + 1) * bytes => {
                self.precision.decode(&map[record * bytes..(record + 1) * bytes], numbers);
                true
            }
            _ => false,
        }
    }
}

/// A name for what a description says.
fn key(of: &Value) -> String {
    hex(&Sha256::digest(of.to_string()))[..16].to_owned()
}

fn map(path: &Path) -> Result<Mmap, CacheError> {
    let mapped = File::open(path).and_then(|file| {
        // SAFETY: the bytes are read as plain numbers, of which every pattern is one. The file is ours: it is appended to under the
        // journal's lock, which we hold, and by nobody while it is mapped. Whoever cuts it off meanwhile by other means ends
        // this process by a signal, as with any file that is mapped.
        #[expect(unsafe_code, reason = "a memory map")]
        let map = unsafe { Mmap::map(&file) };
        map
    });
    mapped.map_err(|source| CacheError::Map { path: path.to_owned(), source })
}
