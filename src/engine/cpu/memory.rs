//! Large pieces of memory for floats: aligned to cache lines, on huge pages where the system has them.
#![expect(unsafe_code, reason = "a memory map seen as floats")]

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Numbers in a cache line.
const LINE: usize = 16;
/// Bytes of a huge page; smaller pieces have nothing of it.
const HUGE: usize = 2 << 20;

/// Floats, zero at first.
pub struct Memory {
    numbers: Numbers,
    len: usize,
}

enum Numbers {
    /// Where a map would be a waste, or cannot be had.
    Lines(Vec<Line>),
    Map(MmapMut),
}

#[derive(Clone)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "read as a slice of floats")] [f32; LINE]);

impl Memory {
    /// So many zeros.
    pub fn zeroed(len: usize) -> Self {
        let bytes = len * size_of::<f32>();
        let map = if bytes < HUGE { None } else { MmapMut::map_anon(bytes).ok() };
        let numbers = match map {
            Some(map) => {
                // Fewer page faults, fewer misses of the translation; where the system refuses, it is only slower.
                #[cfg(target_os = "linux")]
                drop(map.advise(memmap2::Advice::HugePage));
                Numbers::Map(map)
            }
            None => Numbers::Lines(vec![Line([0.0; LINE]); len.div_ceil(LINE)]),
        };
        Self { numbers, len }
    }
}

impl Deref for Memory {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let data = match &self.numbers {
            Numbers::Lines(lines) => lines.as_ptr().cast(),
            Numbers::Map(map) => map.as_ptr().cast(),
        };
        // SAFETY: both hold at least `len` floats, aligned (pages are), and any bits are floats.
        unsafe { std::slice::from_raw_parts(data, self.len) }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [f32] {
        let data = match &mut self.numbers {
            Numbers::Lines(lines) => lines.as_mut_ptr().cast(),
            Numbers::Map(map) => map.as_mut_ptr().cast(),
        };
        // SAFETY: as above, and borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(data, self.len) }
    }
}
