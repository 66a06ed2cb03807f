//! `--sort-into`: the images laid out in a folder a class, for people to look through.
//!
//! Below its class an image keeps its path, so that no two images meet. Nothing is moved, deleted or written over: what is
//! there already and is the same image is left as it is, and what is something else is named at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::results::Results;
use crate::cli::ScoreArgs;
use crate::commands::console::Console;
use crate::commands::out_folder::{OutFolder, is_plain_path};
use crate::counts::count;
use crate::dataset::Dataset;
use crate::head::Head;
use crate::scores::UNSURE;
use crate::whole_file::with_suffix;

/// Failures that are told one by one; of more there is only the number.
const TOLD: usize = 5;

/// The folder that images are laid out in.
pub(super) struct SortInto {
    folder: OutFolder,
    images: PathBuf,
}

impl SortInto {
    /// Makes the folder. Classes that cannot be folders, and images that are not there, are refused before any work.
    pub(super) fn new(folder: &Path, args: &ScoreArgs, dataset: &Dataset, head: &Head) -> Result<Self> {
        let images = dataset.root.clone();
        if let Some(embeddings) = &args.embeddings {
            ensure!(
                !images.as_os_str().is_empty(),
                "--sort-into: {} does not say where its images lie; score them by --images",
                embeddings.display()
            );
            ensure!(
                images.is_dir(),
                "--sort-into: the images of {} lay in {}, which is not there; run from the folder that `extract` was run in, \
                 or score them by --images",
                embeddings.display(),
                images.display()
            );
        }
        let folder = OutFolder::new("--sort-into", folder, &images)?;
        for class in head.classes.iter().map(String::as_str).chain([UNSURE]) {
            folder.require_folder_name(class, &images)?;
        }
        Ok(Self { folder, images })
    }

    /// Lays all images out.
    pub(super) fn lay_out(&self, results: &Results<'_>, console: Console) -> Result<()> {
        let mut failed = 0;
        for result in results.scores()? {
            let (_, score) = result?;
            let class = score.class.map_or(UNSURE, |class| &results.head.classes[class]);
            if let Err(error) = self.lay(&score.path, class) {
                failed += 1;
                if failed <= TOLD {
                    console.say(format_args!("{}: {error:#}", score.path));
                }
            }
        }
        if failed > 0 {
            bail!(
                "--sort-into: {} could not be laid out; the scores are written, and the same command with --resume tries it \
                 again",
                count(failed, "image", "images")
            );
        }
        Ok(())
    }

    fn lay(&self, path: &str, class: &str) -> Result<()> {
        ensure!(is_plain_path(path), "the path leads out of the folder of the images");
        // Of a link what it leads to, as a relative one leads elsewhere from its new place.
        let image = self.images.join(path).canonicalize().context("it is not there")?;
        let place = self.folder.file(&format!("{class}/{path}"))?;
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        match fs::hard_link(&image, &place) {
            Ok(()) => Ok(()),
            Err(_) if place.symlink_metadata().is_ok() => {
                ensure!(is_same(&image, &place)?, "{} is there already and is something else", place.display());
                Ok(())
            }
            // Another file system, or one without hard links.
            Err(_) => copy(&image, &place).with_context(|| format!("cannot be copied to {}", place.display())),
        }
    }
}

/// Whether two files are one, or hold the same bytes.
fn is_same(image: &Path, place: &Path) -> Result<bool> {
    let unreadable = || format!("{} cannot be read", place.display());
    if same_file::is_same_file(image, place).with_context(unreadable)? {
        return Ok(true);
    }
    let (a, b) = (fs::metadata(image)?, fs::metadata(place)?);
    Ok(b.is_file() && a.len() == b.len() && fs::read(image)? == fs::read(place).with_context(unreadable)?)
}

/// A copy that is whole when it bears its name.
fn copy(image: &Path, place: &Path) -> io::Result<()> {
    let temporary = with_suffix(place, ".headstock.tmp");
    let copied = fs::copy(image, &temporary).and_then(|_| fs::rename(&temporary, place));
    if copied.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    copied
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{copy, is_same};

    #[test]
    fn a_copy_is_the_same_image_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let [image, place] = ["image", "place"].map(|name| folder.path().join(name));
        fs::write(&image, "pixels").unwrap();
        // As a killed run leaves it.
        fs::write(folder.path().join("place.headstock.tmp"), "pix").unwrap();
        copy(&image, &place).unwrap();
        assert!(is_same(&image, &place).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        fs::write(&place, "pixelz").unwrap();
        assert!(!is_same(&image, &place).unwrap());
    }
}
