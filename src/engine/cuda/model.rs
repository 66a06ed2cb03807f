//! A network on a card: all that does not depend on how many images there are, nor on their size.

use super::card::Card;
use super::error::Result;
use super::parameters::Parameters;
use crate::engine::plan::Plan;
use crate::inception::Network;

/// A network on a card.
pub struct Model {
    /// Its numbers,
    pub parameters: Parameters,
    /// what is to be done,
    pub plan: Plan,
    /// its description,
    pub network: Network,
    /// and where it runs.
    pub card: Card,
}

impl Model {
    /// `[channels, height, width]` of what an image of this size gives.
    ///
    /// # Errors
    /// Where it is too small.
    pub fn result(&self, size: [usize; 2]) -> Result<[usize; 3]> {
        Ok(self.network.shapes(size)?.last().copied().unwrap_or_default())
    }
}
