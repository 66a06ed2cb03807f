//! Memory for floats: aligned to cache lines, on huge pages where the system has them.
//!
//! A pass over the network reads all of its weights, and each page of 4 KiB would cost a walk through the page tables and a new start of
//! the prefetcher. Most layers' weights are smaller than a huge page, so they share blocks of many.
#![expect(unsafe_code, reason = "pieces of a memory map seen as floats")]

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::MmapMut;

/// Numbers in a cache line.
const LINE: usize = 16;
/// Numbers of a block.
const BLOCK: usize = 4 << 20;
/// Numbers from which on a piece is worth a place in a block.
const LARGE: usize = 4 << 10;

/// Floats, zero at first.
pub struct Memory {
    /// Aligned to a cache line.
    data: NonNull<f32>,
    len: usize,
    /// What `data` points into, so that it stays.
    _home: Home,
}

/// Where numbers are.
enum Home {
    Lines(#[expect(dead_code, reason = "kept alive, read by pointer")] Vec<Line>),
    Block(#[expect(dead_code, reason = "as above")] Arc<MmapMut>),
}

#[derive(Clone)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "read as a slice of floats")] [f32; LINE]);

/// A block that is being filled: where its free numbers begin, and how many they are.
struct Free {
    block: Arc<MmapMut>,
    data: NonNull<f32>,
    len: usize,
}

// SAFETY: the pointer is to free numbers of the block, which nobody else has.
unsafe impl Send for Free {}
static FREE: Mutex<Option<Free>> = Mutex::new(None);

// SAFETY: a Memory's numbers are its own, as a vector's are.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// So many zeros.
    pub fn zeroed(len: usize) -> Self {
        if len >= LARGE
            && let Some(memory) = Self::of_block(len)
        {
            return memory;
        }
        let mut lines = vec![Line([0.0; LINE]); len.div_ceil(LINE)];
        let data = NonNull::new(lines.as_mut_ptr().cast()).unwrap_or(NonNull::dangling());
        Self { data, len, _home: Home::Lines(lines) }
    }

    /// Of the block that is being filled, or a new one; what is larger than a block is one of its own.
    fn of_block(len: usize) -> Option<Self> {
        let need = len.next_multiple_of(LINE);
        if need >= BLOCK {
            return Free::new(need).map(|free| Self { data: free.data, len, _home: Home::Block(free.block) });
        }
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.as_ref().is_none_or(|free| free.len < need) {
            *free = Some(Free::new(BLOCK)?);
        }
        let free = free.as_mut()?;
        let data = free.data;
        // SAFETY: as many are free.
        free.data = unsafe { data.add(need) };
        free.len -= need;
        Some(Self { data, len, _home: Home::Block(Arc::clone(&free.block)) })
    }
}

impl Free {
    /// A new block of so many numbers, all of them free; `None` where the system has none to give.
    fn new(len: usize) -> Option<Self> {
        let mut map = MmapMut::map_anon(len * size_of::<f32>()).ok()?;
        // Where the system refuses, it is only slower.
        #[cfg(target_os = "linux")]
        drop(map.advise(memmap2::Advice::HugePage));
        let data = NonNull::new(map.as_mut_ptr())?.cast();
        Some(Self { block: Arc::new(map), data, len })
    }
}

impl Deref for Memory {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: at `data` are `len` floats, aligned, its own; any bits are floats.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}
