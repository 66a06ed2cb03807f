//! `headstock fit-head`.

use anyhow::{Result, bail};

use super::End;
use super::console::Console;
use crate::cli::FitHeadArgs;

pub(super) fn run(_args: &FitHeadArgs, _console: Console) -> Result<End> {
    bail!("not yet")
}
