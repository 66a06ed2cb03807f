//! The part of a network past a border on a card: all that does not depend on how many images there are, nor on their size.

use super::super::card::Card;
use super::kernels::Kernels;
use super::program::Program;
use crate::inception::{Border, Network};

/// The part of a network past a border on a card.
pub struct Model {
    /// What is to be done, and the numbers.
    pub program: Program,
    /// What is trained, and what has to be brought.
    pub border: Border,
    /// All of the network's description.
    pub network: Network,
    /// Our own kernels, beside those of the card.
    pub kernels: Kernels,
    /// Where it runs.
    pub card: Card,
}
