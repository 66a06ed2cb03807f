//! `headstock weights`: files of weights, whoever wrote them.

mod convert;
mod inspect;

use anyhow::Result;

use super::End;
use super::console::Console;
use crate::cli::WeightsCommand;

pub(super) fn run(what: &WeightsCommand, console: Console) -> Result<End> {
    match what {
        WeightsCommand::Inspect(args) => inspect::run(args),
        WeightsCommand::Convert(args) => convert::run(args, console),
    }
}
