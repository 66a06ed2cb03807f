//! `headstock fit-head`.

use clap::Args;

/// `headstock fit-head`.
#[derive(Debug, Args)]
pub struct FitHeadArgs {}
