//! Room that one piece of a step after the other uses; it grows to what the largest needs.

use super::super::memory::Memory;

/// Room for the gradient of a kernel.
pub struct Workspace {
    /// The inputs, in panels.
    pub inputs: Room,
    /// The gradients of the outputs, in panels.
    pub gradients: Room,
}

/// Memory that grows.
pub struct Room(Memory);

impl Workspace {
    pub fn new() -> Self {
        let empty = || Room(Memory::zeroed(0));
        Self { inputs: empty(), gradients: empty() }
    }
}

impl Room {
    /// So many numbers, of any value.
    pub fn of(&mut self, len: usize) -> &mut [f32] {
        if self.0.len() < len {
            self.0 = Memory::zeroed(len);
        }
        &mut self.0[..len]
    }
}
