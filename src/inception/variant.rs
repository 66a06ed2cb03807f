//! The published networks differ in structure, not only in numbers.

use std::fmt;
use std::str::FromStr;

/// Which of the published Inception-v3 networks.
///
/// | variant | average pools (3x3, stride 1) | branch pool of the last block | batch norm |
/// |---|---|---|---|
/// | `tf2015` | padding not counted | maximum | no gamma |
/// | `keras` | padding not counted | average | no gamma |
/// | `torchvision` | padding counted | average | gamma |
///
/// All three divide by `sqrt(variance + 1e-3)`. Read from the graph of `inception_v3_2015` (the file behind the Fréchet
/// Inception Distance), from `keras/applications/inception_v3.py` and from `torchvision/models/inception.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Google's original of 2015-12-05, the "FID Inception".
    Tf2015,
    /// `keras.applications.InceptionV3`.
    Keras,
    /// `torchvision.models.inception_v3` and timm's ports of it.
    Torchvision,
}

/// How the branch pool of the last block, `Mixed_7c`, reduces its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastPool {
    Average,
    Maximum,
}

impl Variant {
    /// Every variant, in the order in which they are listed to people.
    pub const ALL: [Self; 3] = [Self::Tf2015, Self::Keras, Self::Torchvision];

    /// The name in flags and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tf2015 => "tf2015",
            Self::Keras => "keras",
            Self::Torchvision => "torchvision",
        }
    }

    /// Whether an average over a window at the border divides by the whole window, its padding included.
    #[must_use]
    pub const fn counts_padding(self) -> bool {
        matches!(self, Self::Torchvision)
    }

    /// Whether batch norm has a scale (gamma) that was trained.
    #[must_use]
    pub const fn has_gamma(self) -> bool {
        matches!(self, Self::Torchvision)
    }

    pub(super) const fn last_pool(self) -> LastPool {
        match self {
            Self::Tf2015 => LastPool::Maximum,
            Self::Keras | Self::Torchvision => LastPool::Average,
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no variant's.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no variant of Inception-v3: it is one of tf2015, keras, torchvision")]
pub struct UnknownVariant(String);

impl FromStr for Variant {
    type Err = UnknownVariant;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|v| v.name() == name).ok_or_else(|| UnknownVariant(name.to_owned()))
    }
}
