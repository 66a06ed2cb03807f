//! One reading, watched: its outcome, what it allocated.

use std::fs::OpenOptions;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use headstock::embeddings::EmbeddingsFile;
use headstock::fid::StatisticsFile;
use headstock::head::Head;
use headstock::model::ModelFile;
use headstock::weights::Weights;
use tempfile::TempDir;

use crate::MEMORY;
use crate::allocations::Taken;

/// What may be longer than the file: a vector in one that is short, the buffer in front of it, the error.
pub const CONSTANT: usize = 256 << 10;

/// All allocations together: a few times the file, or what a head's `fit` may take, which is any JSON.
pub fn all_together(len: usize) -> usize {
    4 * len + (4 << 20)
}

/// What reads a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reader {
    Embeddings,
    Head,
    Model,
    Weights,
    Statistics,
}

impl Reader {
    pub fn fuzz_target(self) -> &'static str {
        match self {
            Self::Embeddings => "read_embeddings",
            Self::Head => "read_head",
            Self::Model => "read_model",
            Self::Weights => "read_weights",
            Self::Statistics => "read_npz",
        }
    }

    /// How many bytes a byte of the file can honestly stand for: deflated ones for up to 1032.
    fn growth(self) -> usize {
        if self == Self::Statistics { 1032 } else { 1 }
    }
}

/// Memory is counted for the whole process, so one test at a time reads.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The turn of a test whose memory is counted.
pub fn turn() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads bytes as a file of its own.
pub struct Reading {
    path: PathBuf,
    _folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Reading {
    pub fn new() -> Self {
        let turn = turn();
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("from a stranger.safetensors"), _folder: folder, _turn: turn }
    }

    /// Reads the bytes: the error, if it is one, and what was allocated meanwhile. An embeddings file is read to its last row.
    pub fn of(&self, reader: Reader, bytes: &[u8]) -> (Result<(), String>, Taken) {
        // Not by truncating: some file systems then wait for the disk.
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path).unwrap();
        file.write_all(bytes).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        let (outcome, taken) = MEMORY.during(|| match reader {
            Reader::Embeddings => EmbeddingsFile::open(&self.path)
                .map(|mut file| file.for_each_row(|_| ()).unwrap())
                .map_err(|error| error.to_string()),
            Reader::Head => Head::read(&self.path).map(drop).map_err(|error| error.to_string()),
            Reader::Model => ModelFile::read(&self.path).map(drop).map_err(|error| error.to_string()),
            // Whoever opens weights names the file.
            Reader::Weights => Weights::from_file(&self.path, None).map(drop).map_err(|error| error.to_string()),
            Reader::Statistics => StatisticsFile::read(&self.path).map(drop).map_err(|error| error.to_string()),
        });
        (outcome, taken)
    }

    /// Holds a reader to its promises for these bytes. Says whether it took them.
    pub fn hold(&self, reader: Reader, bytes: &[u8], what: &str) -> bool {
        let len = bytes.len() * reader.growth();
        let read = || {
            let read = catch_unwind(AssertUnwindSafe(|| self.of(reader, bytes)));
            read.unwrap_or_else(|_| panic!("{what}: a panic"))
        };
        let is_held = |taken: Taken| taken.largest <= len + CONSTANT && taken.peak <= all_together(len);
        // Memory is counted for the whole process, and a thread of another test may be on its way out. A reader that takes too much
        // does so each time.
        let (outcome, taken) = (0..2).map(|_| read()).find(|&(_, taken)| is_held(taken)).unwrap_or_else(read);
        assert!(taken.largest <= len + CONSTANT, "{what}: {} bytes at once for a file of {len}", taken.largest);
        assert!(taken.peak <= all_together(len), "{what}: {} bytes for a file of {len}", taken.peak);
        if let Err(error) = &outcome {
            assert!(error.contains("from a stranger.safetensors"), "{what}: {error}");
        }
        outcome.is_ok()
    }
}
