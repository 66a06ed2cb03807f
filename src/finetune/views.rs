//! Views of an image: itself, and as many others as augmentation makes of it.
//!
//! View 0 is the plain one, which validation always sees. Each other is decided by the seed, the image's path and its own number, and by
//! nothing else: it is the same in every run, whatever the order, so that it can be kept. Training takes an image's views in turn, an
//! epoch each, and not all images the same one.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::image::{Augmentation, Pixels, augment};
use crate::pipeline::Loader;

/// An image as training sees it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The image, by its position among the candidates.
    pub candidate: usize,
    /// Which view.
    pub view: usize,
}

/// The views of every image.
#[derive(Clone, Debug)]
pub struct Views {
    /// How an image becomes pixels.
    pub loader: Loader,
    /// How the views differ from the plain one.
    pub augmentations: BTreeSet<Augmentation>,
    /// Views of an image that is trained on, the plain one among them.
    pub count: usize,
    /// Decides them.
    pub seed: u64,
}

impl Views {
    /// Which view of an image an epoch sees, both counted from 0.
    #[must_use]
    pub const fn of_epoch(&self, candidate: usize, epoch: usize) -> usize {
        (candidate + epoch) % self.count
    }

    /// Reads, decodes, changes and resizes one image.
    ///
    /// # Errors
    /// The reason, one line, why the file gives no pixels.
    pub fn load(&self, path: &str, view: usize) -> Result<Pixels, String> {
        let picture = self.loader.picture(path)?;
        if view == 0 {
            return Ok(self.loader.preprocess.apply(&picture));
        }
        let view = augment(&picture, &self.augmentations, &mut self.rng(path, view));
        Ok(self.loader.preprocess.apply(&view))
    }

    fn rng(&self, path: &str, view: usize) -> ChaCha8Rng {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update((view as u64).to_le_bytes());
        hash.update(path);
        ChaCha8Rng::from_seed(hash.finalize().into())
    }
}
