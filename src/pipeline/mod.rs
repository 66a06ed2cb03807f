//! From candidates to rows, streaming: decoding runs ahead of the network, and memory holds a bounded number of images.
//!
//! ```text
//! candidates ─▶ DecodeAhead ──────────▶ Embed ───────────────▶ whoever wants batches
//!               rayon, in order,        batches of what        Journal: rows on disk,
//!               at most `ahead` images  could be read,         from which a killed run goes on
//!                                       on Lanes
//! ```
//!
//! Each step is an iterator over the one before it; dropping the last one stops them all.

mod decode_ahead;
mod embed;
mod feature_maps;
mod journal;
mod lanes;

pub use decode_ahead::{DecodeAhead, Decoded, Loader, decode_ahead};
pub use embed::{Batch, Embed};
pub use feature_maps::FeatureMaps;
pub(crate) use journal::difference;
pub use journal::{Journal, JournalError, Start};
