//! Parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use headstock::cli::Cli;
use headstock::commands;

fn main() -> ExitCode {
    commands::run(Cli::parse())
}
