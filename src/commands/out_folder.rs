//! Folders that many files are written into, under names that stand in files by strangers: no name leads out of them.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// A folder for results, apart from the images.
#[derive(Debug)]
pub(super) struct OutFolder {
    path: PathBuf,
    flag: &'static str,
}

impl OutFolder {
    /// Makes the folder that a flag names, unless it is there. One among the images is refused: the next run would take the
    /// results for images.
    pub(super) fn new(flag: &'static str, path: &Path, images: &Path) -> Result<Self> {
        let new = !path.exists();
        fs::create_dir_all(path).with_context(|| format!("{flag}: cannot make the folder {}", path.display()))?;
        let folder = Self { path: path.to_owned(), flag };
        if canonical(path)?.starts_with(canonical(images)?) {
            if new {
                // What is not empty stays, and is not ours.
                let _ = fs::remove_dir(path);
            }
            bail!("{flag} {} lies in the folder of the images; give another one", path.display());
        }
        Ok(folder)
    }

    /// Where a file of this name goes: `path` has `/` between its parts, each of them a plain name.
    pub(super) fn file(&self, path: &str) -> Result<PathBuf> {
        ensure!(is_plain_path(path), "{}: '{}' cannot be the name of a file in it", self.flag, path.escape_debug());
        Ok(self.path.join(path))
    }

    /// Refuses a name that cannot be that of a folder in this one, or that would be the images' own folder or hold it.
    pub(super) fn require_folder_name(&self, name: &str, images: &Path) -> Result<()> {
        ensure!(
            is_plain_name(name),
            "{}: the class '{}' cannot be the name of a folder",
            self.flag,
            name.escape_debug()
        );
        ensure!(
            !canonical(images)?.starts_with(canonical(&self.path)?.join(name)),
            "{} {}: its folder for the class '{name}' would be that of the images; give another one",
            self.flag,
            self.path.display()
        );
        Ok(())
    }
}

fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("the folder {} cannot be reached", path.display()))
}

/// Whether every part of a path is a plain name: none leads up, to a root, or to another drive.
pub(super) fn is_plain_path(path: &str) -> bool {
    path.split('/').all(is_plain_name)
}

fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let first = components.next();
    matches!(first, Some(Component::Normal(part)) if part == name)
        && components.next().is_none()
        && !name.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::{is_plain_name, is_plain_path};

    #[test]
    fn only_names_that_stay_in_their_folder_are_plain() {
        for name in ["a", "a b", ".hidden", "é", "...", "~", "a\nb"] {
            assert!(is_plain_name(name), "{name:?}");
        }
        for name in ["", ".", "..", "/", "a/b", "a/", "/a", "../a", "a\0b", "./a"] {
            assert!(!is_plain_name(name), "{name:?}");
        }
        assert!(is_plain_path("a/b/c.png"));
        for path in ["", "/a", "a//b", "a/../b", "../a", "a/", "./a", "a/."] {
            assert!(!is_plain_path(path), "{path:?}");
        }
    }
}
