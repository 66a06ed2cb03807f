//! `<out>.partial`: what a run keeps until it is done, so that one that was killed goes on.
//!
//! ```text
//! model.safetensors.partial/lock                     held by the run
//!                          /checkpoint.safetensors   the training
//!                          /cache/...                activations at the border, unless --cache names another folder
//! ```

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cli::FinetuneArgs;
use crate::commands::console::Console;
use crate::commands::out_folder::OutFolder;
use crate::counts::count;
use crate::finetune::checkpoint_position;
use crate::whole_file::with_suffix;

/// The folder of a run that is under way.
pub(super) struct Partial {
    folder: PathBuf,
    cache: PathBuf,
    _lock: File,
}

impl Partial {
    /// Opens the folder, and refuses it where another run is at work on it or has left work that nobody spoke of.
    pub(super) fn open(args: &FinetuneArgs, console: Console) -> Result<Self> {
        let folder = with_suffix(&args.out, ".partial");
        if let Some(cache) = &args.cache.cache {
            OutFolder::new("--cache", cache, &args.images)?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let path = folder.join("lock");
        let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another run is writing to {}", folder.display()),
            // A file system without locks: two runs at once are then the user's to avoid.
            Err(TryLockError::Error(_)) => {}
        }
        let cache = args.cache.cache.clone().unwrap_or_else(|| folder.join("cache"));
        let partial = Self { folder, cache, _lock: lock };
        if partial.checkpoint().exists() {
            if args.run.restart {
                partial.clear()?;
            } else if args.run.resume {
                console.say(format_args!("going on with the run in {}", partial.folder.display()));
            } else {
                bail!("{}", partial.unfinished());
            }
        }
        Ok(partial)
    }

    pub(super) fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    pub(super) fn cache(&self) -> &Path {
        &self.cache
    }

    /// Takes the folder away, when all that it holds stands elsewhere.
    pub(super) fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))
    }

    fn clear(&self) -> Result<()> {
        let checkpoint = self.checkpoint();
        fs::remove_file(&checkpoint).with_context(|| format!("cannot remove {}", checkpoint.display()))
    }

    fn unfinished(&self) -> String {
        let how_far = checkpoint_position(&self.checkpoint()).map_or_else(
            |_| String::new(),
            |position| {
                let step = if position.step > 0 {
                    format!(" and {}", count(position.step, "step", "steps"))
                } else {
                    String::new()
                };
                format!(" ({}{step} done)", count(position.epoch, "epoch", "epochs"))
            },
        );
        format!(
            "{} holds an unfinished run{how_far}: go on with it by --resume, or throw it away by --restart",
            self.folder.display()
        )
    }
}
