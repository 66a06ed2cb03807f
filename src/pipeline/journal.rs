//! What an unfinished run has done so far, on disk, so that one that was killed can go on.
//!
//! A folder `<out>.partial` holds `journal.jsonl` and the raw rows in `rows-00000.f32`, `rows-00001.f32`, ... (one file a
//! shard). The journal's first line says what is being done; each further line says how far it got, and is written after
//! the rows it speaks of:
//!
//! ```text
//! {"format":"headstock.run/1","of":{...}}
//! {"candidates":8,"rows":8,"rejected":[]}
//! {"candidates":17,"rows":16,"rejected":[[9,"the file is empty"]]}
//! ```
//!
//! When a shard stands in its final place, an empty `rows-00000.written` takes the place of its rows.
//!
//! Reading it back, whatever stands behind the last line that is whole and whose rows are all there is cut off. So the
//! run may end at any moment, by a signal, a full disk or a loss of power: what is lost is the work on one batch.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Batch;
use crate::counts::count;

const FORMAT: &str = "headstock.run/1";

/// The journal of a run that is under way.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    /// Held locked, so that no second run writes to the same output.
    log: File,
    /// The shard that is being written, and its number.
    rows: Option<(usize, File)>,
    row_bytes: usize,
    shard_rows: Option<usize>,
    done: Step,
    rejected: Vec<(usize, String)>,
}

/// What to do about an unfinished run that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Refuse.
    Fresh,
    /// Go on with it; without one, begin.
    Resume,
    /// Throw it away and begin.
    Restart,
}

/// Why a journal could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is work of an earlier run.
    #[error(
        "{} holds an unfinished run ({} done): go on with it by --resume, or throw it away by --restart",
        folder.display(),
        count(*candidates, "image", "images")
    )]
    Unfinished {
        /// The folder.
        folder: PathBuf,
        /// How far that run got.
        candidates: usize,
    },
    /// The earlier run was about something else.
    #[error(
        "the unfinished run in {} cannot be resumed: {difference} since; start over by --restart", folder.display()
    )]
    Different {
        /// The folder.
        folder: PathBuf,
        /// What changed.
        difference: String,
    },
    /// Another process is at work on it.
    #[error("another run is writing to {}", .0.display())]
    Locked(PathBuf),
    /// The system refuses.
    #[error("cannot write to {}; what was done is kept there, and --resume goes on with it", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// A full disk, a missing permission.
        source: io::Error,
    },
}

/// How far a run got, in all; a line of the journal.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Step {
    candidates: usize,
    rows: usize,
    /// Since the line before.
    rejected: Vec<(usize, String)>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    of: Value,
}

impl Journal {
    /// Opens the journal in `folder` for rows of `columns` float32 in shards of `shard_rows`. `of` says, as a JSON object,
    /// what is being done: a run is resumed only where all of it is equal.
    ///
    /// # Errors
    /// Where there is an unfinished run and `start` forbids it, or it was about something else, or another process is at
    /// work on it; where the disk refuses.
    pub fn open(
        folder: &Path,
        of: &Value,
        columns: usize,
        shard_rows: Option<usize>,
        start: Start,
    ) -> Result<Self, JournalError> {
        Self::open_bytes(folder, of, columns * size_of::<f32>(), shard_rows, start)
    }

    /// As [`Self::open`], for rows of `row_bytes` bytes of any kind.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_bytes(
        folder: &Path,
        of: &Value,
        row_bytes: usize,
        shard_rows: Option<usize>,
        start: Start,
    ) -> Result<Self, JournalError> {
        let path = folder.join("journal.jsonl");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let log = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed(&path))?;
        match log.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Locked(folder.to_owned())),
            // A file system without locks: two runs at once are then the user's to avoid.
            Err(TryLockError::Error(_)) => {}
        }
        let mut journal = Self {
            folder: folder.to_owned(),
            log,
            rows: None,
            row_bytes,
            shard_rows,
            done: Step::default(),
            rejected: Vec::new(),
        };
        let earlier = journal.read().map_err(failed(&path))?;
        match earlier {
            Some(_) if start == Start::Fresh && journal.done.candidates > 0 => {
                return Err(JournalError::Unfinished {
                    folder: folder.to_owned(),
                    candidates: journal.done.candidates,
                });
            }
            Some(head) if start == Start::Resume => match difference(&head.of, of) {
                Some(difference) => {
                    return Err(JournalError::Different { folder: folder.to_owned(), difference });
                }
                None => journal.cut_rows().map_err(failed(folder))?,
            },
            // Nothing there, or nothing wanted: rows may stand there all the same, with no journal that speaks of them.
            _ => journal.clear().and_then(|()| journal.begin(of)).map_err(failed(&path))?,
        }
        Ok(journal)
    }

    /// How many candidates are done, with a row or rejected.
    #[must_use]
    pub const fn candidates(&self) -> usize {
        self.done.candidates
    }

    /// Numbers in a row.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.row_bytes / size_of::<f32>()
    }

    /// How many rows there are.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.done.rows
    }

    /// The candidates without a row, by position, and why; in order.
    #[must_use]
    pub fn rejected(&self) -> &[(usize, String)] {
        &self.rejected
    }

    /// How many shards the rows fill or begin.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shard_rows.map_or(1, |rows| self.done.rows.div_ceil(rows))
    }

    /// The file of a shard's raw rows: little-endian float32.
    #[must_use]
    pub fn shard_path(&self, shard: usize) -> PathBuf {
        self.folder.join(format!("rows-{shard:05}.f32"))
    }

    /// Whether a shard's rows stand in their final place already.
    #[must_use]
    pub fn is_written(&self, shard: usize) -> bool {
        self.written_path(shard).exists()
    }

    /// Lets go of a shard's raw rows, as they stand in their final place now.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn mark_written(&mut self, shard: usize) -> Result<(), JournalError> {
        self.rows = None;
        let marked = File::create(self.written_path(shard)).and_then(|_| fs::remove_file(self.shard_path(shard)));
        marked.map_err(|source| JournalError::Io { path: self.folder.clone(), source })
    }

    fn written_path(&self, shard: usize) -> PathBuf {
        self.folder.join(format!("rows-{shard:05}.written"))
    }

    /// Adds what became of the next candidates.
    ///
    /// # Errors
    /// Where it cannot be written; what was added before is safe.
    pub fn append(&mut self, batch: Batch) -> Result<(), JournalError> {
        let mut bytes = vec![0; size_of_val(batch.rows.as_slice())];
        bytes.as_chunks_mut().0.iter_mut().zip(&batch.rows).for_each(|(bytes, row)| *bytes = row.to_le_bytes());
        self.append_bytes(&bytes, batch.candidates, batch.rejected)
    }

    /// Adds the bytes of the rows of the next so many candidates, those that are `rejected` left out.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_bytes(
        &mut self,
        rows: &[u8],
        candidates: usize,
        rejected: Vec<(usize, String)>,
    ) -> Result<(), JournalError> {
        let folder = self.folder.clone();
        self.write(rows, candidates, rejected).map_err(|source| JournalError::Io { path: folder, source })
    }

    /// Removes the folder, when all that it holds stands elsewhere.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(self) -> Result<(), JournalError> {
        let Self { folder, log, rows, .. } = self;
        drop((log, rows));
        fs::remove_dir_all(&folder).map_err(|source| JournalError::Io { path: folder, source })
    }

    fn write(&mut self, mut rows: &[u8], candidates: usize, rejected: Vec<(usize, String)>) -> io::Result<()> {
        let mut count = self.done.rows;
        while !rows.is_empty() {
            let shard = self.shard_rows.map_or(0, |shard_rows| count / shard_rows);
            let room = self.shard_rows.map_or(usize::MAX, |shard_rows| shard_rows - count % shard_rows);
            let (here, later) = rows.split_at(rows.len().min(room.saturating_mul(self.row_bytes)));
            self.shard_file(shard)?.write_all(here)?;
            count += here.len() / self.row_bytes;
            rows = later;
        }
        let step = Step { candidates: self.done.candidates + candidates, rows: count, rejected };
        self.write_line(&step)?;
        self.rejected.extend(step.rejected.iter().cloned());
        self.done = step;
        Ok(())
    }

    fn shard_file(&mut self, shard: usize) -> io::Result<&mut File> {
        let file = match self.rows.take() {
            Some((open, file)) if open == shard => file,
            _ => OpenOptions::new().append(true).create(true).open(self.shard_path(shard))?,
        };
        Ok(&mut self.rows.insert((shard, file)).1)
    }

    fn begin(&mut self, of: &Value) -> io::Result<()> {
        self.write_line(&Head { format: FORMAT.to_owned(), of: of.clone() })
    }

    /// One line in one write.
    fn write_line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        self.log.write_all(&line)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.log.set_len(0)?;
        self.done = Step::default();
        self.rejected.clear();
        self.cut_rows()
    }

    /// Reads the journal as far as it is whole and its rows are there, and cuts off the rest.
    fn read(&mut self) -> io::Result<Option<Head>> {
        let mut whole = 0;
        let mut head: Option<Head> = None;
        let mut line = Vec::new();
        self.log.seek(SeekFrom::Start(0))?;
        let available = self.available_rows()?;
        let mut reader = BufReader::new(&self.log);
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            if head.is_none() {
                match serde_json::from_slice::<Head>(&line) {
                    Ok(read) if read.format == FORMAT => head = Some(read),
                    _ => break,
                }
            } else {
                match serde_json::from_slice::<Step>(&line) {
                    Ok(step) if step.rows <= available => {
                        self.rejected.extend(step.rejected.iter().cloned());
                        self.done = step;
                    }
                    _ => break,
                }
            }
            whole += line.len() as u64;
            line.clear();
        }
        self.log.set_len(whole)?;
        Ok(head)
    }

    /// How many rows stand in the shards, up to the first one that is not full.
    fn available_rows(&self) -> io::Result<usize> {
        let mut available = 0;
        for shard in 0.. {
            if self.is_written(shard) {
                // Shards are written when the run is complete: nothing can be missing.
                return Ok(usize::MAX);
            }
            let rows = match fs::metadata(self.shard_path(shard)) {
                Ok(metadata) => metadata.len() as usize / self.row_bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            available += rows.min(self.shard_rows.unwrap_or(usize::MAX));
            if self.shard_rows.is_none_or(|full| rows < full) {
                break;
            }
        }
        Ok(available)
    }

    /// Cuts off the rows that the journal does not speak of.
    fn cut_rows(&mut self) -> io::Result<()> {
        self.rows = None;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(name) = name.strip_prefix("rows-") else { continue };
            if name.ends_with(".written") && self.done.candidates == 0 {
                fs::remove_file(&path)?;
            }
            let Some(shard) = name.strip_suffix(".f32").and_then(|shard| shard.parse::<usize>().ok()) else { continue };
            let first = self.shard_rows.map_or(0, |rows| shard.saturating_mul(rows));
            let rows = self.done.rows.saturating_sub(first).min(self.shard_rows.unwrap_or(usize::MAX));
            if rows == 0 {
                fs::remove_file(path)?;
            } else {
                let file = OpenOptions::new().write(true).open(path)?;
                file.set_len((rows * self.row_bytes) as u64)?;
            }
        }
        Ok(())
    }
}

/// The first thing in which two descriptions of a run differ, in words.
pub(crate) fn difference(was: &Value, is: &Value) -> Option<String> {
    let (was, is) = (was.as_object()?, is.as_object()?);
    let keys = was.keys().chain(is.keys());
    let changed = keys.into_iter().find(|&key| was.get(key) != is.get(key))?;
    Some(match (was.get(changed), is.get(changed)) {
        (Some(Value::String(was)), Some(Value::String(is))) if was.len() + is.len() < 100 => {
            format!("`{changed}` was {was} and is {is}")
        }
        _ => format!("`{changed}` has changed"),
    })
}
