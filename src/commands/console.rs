//! The one printer: everything that is no result goes through here to stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::Engine;
use crate::printable::printable;

static QUIET: AtomicBool = AtomicBool::new(false);

/// stderr, or nothing with `--quiet`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Console {
    quiet: bool,
}

impl Console {
    /// The process has one: this becomes it.
    pub(super) fn new(quiet: bool) -> Self {
        QUIET.store(quiet, Ordering::Relaxed);
        Self { quiet }
    }

    /// The process's, for what is fetched on the way to something else.
    pub(super) fn of_process() -> Self {
        Self { quiet: QUIET.load(Ordering::Relaxed) }
    }

    pub(super) fn is_terminal(self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// A line for the user.
    pub(super) fn say(self, line: impl std::fmt::Display) {
        if !self.quiet {
            print(&line.to_string());
        }
    }

    /// What an engine notes is no error and is for the user all the same.
    pub(super) fn say_notes(self, engine: &dyn Engine) {
        engine.take_notes().iter().for_each(|note| self.say(note));
    }

    /// An error with its causes, a line each; `--quiet` does not silence it.
    pub(super) fn error(error: &anyhow::Error) {
        let mut lines = format!("error: {error}");
        for cause in error.chain().skip(1) {
            lines.push_str("\n  because: ");
            lines.push_str(&cause.to_string().replace('\n', "\n    "));
        }
        print(&lines);
    }
}

/// Lines; a name in them, of a file or a class, does nothing to the terminal but stand there.
fn print(lines: &str) {
    let lines = lines.split('\n').map(printable).collect::<Vec<_>>().join("\n");
    // Where stderr is gone there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{lines}");
}
