//! The system's allocator, which remembers how much was held at most and how long the longest piece was.
#![allow(unsafe_code, reason = "an allocator is unsafe by its nature")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts for the whole process.
pub struct Allocations {
    held: AtomicUsize,
    peak: AtomicUsize,
    largest: AtomicUsize,
}

/// What was allocated while something ran, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// The most that was held at one time, beyond what was held before.
    pub peak: usize,
    /// The longest single allocation.
    pub largest: usize,
}

impl Allocations {
    pub const fn new() -> Self {
        Self { held: AtomicUsize::new(0), peak: AtomicUsize::new(0), largest: AtomicUsize::new(0) }
    }

    /// What `run` gives, and what it took.
    pub fn during<T>(&self, run: impl FnOnce() -> T) -> (T, Taken) {
        let before = self.held.load(Relaxed);
        self.peak.store(before, Relaxed);
        self.largest.store(0, Relaxed);
        let value = run();
        (value, Taken { peak: self.peak.load(Relaxed).saturating_sub(before), largest: self.largest.load(Relaxed) })
    }

    fn count(&self, len: usize) {
        let held = self.held.fetch_add(len, Relaxed) + len;
        self.peak.fetch_max(held, Relaxed);
        self.largest.fetch_max(len, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came; only the counts are ours, and they allocate nothing. What
// `realloc` and `alloc_zeroed` are by default goes through these two.
unsafe impl GlobalAlloc for Allocations {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(layout.size());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.held.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `pointer` came from `alloc` above, which is the system's, with this `layout`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
