//! What can be wrong with weights.

use std::fmt;
use std::path::PathBuf;

use super::checkpoint::FormatError;
use crate::inception::Variant;
use crate::onnx::OnnxError;
use crate::printable::{printable, shortened};

/// Why weights could not be had, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be opened or read.
    #[error("cannot read the weights {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The bytes are no checkpoint that is read, or not a whole one.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// An ONNX file that holds no network of this kind.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The tensors are those of something else.
    #[error("it holds no Inception-v3: {tensors} tensors, and none by a name that torchvision, timm, pytorch-fid or Keras give to its layers{}", example(.first.as_deref()))]
    OtherNetwork {
        /// How many there are.
        tensors: usize,
        /// One of their names.
        first: Option<String>,
    },
    /// Nothing in the file tells the variant.
    #[error(
        "the file does not say which variant of Inception-v3 it holds (its metadata has no `variant`): pass --variant tf2015 or --variant keras"
    )]
    VariantUnknown,
    /// The metadata names a variant that there is not.
    #[error("the file's metadata is wrong")]
    Variant(#[from] crate::inception::UnknownVariant),
    /// The file says one variant, the flag another.
    #[error("the file says that it holds the variant {file}, not {asked}")]
    VariantConflict {
        /// What the file says: its metadata, its names, or its classifier.
        file: Variant,
        /// What was asked for.
        asked: Variant,
    },
    /// The tensors are not those of the network.
    #[error("the tensors are not those of Inception-v3 ({variant})\n{mismatch}")]
    Mismatch {
        /// The network they were held to.
        variant: Variant,
        /// What is wrong, by name.
        mismatch: Mismatch,
    },
    /// The binary carries no weights.
    #[error("this binary was built without embedded weights (feature `embedded-weights`): pass --weights FILE")]
    NotEmbedded,
    /// candle refused.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

fn example(first: Option<&str>) -> String {
    first.map_or_else(String::new, |name| format!(" (one is `{}`)", printable(&shortened(name))))
}

/// How the tensors of a file differ from those the network needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Needed, and not in the file.
    pub missing: Vec<String>,
    /// In the file beside the network's tensors, and no part of the network.
    pub unknown: Vec<String>,
    /// Of another shape or number type.
    pub misshaped: Vec<Misshaped>,
}

/// A tensor of another shape or number type than is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshaped {
    /// Its name.
    pub name: String,
    /// What the file has: `F32 [64, 32, 3, 3]`.
    pub found: String,
    /// What is needed.
    pub expected: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let misshaped: Vec<String> =
            self.misshaped.iter().map(|m| format!("{}: {}, not {}", m.name, m.found, m.expected)).collect();
        let mut separator = "";
        for (title, lines) in [("missing", &self.missing), ("unknown", &self.unknown), ("misshaped", &misshaped)] {
            if !lines.is_empty() {
                write!(f, "{separator}{} {title}:\n  {}", lines.len(), lines.join("\n  "))?;
                separator = "\n";
            }
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}
