//! The list of what gave no row, `<out>.rejected.csv`: there where there is such a thing, gone where there is none.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::End;
use super::console::Console;
use crate::counts::count;
use crate::dataset::{Candidate, Dataset, Rejected};
use crate::pipeline::Journal;
use crate::whole_file::{with_suffix, write_whole};

/// The list of a run, written.
pub(super) struct RejectedList {
    path: PathBuf,
    count: usize,
}

impl RejectedList {
    /// Writes the list of a finished run beside `out`, or takes away that of an earlier one.
    /// `undecoded` are the candidates that gave no row, by position, and why.
    pub(super) fn write(out: &Path, dataset: &Dataset, undecoded: &[(usize, String)]) -> Result<Self> {
        let rejected = all(dataset, undecoded);
        let path = with_suffix(out, ".rejected.csv");
        if rejected.is_empty() {
            remove_if_there(&path)?;
        } else {
            write_whole(&path, |out| write(&rejected, out))?;
        }
        Ok(Self { path, count: rejected.len() })
    }

    /// Refuses a run that has no row at all, and removes its journal.
    pub(super) fn require_rows(&self, dataset: &Dataset, journal: Journal) -> Result<Journal> {
        if journal.rows() > 0 {
            return Ok(journal);
        }
        journal.remove()?;
        bail!(
            "none of the {} under {} could be read; the reasons are in {}",
            count(self.count, "image", "images"),
            dataset.root.display(),
            self.path.display()
        );
    }

    /// The last line of a run, where something was rejected, and how the run ends.
    pub(super) fn conclude(&self, strict: bool, console: Console) -> End {
        if self.count == 0 {
            return End::Done;
        }
        console.say(format_args!(
            "{} could not be read; the reasons are in {}",
            count(self.count, "file", "files"),
            self.path.display()
        ));
        if strict { End::Rejected } else { End::Done }
    }
}

/// The candidates that have a row, by position too, in the order of the rows.
pub(super) fn accepted<'a>(dataset: &'a Dataset, journal: &Journal) -> impl Iterator<Item = (usize, &'a Candidate)> {
    let mut rejected = journal.rejected().iter().map(|(candidate, _)| *candidate).peekable();
    dataset.candidates.iter().enumerate().filter(move |(candidate, _)| rejected.next_if_eq(candidate).is_none())
}

/// What could not be listed and what gave no row, in the order of their paths.
pub(super) fn all(dataset: &Dataset, undecoded: &[(usize, String)]) -> Vec<Rejected> {
    let undecoded = undecoded.iter().map(|(candidate, reason)| Rejected {
        path: dataset.candidates[*candidate].path.clone(),
        reason: reason.clone(),
    });
    let mut rejected: Vec<Rejected> = dataset.rejected.iter().cloned().chain(undecoded).collect();
    rejected.sort_by(|a, b| a.path.cmp(&b.path));
    rejected
}

fn write(rejected: &[Rejected], out: &mut impl Write) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    out.write_record(["path", "reason"])?;
    for Rejected { path, reason } in rejected {
        out.write_record([path, reason])?;
    }
    out.flush()
}

/// Whether there was such a file.
pub(super) fn remove_if_there(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}", path.display())),
    }
}
