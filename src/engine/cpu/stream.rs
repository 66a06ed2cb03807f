//! Stores past the caches, for numbers that are written now and read much later.
//!
//! An ordinary store first fetches the line that it writes to, and then throws out another one for it. All weights of a network are
//! laid out before the first of them is read again, so that neither is of use.
#![expect(unsafe_code, reason = "an instruction that has no other name")]

/// Numbers in a cache line.
const LINE: usize = 16;

/// Writes so many numbers to the beginning of `to`. Before another thread may read them, [`fence`].
#[inline(always)]
#[expect(clippy::inline_always, reason = "a loop's innermost line")]
pub fn store<const LANES: usize>(to: &mut [f32], numbers: &[f32; LANES]) {
    let to = &mut to[..LANES];
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_loadu_ps, _mm_stream_ps};
        const FOUR: usize = 4;
        if LANES.is_multiple_of(FOUR) && to.as_ptr().addr().is_multiple_of(size_of::<[f32; FOUR]>()) {
            for at in (0..LANES).step_by(FOUR) {
                // SAFETY: four numbers of each, aligned where they go; every x86-64 has both instructions.
                unsafe { _mm_stream_ps(to.as_mut_ptr().add(at), _mm_loadu_ps(numbers.as_ptr().add(at))) }
            }
            return;
        }
    }
    to.copy_from_slice(numbers);
}

/// Has so many numbers fetched, as far as the second cache, for whoever reads or changes them soon.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
pub fn prefetch(numbers: *const f32, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..len).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: every x86-64 has it, and it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(numbers.wrapping_add(at).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (numbers, len, LINE);
}

/// Whatever this thread stored is seen by those that see what it does next.
#[inline]
pub fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has it.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}
