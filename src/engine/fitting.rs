//! How many images go through a card at a time: as many as suit it, or as fit in the memory that nobody else has.

use candle_core::Device;

use super::Precision;
#[cfg(feature = "cuda")]
use super::{Cuda, device::free_memory};
#[cfg(feature = "cuda")]
use crate::inception::INPUT_SIDE;
use crate::inception::Network;

/// Of the free memory, what is counted on: cuDNN's workspace and the driver want some as well.
#[cfg(feature = "cuda")]
const COUNTED_ON: f64 = 0.75;

/// The largest of `most`, its half, its quarter, ... images of the network's own size that fit on each of these cards; workers of one card
/// share its memory. An engine halves once more where that was too much.
#[cfg(feature = "cuda")]
#[must_use]
pub fn fitting_batch(network: &Network, devices: &[Device], precision: Precision, most: usize) -> usize {
    let workers = |card: &Device| devices.iter().filter(|other| other.location() == card.location()).count();
    let share = |card: &Device| free_memory(card).map(|free| free as f64 * COUNTED_ON / workers(card).max(1) as f64);
    let Some(room) = devices.iter().filter_map(share).min_by(f64::total_cmp) else { return most };
    let fits = |&images: &usize| {
        Cuda::memory_of(network, precision, [INPUT_SIDE; 2], images).is_ok_and(|bytes| bytes as f64 <= room)
    };
    std::iter::successors(Some(most), |images| Some(images / 2))
        .take_while(|&images| images > 1)
        .find(fits)
        .unwrap_or(1)
}

/// There are no cards.
#[cfg(not(feature = "cuda"))]
#[must_use]
pub const fn fitting_batch(_network: &Network, _devices: &[Device], _precision: Precision, most: usize) -> usize {
    most
}
