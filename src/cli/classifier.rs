//! The flags that say which classifier: a head on a network, or a model, which is both.

use std::path::PathBuf;

use clap::Args;

use super::file;

/// Which classifier: a head or a model, one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ClassifierArgs {
    /// What `fit-head` wrote
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub head: Option<PathBuf>,

    /// What `finetune` wrote: a network and its head, in place of --head and --weights
    #[arg(long, value_name = "FILE", value_parser = file, conflicts_with_all = ["weights", "variant", "onnx_output"])]
    pub model: Option<PathBuf>,
}
