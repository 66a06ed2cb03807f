//! `headstock report`.

use clap::Args;

/// `headstock report`.
#[derive(Debug, Args)]
pub struct ReportArgs {}
