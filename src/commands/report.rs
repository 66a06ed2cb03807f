//! `headstock report`.

use anyhow::{Result, bail};

use super::End;
use super::console::Console;
use crate::cli::ReportArgs;

pub(super) fn run(_args: &ReportArgs, _console: Console) -> Result<End> {
    bail!("not yet")
}
