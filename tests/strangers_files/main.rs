//! Files from strangers: whatever the bytes, a reader gives a value or an error that names the file. It never panics, and
//! allocates nothing that is longer than the file.
//!
//! ```text
//! valid files ─▶ mutations, seeded ─▶ EmbeddingsFile::open, Head::read, ModelFile::read, Weights::from_file, StatisticsFile::read ─▶ no panic, the allocations, the error's text
//! ```
//!
//! `fuzz/` asks the same of the same readers, without an end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod allocations;
mod checkpoints;
mod memory;
mod mutations;
mod onnx;
mod reading;
mod refusals;
mod statistics;
mod valid;

use allocations::Allocations;

#[global_allocator]
static MEMORY: Allocations = Allocations::new();
