//! Memory that goes from one batch to the next.

use std::sync::{Mutex, PoisonError};

/// Things that are taken when needed and put back afterwards. There are never more than were in use at once.
pub struct Shelf<T>(Mutex<Vec<T>>);

impl<T> Shelf<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Lends what was put back last, for it is warm, or a new one.
    pub fn lend<R>(&self, new: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
        let last = self.things().pop();
        let mut thing = last.unwrap_or_else(new);
        let result = work(&mut thing);
        self.things().push(thing);
        result
    }

    fn things(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
