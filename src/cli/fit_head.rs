//! The flags of `headstock fit-head`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::file;

/// `headstock fit-head`.
#[derive(Debug, Args)]
pub struct FitHeadArgs {
    /// What `extract` wrote of images in class folders
    #[arg(value_name = "EMBEDDINGS", value_parser = file)]
    pub embeddings: PathBuf,

    /// Where the head goes
    #[arg(long, short, value_name = "FILE", default_value = "head.safetensors")]
    pub out: PathBuf,

    /// What is fitted
    #[arg(long, value_enum, default_value_t = HeadKind::Logistic)]
    pub head: HeadKind,

    /// The part of each class that is held out, to tell how good the head is; 0 uses all rows and tells it by k-fold
    /// [default: 0.2, or 0 with --test]
    #[arg(long, value_name = "PART", value_parser = part)]
    pub validation: Option<f64>,

    /// Tell how good the head is by the rows of this file
    #[arg(long, value_name = "EMBEDDINGS", value_parser = file)]
    pub test: Option<PathBuf>,

    /// Folds of the k-fold that chooses alpha and calibrates the probabilities
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub folds: u32,

    /// How much a class counts
    #[arg(long, value_enum, default_value_t = ClassWeight::None)]
    pub class_weight: ClassWeight,

    /// Find for each class the probability from which on this part of its decisions is right; below it `score` says unsure
    #[arg(long, value_name = "PART", value_parser = part)]
    pub target_precision: Option<f64>,

    /// Write all numbers to this file as JSON too
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,

    /// Decides which rows are held out, and the folds
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Threads [default: one a core]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// Of the logistic head.
    #[command(flatten, next_help_heading = "Logistic head")]
    pub logistic: LogisticArgs,

    /// Of the dense head.
    #[command(flatten, next_help_heading = "Dense head")]
    pub dense: DenseArgs,
}

/// Which head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HeadKind {
    /// Multinomial logistic regression with an L2 penalty.
    Logistic,
    /// One hidden layer, then softmax.
    Dense,
}

/// How much a class counts while fitting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClassWeight {
    /// As much as it has images.
    None,
    /// As much as every other class.
    Balanced,
}

/// Flags that only `--head logistic` reads.
#[derive(Debug, Args)]
pub struct LogisticArgs {
    /// Strength of the penalty, alpha/2 |weights|^2 on standardised rows (scikit-learn's 1/C); several, with commas between
    /// them, are searched [default: a search from 1e4 down]
    #[arg(long, value_name = "A,...", value_delimiter = ',', value_parser = positive)]
    pub alpha: Vec<f64>,
}

/// Flags that only `--head dense` reads.
#[derive(Debug, Args)]
pub struct DenseArgs {
    /// Units of the hidden layer
    #[arg(long, value_name = "N", default_value = "1024")]
    pub hidden: NonZeroUsize,

    /// Passes over the rows, at most
    #[arg(long, value_name = "N", default_value = "50")]
    pub epochs: NonZeroUsize,

    /// Rows in a step
    #[arg(long, value_name = "N", default_value = "32")]
    pub batch_size: NonZeroUsize,

    /// RMSprop's step
    #[arg(long, value_name = "RATE", default_value_t = 1e-4, value_parser = positive)]
    pub learning_rate: f64,

    /// The part of the hidden units that is left out of each step
    #[arg(long, value_name = "PART", default_value_t = 0.0, value_parser = part)]
    pub dropout: f64,

    /// Epochs without a better loss on rows not trained on, after which training ends
    #[arg(long, value_name = "N", default_value = "5")]
    pub patience: NonZeroUsize,
}

/// A number from 0 on, below 1.
pub(super) fn part(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(part) if (0.0..1.0).contains(&part) => Ok(part),
        _ => Err("give a number from 0 on, below 1".to_owned()),
    }
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("give a number above 0".to_owned()),
    }
}
