//! What to read: the images under a folder and the classes that its sub-folders are.
//!
//! ```text
//! folder ─▶ walk (links followed, loops ended, hidden passed over) ─▶ candidates in byte order of their paths
//!                                                                 └─▶ rejected: what could not even be listed
//! ```

mod list;
mod split;

pub use list::list;
pub use split::{stratified_folds, stratified_part};

use std::path::PathBuf;

/// The candidates under a folder, in byte order of their paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The folder.
    pub root: PathBuf,
    /// The first level of sub-folders that hold candidates, in byte order; a flat folder has none.
    pub classes: Vec<String>,
    /// The files that are, or claim to be, images.
    pub candidates: Vec<Candidate>,
    /// What could not be listed: folders without permission, links to nothing, names that are no UTF-8.
    pub rejected: Vec<Rejected>,
}

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Relative to the root, with `/` between its parts on every system.
    pub path: String,
    /// Its class, by position in [`Dataset::classes`]; `None` for a file directly in the root.
    pub class: Option<u32>,
}

/// A file that gives no row, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// As [`Candidate::path`].
    pub path: String,
    /// One line.
    pub reason: String,
}

/// A folder that cannot be listed at all.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// It is not there, or may not be opened.
    #[error("cannot list the folder {}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is a file.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
}

impl Dataset {
    /// Keeps the first `count` candidates; the classes stay as they are.
    pub fn limit(&mut self, count: usize) {
        self.candidates.truncate(count);
    }

    /// Candidates directly in the root of a folder that has classes: they belong to none.
    #[must_use]
    pub fn without_class(&self) -> usize {
        if self.classes.is_empty() { 0 } else { self.candidates.iter().filter(|c| c.class.is_none()).count() }
    }

    /// The number of candidates of each class.
    #[must_use]
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for class in self.candidates.iter().filter_map(|candidate| candidate.class) {
            counts[class as usize] += 1;
        }
        counts
    }
}
