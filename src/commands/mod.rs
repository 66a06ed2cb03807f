//! One file a verb. Only here are flags read and is anything printed: results on stdout or in the file named, everything
//! else on stderr.

mod activation_maps;
mod backbone;
mod classifier;
mod console;
mod export;
mod extract;
mod fid;
mod finetune;
mod fit_head;
mod hardware;
mod image_run;
mod inspect;
mod interrupt;
mod out_folder;
mod progress;
mod provenance;
mod rejected;
mod report;
mod score;
mod weights;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::{Cli, Verb};
use crate::whole_file::{WriteError, write_whole};
use console::Console;

/// How a verb ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All was done.
    Done,
    /// All was done, and with `--strict` that is not enough.
    Rejected,
    /// The user stopped it.
    Interrupted,
}

/// Runs a verb. The exit code is 0, or 1 where something failed (2 is for wrong usage), or 130 where it was stopped.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let console = Console::new(cli.quiet);
    let end = match cli.verb {
        Verb::Extract(args) => extract::run(&args, console),
        Verb::FitHead(args) => fit_head::run(&args, console),
        Verb::Finetune(args) => finetune::run(&args, console),
        Verb::Score(args) => score::run(&args, console),
        Verb::Report(args) => report::run(&args, console),
        Verb::Export(args) => export::run(&args, console),
        Verb::Fid(args) => fid::run(&args, console),
        Verb::Inspect(what) => inspect::run(&what, console),
        Verb::Weights(what) => weights::run(&what, console),
    };
    match end {
        Ok(End::Done) => ExitCode::SUCCESS,
        Ok(End::Rejected) => ExitCode::FAILURE,
        Ok(End::Interrupted) => ExitCode::from(130),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            Console::error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Whoever reads the results wants no more of them: `headstock inspect layers | head`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes results to stdout.
fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    write(&mut out)?;
    out.flush()?;
    Ok(())
}

/// Writes what a flag such as `--metrics` asks for: JSON that a person can read too.
fn write_json(path: &Path, value: &impl Serialize) -> Result<(), WriteError> {
    write_whole(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
}
