//! Fine-tuning: the last layers of the network trained together with a head, the first ones run once.
//!
//! ```text
//! images ─▶ views ─▶ trunk: frozen layers, fast engine ─▶ cache ─▶ source: batches
//!                                                                    │ [B, H, W, C]
//!                                                                    ▼
//!      optimiser ◀── gradients ◀── Trainable ─▶ features [B, 2048] ─▶ head ─▶ logits ─▶ loss
//!          │                           ▲                               ▲
//!          └──── schedule, clipping ───┴───────────────────────────────┘
//! trainer: epochs of that; after each the watched rows, and a checkpoint
//! ```
//!
//! The trainer knows a [`Trainable`](crate::engine::trainable::Trainable), a [`Source`] and labels; it does not know images, files or flags. All
//! that is random is decided by a seed, a purpose and a place (the order of an epoch by its number, a view by its image's path), never by how
//! often something was drawn before: so a run that goes on from a checkpoint needs no state of any generator.

mod cache;
mod checkpoint;
mod head;
mod loss;
mod precision;
mod schedule;
mod source;
mod trainer;
mod trunk;
mod views;

pub use crate::engine::trainable::{Optimiser, Rule};
pub use cache::{Cache, CacheError, CacheWriter};
pub use checkpoint::{CheckpointError, checkpoint_position};
pub use head::{HeadPass, TrainableHead};
pub use loss::CrossEntropy;
pub use precision::{Precision, UnknownPrecision};
pub use schedule::{Decay, Schedule};
pub use source::{Cached, CachedViews, Maps, Recomputed, Source, SourceError};
pub use trainer::{Ending, Observer, Position, Rows, Snapshot, TrainError, Trainer, TrainingParams};
pub use trunk::{Record, Trunk};
pub use views::{Item, Views};
