//! How far a run is: a bar with rate and time left on a terminal, now and then a plain line elsewhere.

use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::console::Console;
use crate::counts::thousands;

/// A plain line at most so often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// The progress of a run over images.
pub(super) struct Progress {
    console: Console,
    bar: ProgressBar,
    total: usize,
    /// Done by an earlier run.
    before: usize,
    done: usize,
    rejected: usize,
    /// What else is to be told of where the run is.
    note: String,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// Begins at `before` of `total` images.
    pub(super) fn new(console: Console, total: usize, before: usize) -> Self {
        let target = if console.is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total as u64), target);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:32} {human_pos}/{human_len} images  {per_sec:>10}  {eta:>4} left{msg}")
        {
            bar.set_style(style.progress_chars("━╸─").with_key(
                "per_sec",
                |state: &indicatif::ProgressState, text: &mut dyn std::fmt::Write| {
                    let _ = write!(text, "{:.1}/s", state.per_sec());
                },
            ));
        }
        bar.set_position(before as u64);
        bar.reset_eta();
        if console.is_terminal() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        let now = Instant::now();
        Self {
            console,
            bar,
            total,
            before,
            done: before,
            rejected: 0,
            note: String::new(),
            started: now,
            last_line: now,
        }
    }

    /// So many more images are done, and so many of them were rejected.
    pub(super) fn advance(&mut self, images: usize, rejected: usize) {
        self.done += images;
        self.rejected += rejected;
        self.bar.set_position(self.done as u64);
        if self.rejected > 0 {
            self.bar.set_message(format!("  {} rejected", thousands(self.rejected)));
        }
        if !self.note.is_empty() {
            self.bar.set_message(format!("  {}", self.note));
        }
        if !self.console.is_terminal() && self.last_line.elapsed() >= PLAIN_INTERVAL {
            self.last_line = Instant::now();
            self.say();
        }
    }

    /// What the next line, or the bar, is to tell beside the count.
    pub(super) fn note(&mut self, note: String) {
        self.note = note;
    }

    /// A line of its own, above the bar.
    pub(super) fn line(&mut self, line: impl std::fmt::Display) {
        self.bar.suspend(|| self.console.say(line));
        self.last_line = Instant::now();
    }

    /// Images a second since this run began.
    pub(super) fn rate(&self) -> f64 {
        (self.done - self.before) as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// The time this run has taken.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self) {
        let left = Duration::from_secs_f64((self.total - self.done) as f64 / self.rate().max(1e-9));
        self.console.say(format_args!(
            "{}/{} images, {:.1}/s, {} left{}{}",
            thousands(self.done),
            thousands(self.total),
            self.rate(),
            HumanDuration(Duration::from_secs(left.as_secs())),
            if self.note.is_empty() { "" } else { ", " },
            self.note,
        ));
    }
}
