//! Files that are whole or not there: written under a temporary name in the same folder, then renamed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct WriteError {
    /// Its final name.
    pub path: PathBuf,
    /// What the system says: a full disk, a missing permission.
    pub source: io::Error,
}

/// Writes `path` by `content`, so that whatever bears that name is whole, after a loss of power too.
///
/// # Errors
/// Where it cannot be written; what was there before is then still there, and the temporary file is gone.
pub fn write_whole(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), WriteError> {
    let temporary = with_suffix(path, ".tmp");
    let result = (|| {
        let mut writer = BufWriter::with_capacity(1 << 20, File::create(&temporary)?);
        content(&mut writer)?;
        writer.flush()?;
        writer.get_ref().sync_all()?;
        fs::rename(&temporary, path)
    })();
    result.map_err(|source| {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
        WriteError { path: path.to_owned(), source }
    })
}

/// `a/b.safetensors` and `.rejected.csv` give `a/b.safetensors.rejected.csv`.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}
