//! What every piece of a step needs: the inner loops, zeros for padding, room for each thread.

use rayon::prelude::*;

use super::super::kernels::Kernels;
use super::super::memory::Memory;
use super::super::scratch::Scratch;
use super::super::shelf::Shelf;

/// The inner loops and who runs them.
pub struct Workers {
    pub kernels: Box<dyn Kernels>,
    /// As many as the widest map has channels, in whole panels.
    pub zeros: Memory,
    scratches: Shelf<Scratch>,
    values: usize,
}

impl Workers {
    /// For maps of so many channels at most.
    pub fn new(kernels: Box<dyn Kernels>, channels: usize) -> Self {
        let zeros = Memory::zeroed(channels.next_multiple_of(kernels.panel()));
        Self { kernels, zeros, scratches: Shelf::new(), values: 0 }
    }

    /// Sees to it that scratches have room for so many values; before the first is lent.
    pub fn reserve(&mut self, values: usize) {
        if values > self.values {
            self.values = values;
            self.scratches = Shelf::new();
        }
    }

    /// The blocks that a piece of work should come in at least, so that no thread waits long for the last of another.
    #[expect(clippy::unused_self, reason = "whose threads they are")]
    pub fn blocks(&self) -> usize {
        2 * rayon::current_num_threads()
    }

    /// Does each block, on all threads. Which thread does which changes nothing.
    pub fn each(&self, blocks: usize, work: impl Fn(&mut Scratch, usize) + Sync) {
        let new = || Scratch::new(self.values, self.zeros.len());
        (0..blocks).into_par_iter().for_each(|block| self.scratches.lend(new, |scratch| work(scratch, block)));
    }
}

/// An address that several threads write to, each elsewhere.
pub struct Shared<T = f32>(*mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

// SAFETY: it gives no access by itself; whoever follows the pointer answers for it.
#[expect(unsafe_code, reason = "pointers are not Send, and work is shared by threads")]
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "as above")]
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub const fn new(base: *mut T) -> Self {
        Self(base)
    }

    /// So many numbers further on.
    pub const fn at(&self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}
