//! `headstock inspect`: look at the network, its filters, or a file of embeddings.

mod embeddings;
mod filters;
mod layers;

use anyhow::Result;

use super::End;
use super::console::Console;
use crate::cli::Inspect;

pub(super) fn run(what: &Inspect, console: Console) -> Result<End> {
    match what {
        Inspect::Layers(args) => layers::run(args)?,
        Inspect::Filters(args) => filters::run(args, console)?,
        Inspect::Embeddings(args) => embeddings::run(args)?,
    }
    Ok(End::Done)
}
