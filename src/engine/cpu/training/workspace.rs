//! What one piece of a step after the other uses: room, which grows to what the largest needs, and the clock.

use super::super::memory::Memory;
use super::clock::Clock;

/// Room for the gradients of one layer, and the clock of all.
pub struct Workspace {
    pub panels: Panels,
    pub clock: Clock,
}

/// Room for the gradient of a kernel.
pub struct Panels {
    /// The inputs, in panels.
    pub inputs: Room,
    /// The gradients of the outputs, in panels.
    pub gradients: Room,
}

/// Memory that grows.
pub struct Room(Memory);

impl Workspace {
    pub fn new() -> Self {
        Self { panels: Panels::new(), clock: Clock::new() }
    }
}

impl Panels {
    pub fn new() -> Self {
        Self { inputs: Room::new(), gradients: Room::new() }
    }
}

impl Room {
    pub fn new() -> Self {
        Self(Memory::zeroed(0))
    }

    /// So many numbers, of any value.
    pub fn of(&mut self, len: usize) -> &mut [f32] {
        if self.0.len() < len {
            self.0 = Memory::zeroed(len);
        }
        &mut self.0[..len]
    }
}
