//! Files from strangers: whatever the bytes, a reader gives a value or an error that names the file. It never panics, and
//! never takes more memory than the file's length bears out.
//!
//! ```text
//! valid files ─▶ mutations, seeded ─▶ EmbeddingsFile::open, Head::read ─▶ no panic, peak of memory, the error's text
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

mod memory;
mod mutations;
mod reading;
mod refusals;
mod valid;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;
