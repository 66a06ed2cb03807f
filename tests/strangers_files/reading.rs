//! One reading, watched: its outcome, its peak of memory.

use std::fs::OpenOptions;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use headstock::embeddings::EmbeddingsFile;
use headstock::head::Head;
use tempfile::TempDir;

use crate::MEMORY;

/// What a reader takes whatever the file: the buffer in front of it, the error.
pub const CONSTANT: usize = 64 << 10;

/// What reads a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reader {
    Embeddings,
    Head,
}

impl Reader {
    /// Bytes of memory for each byte of a file, at most. A vector grows by doubling, with the old one still there: `0,` of
    /// a shape becomes 3 x 8 bytes, `\"\",` among the paths 3 x 24. `fit` may be any JSON: `{"":0},` becomes a map of 0.6 KB.
    pub fn factor(self) -> usize {
        match self {
            Self::Embeddings => 25,
            Self::Head => 100,
        }
    }

    pub fn fuzz_target(self) -> &'static str {
        match self {
            Self::Embeddings => "read_embeddings",
            Self::Head => "read_head",
        }
    }
}

/// Memory is counted for the whole process, so one test at a time reads.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Reads bytes as a file of its own.
pub struct Reading {
    path: PathBuf,
    _folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Reading {
    pub fn new() -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("from a stranger.safetensors"), _folder: folder, _turn: turn }
    }

    /// Reads the bytes: the error, if it is one, and the peak of memory meanwhile. An embeddings file is read to its last row.
    pub fn of(&self, reader: Reader, bytes: &[u8]) -> (Result<(), String>, usize) {
        // Not by truncating: some file systems then wait for the disk.
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path).unwrap();
        file.write_all(bytes).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let outcome = match reader {
            Reader::Embeddings => EmbeddingsFile::open(&self.path).map(|mut file| file.for_each_row(|_| ()).unwrap()),
            Reader::Head => Head::read(&self.path).map(drop),
        };
        let peak = MEMORY.peak_usage() - before;
        (outcome.map_err(|error| error.to_string()), peak)
    }

    /// Holds a reader to its promises for these bytes. Says whether it took them.
    pub fn hold(&self, reader: Reader, bytes: &[u8], what: &str) -> bool {
        let read = catch_unwind(AssertUnwindSafe(|| self.of(reader, bytes)));
        let (outcome, peak) = read.unwrap_or_else(|_| panic!("{what}: a panic"));
        let bound = reader.factor() * bytes.len() + CONSTANT;
        assert!(peak <= bound, "{what}: {peak} bytes of memory for a file of {}", bytes.len());
        if let Err(error) = &outcome {
            assert!(error.contains("from a stranger.safetensors"), "{what}: {error}");
        }
        outcome.is_ok()
    }
}
