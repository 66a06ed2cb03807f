//! The flags of `headstock report`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::{BackboneArgs, ClassifierArgs, file, folder};

/// `headstock report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Which classifier.
    #[command(flatten)]
    pub classifier: ClassifierArgs,

    /// What `score` wrote, to be shown too
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub scores: Option<PathBuf>,

    /// With --scores the folder of the scored images; without, where the head's images lie now [default: as `extract`
    /// was told]
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub images: Option<PathBuf>,

    /// The page
    #[arg(long, short, value_name = "FILE", default_value = "report.html")]
    pub out: PathBuf,

    /// Show so many images at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_images: usize,

    /// Which network.
    #[command(flatten)]
    pub backbone: BackboneArgs,

    /// Threads [default: one a core]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}
