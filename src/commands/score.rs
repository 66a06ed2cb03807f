//! `headstock score`.

use anyhow::{Result, bail};

use super::End;
use super::console::Console;
use crate::cli::ScoreArgs;

pub(super) fn run(_args: &ScoreArgs, _console: Console) -> Result<End> {
    bail!("not yet")
}
