//! The ImageNet weights of 2015-12-05 inside the binary, so that it works alone, anywhere, offline.

use super::{Weights, WeightsError};

/// `data/inception_v3_2015.safetensors`; origin and licence in `data/README.md`.
#[cfg(feature = "embedded-weights")]
static BYTES: &[u8] = include_bytes!("../../data/inception_v3_2015.safetensors");

impl Weights {
    /// The weights that the binary carries: Google's Inception-v3 of 2015-12-05, kernels rounded to float16.
    ///
    /// # Errors
    /// [`WeightsError::NotEmbedded`] where the binary was built without the feature `embedded-weights`.
    #[cfg(feature = "embedded-weights")]
    pub fn embedded() -> Result<Self, WeightsError> {
        Self::from_bytes(BYTES, None)
    }

    /// The weights that the binary carries: none.
    ///
    /// # Errors
    /// [`WeightsError::NotEmbedded`], as it was built without the feature `embedded-weights`.
    #[cfg(not(feature = "embedded-weights"))]
    pub fn embedded() -> Result<Self, WeightsError> {
        Err(WeightsError::NotEmbedded)
    }
}
