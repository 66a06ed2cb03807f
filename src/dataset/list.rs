//! The walk through the folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::{Candidate, Dataset, DatasetError, Rejected};

/// Lists the files under `root` that `is_candidate` says are, or claim to be, images.
///
/// Links are followed, and a loop of links ends where it would begin again. Hidden files and folders are passed over, and
/// so is what is neither file nor folder. What cannot be listed is rejected, and nothing else is lost by it.
///
/// # Errors
/// Where `root` itself is no folder that can be listed.
pub fn list(root: &Path, is_candidate: impl Fn(&Path) -> bool) -> Result<Dataset, DatasetError> {
    let unreadable = |source| DatasetError::Unreadable { path: root.to_owned(), source };
    if !root.metadata().map_err(unreadable)?.is_dir() {
        return Err(DatasetError::NotAFolder(root.to_owned()));
    }
    root.read_dir().map_err(unreadable)?;

    let mut paths = Vec::new();
    let mut rejected = Vec::new();
    for entry in WalkDir::new(root).follow_links(true).min_depth(1).into_iter().filter_entry(|entry| !is_hidden(entry))
    {
        match entry {
            Ok(entry) if entry.file_type().is_file() && is_candidate(entry.path()) => {
                match relative(root, entry.path()) {
                    Ok(path) => paths.push(path),
                    Err(lossy) => rejected.push(Rejected { path: lossy, reason: NOT_UTF8.to_owned() }),
                }
            }
            Ok(_) => {}
            Err(error) => rejected.extend(rejection(root, &error, &is_candidate)),
        }
    }
    paths.sort_unstable();
    rejected.sort_unstable_by(|a, b| a.path.cmp(&b.path));

    let class_of = |path: &str| path.split_once('/').map(|(class, _)| class.to_owned());
    let classes: Vec<String> =
        paths.iter().filter_map(|path| class_of(path)).collect::<BTreeSet<_>>().into_iter().collect();
    let position = |class: &String| classes.binary_search(class).ok().and_then(|class| u32::try_from(class).ok());
    let candidates =
        paths.into_iter().map(|path| Candidate { class: class_of(&path).as_ref().and_then(position), path }).collect();
    Ok(Dataset { root: root.to_owned(), classes, candidates, rejected })
}

const NOT_UTF8: &str = "the name is not UTF-8: rename the file";

fn is_hidden(entry: &DirEntry) -> bool {
    entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// The path below the root with `/` between its parts, or what of it can be shown where it is no UTF-8.
fn relative(root: &Path, path: &Path) -> Result<String, String> {
    let below: PathBuf = path.strip_prefix(root).unwrap_or(path).to_owned();
    let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/")).ok_or_else(|| below.to_string_lossy().into_owned())
}

/// What a failed step of the walk means for the user: nothing where the way was a loop, or led to no image.
fn rejection(root: &Path, error: &walkdir::Error, is_candidate: &impl Fn(&Path) -> bool) -> Option<Rejected> {
    if error.loop_ancestor().is_some() {
        return None;
    }
    let path = error.path()?;
    let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    if is_link && !is_candidate(path) {
        return None;
    }
    let reason = match error.io_error() {
        Some(source) if is_link => format!("the link leads to nothing that can be read: {source}"),
        Some(source) => format!("cannot be listed: {source}"),
        None => error.to_string(),
    };
    Some(Rejected { path: relative(root, path).unwrap_or_else(|lossy| lossy), reason })
}
