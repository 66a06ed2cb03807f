//! The flags of `headstock fid`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{BackboneArgs, Background, HardwareArgs, file};
use crate::image::{Preset, parse_background};

/// `headstock fid`.
#[derive(Debug, Args)]
pub struct FidArgs {
    /// A set of images: a folder, what `extract` wrote of one, or its statistics (`mu_sigma.npz`, as pytorch-fid keeps them)
    #[arg(value_name = "A")]
    pub a: PathBuf,

    /// Another set
    #[arg(value_name = "B", required_unless_present_any = ["stats", "save_stats"])]
    pub b: Option<PathBuf>,

    /// Statistics in place of B: the arrays mu and sigma of an npz file
    #[arg(long, value_name = "NPZ", value_parser = file, conflicts_with = "b")]
    pub stats: Option<PathBuf>,

    /// Write the statistics of A to this file, as pytorch-fid's flag of that name does; then B is not needed
    #[arg(long, value_name = "NPZ")]
    pub save_stats: Option<PathBuf>,

    /// How images become the network's input. What is not a folder of images was made by a recipe already, and keeps it
    #[arg(long, value_enum, default_value_t = Recipe::PytorchFid)]
    pub recipe: Recipe,

    /// Tell the kernel distance too. It needs images or embeddings on both sides
    #[arg(long)]
    pub kid: bool,

    /// Subsets that KID is the mean of
    #[arg(long, value_name = "N", default_value = "100")]
    pub kid_subsets: NonZeroUsize,

    /// Images of each side in a subset [default: 1000, or all of the smaller side where it has fewer]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub kid_subset_size: Option<u32>,

    /// Decides which images are in KID's subsets
    #[arg(long, value_name = "N", default_value_t = 2020)]
    pub seed: u32,

    /// Write all numbers to this file as JSON too
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,

    /// The colour under transparent images: white, black, #rrggbb or r,g,b
    #[arg(long, value_name = "COLOUR", value_parser = parse_background, default_value = "white")]
    pub background: Background,

    /// Reject images of more pixels than this
    #[arg(long, value_name = "PIXELS", default_value_t = crate::image::DecodeOptions::default().max_pixels)]
    pub max_pixels: u64,

    /// Which network.
    #[command(flatten)]
    pub backbone: BackboneArgs,

    /// How to run.
    #[command(flatten)]
    pub run: FidRunArgs,
}

/// How to run.
#[derive(Debug, Args)]
pub struct FidRunArgs {
    /// On what.
    #[command(flatten)]
    pub hardware: HardwareArgs,

    /// Images that go through the network at a time [default: by device and threads]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<NonZeroUsize>,

    /// Threads [default: one a core]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// End with exit code 1 if any file could not be read
    #[arg(long)]
    pub strict: bool,
}

/// The program whose FID it is to be: they differ in how they resize, and so in the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Recipe {
    /// Bilinear without antialias, half-pixel centres, in floats; 2x - 1.
    PytorchFid,
    /// TensorFlow 1's bilinear, off by half a pixel, in floats; (x - 128) / 128.
    TorchFidelity,
    /// Pillow's bicubic with antialias, in floats; (x - 128) / 128.
    CleanFid,
}

impl Recipe {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PytorchFid, Self::TorchFidelity, Self::CleanFid];

    /// The preset of preprocessing that is the recipe.
    #[must_use]
    pub const fn preset(self) -> Preset {
        match self {
            Self::PytorchFid => Preset::Fid,
            Self::TorchFidelity => Preset::TorchFidelity,
            Self::CleanFid => Preset::CleanFid,
        }
    }

    /// The name in the flag.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PytorchFid => "pytorch-fid",
            Self::TorchFidelity => "torch-fidelity",
            Self::CleanFid => "clean-fid",
        }
    }
}
