//! `headstock score`.

use clap::Args;

/// `headstock score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {}
