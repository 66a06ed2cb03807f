//! Where embeddings go: one file, or numbered ones.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::cli::ExtractArgs;
use crate::commands::image_run;
use crate::commands::rejected::{accepted, remove_if_there};
use crate::counts::{count, thousands};
use crate::dataset::Dataset;
use crate::embeddings::{Format, Provenance, Table, header_len_at_most};
use crate::pipeline::Journal;
use crate::tensor_file::HEADER_LIMIT;
use crate::whole_file::with_suffix;

/// Where the rows go and in which shape.
pub(super) struct Output {
    pub(super) path: PathBuf,
    format: Format,
    pub(super) shard_rows: Option<usize>,
}

impl Output {
    pub(super) fn new(args: &ExtractArgs, dataset: &Dataset) -> Result<Self> {
        let path = args.out.clone();
        image_run::require_place("--out", &path)?;
        image_run::require_images(dataset)?;
        let format = args.format.or_else(|| Format::of(&path)).unwrap_or(Format::Safetensors);
        let shard_rows = args.shard_rows.map(std::num::NonZero::get);
        let in_one_file = &dataset.candidates[..shard_rows.unwrap_or(usize::MAX).min(dataset.candidates.len())];
        if format == Format::Safetensors && header_len_at_most(&dataset.classes, in_one_file) > HEADER_LIMIT {
            bail!(
                "the paths of {} do not fit the header of one safetensors file, which has room for {} bytes: \
                 use --shard-rows 500000, or less",
                count(in_one_file.len(), "image", "images"),
                thousands(HEADER_LIMIT)
            );
        }
        Ok(Self { path, format, shard_rows })
    }

    /// The folder of the unfinished run.
    pub(super) fn partial(&self) -> PathBuf {
        with_suffix(&self.path, ".partial")
    }

    /// `out.safetensors`, or of shards `out-00000.safetensors`.
    fn shard_path(&self, shard: usize) -> PathBuf {
        if self.shard_rows.is_none() {
            return self.path.clone();
        }
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let extension = self.path.extension().map_or_else(String::new, |e| format!(".{}", e.to_string_lossy()));
        self.path.with_file_name(format!("{stem}-{shard:05}{extension}"))
    }

    pub(super) fn write(&self, dataset: &Dataset, provenance: &Provenance, journal: &mut Journal) -> Result<()> {
        let accepted: Vec<_> = accepted(dataset, journal).map(|(_, image)| image).collect();
        let shards = journal.shards();
        for (shard, images) in accepted.chunks(self.shard_rows.unwrap_or(usize::MAX)).enumerate() {
            if journal.is_written(shard) {
                continue;
            }
            let raw = journal.shard_path(shard);
            let mut rows = BufReader::with_capacity(
                1 << 20,
                File::open(&raw).with_context(|| format!("cannot read {}", raw.display()))?,
            );
            let root = &dataset.root.to_string_lossy();
            let table = Table {
                provenance,
                classes: &dataset.classes,
                root,
                images: images.to_vec(),
                columns: journal.columns(),
            };
            self.format.write(&self.shard_path(shard), &table, &mut rows)?;
            journal.mark_written(shard)?;
        }
        // An earlier run may have left more shards than this one has: together they would be taken for one set.
        if self.shard_rows.is_some() {
            for shard in shards.. {
                if !remove_if_there(&self.shard_path(shard))? {
                    break;
                }
            }
        }
        Ok(())
    }

    pub(super) fn shown(&self, rows: usize) -> String {
        match self.shard_rows.map(|shard_rows| rows.div_ceil(shard_rows)) {
            Some(shards) if shards > 1 => {
                format!("{} to {}", self.shard_path(0).display(), self.shard_path(shards - 1).display())
            }
            _ => self.shard_path(0).display().to_string(),
        }
    }
}
