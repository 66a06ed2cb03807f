//! The frozen part of the network over all images, once: into the cache, or, where that would be larger than allowed, not at all.
//!
//! ```text
//! every image, plain ─▶ trunk ─▶ cache of plain views ─▶ which could be read ─▶ Split
//! trained on, views 1.. ─▶ trunk ─▶ cache of the other views
//! ```

use std::sync::Arc;

use anyhow::{Context, Result};

use super::job::Job;
use super::partial::Partial;
use super::split::Split;
use crate::cli::FinetuneArgs;
use crate::commands::console::Console;
use crate::commands::interrupt::Interrupt;
use crate::commands::progress::Progress;
use crate::counts::count;
use crate::engine::Engine;
use crate::finetune::{Cache, CacheWriter, Cached, CachedViews, Item, Precision, Recomputed, Source, Trunk, Views};
use crate::pipeline::{DecodeAhead, Embed};

/// What the frozen part says, and of which images.
pub(super) struct Boundary {
    pub(super) source: Box<dyn Source>,
    pub(super) split: Split,
    /// The candidates that could not be read, by position, and why.
    pub(super) rejected: Vec<(usize, String)>,
}

/// Whoever wanted to stop has done so.
pub(super) struct Stopped;

/// What all of it needs.
pub(super) struct Fill<'a> {
    pub(super) job: &'a Job,
    pub(super) args: &'a FinetuneArgs,
    pub(super) partial: &'a Partial,
    pub(super) interrupt: &'a Interrupt,
    pub(super) console: Console,
}

impl Fill<'_> {
    /// Runs the frozen part, or makes ready to.
    pub(super) fn run(&self) -> Result<std::result::Result<Boundary, Stopped>> {
        let Job { network, border, weights, hardware, .. } = self.job;
        let (devices, engine, precision) = (hardware.devices(), hardware.engine_choice(), hardware.precision());
        let trunk = Trunk::open(network, border, weights, engine, devices, precision)?;
        if self.is_kept() { self.cached(&trunk) } else { self.recomputed(trunk) }
    }

    /// Whether the cache is as small as it has to be; tells how large it is.
    fn is_kept(&self) -> bool {
        let Job { dataset, record, views, .. } = self.job;
        // Not all images are trained on, but which ones is known when they have been read.
        let items = dataset.candidates.len() * views.count;
        let size = |precision: Precision| (items * record.len() * precision.bytes()) as u64;
        let (precision, limit) = (self.args.cache.cache_precision, self.args.cache.cache_limit);
        let is_kept = size(precision) <= limit;
        if is_kept {
            self.console.say(format_args!(
                "activations at the border: {} of {} an image, {} at most, in {}",
                count(self.job.record.len(), "number", "numbers"),
                precision,
                shown(size(precision)),
                self.partial.cache().display()
            ));
        } else {
            let half = if precision == Precision::F32 && size(Precision::F16) <= limit {
                "; with --cache-precision f16 they would fit"
            } else {
                ""
            };
            self.console.say(format_args!(
                "activations at the border would be {}, more than --cache-limit: they are computed again each epoch{half}",
                shown(size(precision))
            ));
        }
        is_kept
    }

    fn cached(&self, trunk: &Arc<dyn Engine>) -> Result<std::result::Result<Boundary, Stopped>> {
        let Job { dataset, record, views, hardware, .. } = self.job;
        let all: Vec<Item> = (0..dataset.candidates.len()).map(|candidate| Item { candidate, view: 0 }).collect();
        let of = self.job.of_plain_views(self.args)?;
        let Some(plain) = self.fill(&of, &all, trunk)? else { return Ok(Err(Stopped)) };
        let rejected = plain.rejected().to_vec();
        let split = self.split(&rejected)?;
        let mut other = None;
        if views.count > 1 {
            let train = &split.train.candidates;
            let items: Vec<Item> = CachedViews::items(train, views.count).collect();
            let of = self.job.of_other_views(self.args, train)?;
            let Some(cache) = self.fill(&of, &items, trunk)? else { return Ok(Err(Stopped)) };
            other = Some(CachedViews::new(cache, train));
        }
        let candidates = dataset.candidates.clone();
        let device = hardware.device().clone();
        let source = Cached { plain, views: other, candidates, record: record.clone(), device };
        Ok(Ok(Boundary { source: Box::new(source), split, rejected }))
    }

    /// Brings a cache to its end: all of these items.
    fn fill(&self, of: &serde_json::Value, items: &[Item], trunk: &Arc<dyn Engine>) -> Result<Option<Cache>> {
        let Job { record, views, hardware, .. } = self.job;
        let precision = self.args.cache.cache_precision;
        let mut writer = CacheWriter::open(self.partial.cache(), of, record.len(), precision)?;
        let (total, before) = (items.len(), writer.items().min(items.len()));
        if before > 0 {
            self.console.say(format_args!("{} there already", count(before, "image is", "images are")));
        }
        let batch_size = hardware.batch_size(None, Some(&self.job.network));
        let decoded = DecodeAhead::new(self.jobs(items, before), 2 * batch_size * trunk.lanes());
        let batches = Embed::new(decoded, Arc::clone(trunk), views.loader.preprocess.normalise, batch_size);
        let mut progress = Progress::new(self.console, total, before);
        self.console.say_notes(trunk.as_ref());
        for batch in batches {
            let batch = batch?;
            self.console.say_notes(trunk.as_ref());
            let (done, rejected) = (batch.candidates, batch.rejected.len());
            writer.append(batch)?;
            progress.advance(done, rejected);
            if self.interrupt.is_wanted() {
                progress.finish();
                self.console.say("stopped; the same command with --resume goes on");
                return Ok(None);
            }
        }
        progress.finish();
        if total > before {
            self.console.say(format_args!(
                "frozen layers: {} in {:.1} s, {:.1}/s",
                count(total - before, "image", "images"),
                progress.elapsed().as_secs_f64(),
                progress.rate()
            ));
        }
        Ok(Some(writer.finish()?))
    }

    /// Every image is read once, to know which ones can be.
    fn recomputed(&self, trunk: Arc<dyn Engine>) -> Result<std::result::Result<Boundary, Stopped>> {
        let Job { dataset, record, views, .. } = self.job;
        let all: Vec<Item> = (0..dataset.candidates.len()).map(|candidate| Item { candidate, view: 0 }).collect();
        let mut progress = Progress::new(self.console, all.len(), 0);
        let mut rejected = Vec::new();
        for decoded in DecodeAhead::new(self.jobs(&all, 0), 4 * rayon::current_num_threads()) {
            let failed = decoded.pixels.err();
            progress.advance(1, usize::from(failed.is_some()));
            rejected.extend(failed.map(|reason| (decoded.candidate, reason)));
            if self.interrupt.is_wanted() {
                progress.finish();
                return Ok(Err(Stopped));
            }
        }
        progress.finish();
        let split = self.split(&rejected)?;
        let (candidates, views) = (dataset.candidates.clone(), Arc::clone(views));
        let source = Recomputed { views, candidates, trunk, record: record.clone() };
        Ok(Ok(Boundary { source: Box::new(source), split, rejected }))
    }

    fn jobs<'a>(
        &'a self,
        items: &'a [Item],
        before: usize,
    ) -> impl Iterator<
        Item = (usize, impl FnOnce() -> std::result::Result<crate::image::Pixels, String> + Send + 'static),
    > + 'a {
        items.iter().enumerate().skip(before).map(|(position, item)| {
            let views: Arc<Views> = Arc::clone(&self.job.views);
            let (path, view) = (self.job.dataset.candidates[item.candidate].path.clone(), item.view);
            (position, move || views.load(&path, view))
        })
    }

    fn split(&self, rejected: &[(usize, String)]) -> Result<Split> {
        let Job { dataset, head, .. } = self.job;
        let mut without = rejected.iter().map(|(candidate, _)| *candidate).peekable();
        let accepted: Vec<usize> =
            (0..dataset.candidates.len()).filter(|candidate| without.next_if_eq(candidate).is_none()).collect();
        Split::new(dataset, accepted, head, self.args, self.console)
            .with_context(|| format!("the images under {} cannot be trained on", dataset.root.display()))
    }
}

/// `1.3 GB`.
pub(super) fn shown(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
