//! What a thread needs beside the activations, and gives to the next layer.

use super::memory::Memory;

/// Room that a layer may use as it likes, a thread its own.
pub struct Scratch {
    /// Pixels or values of the inputs.
    pub inputs: Vec<*const f32>,
    /// Pixels of the outputs.
    pub outputs: Vec<*mut f32>,
    /// What sums are multiplied by.
    pub scales: Vec<f32>,
    /// Numbers at the points, before and after the product.
    pub values: Memory,
    /// Where what nobody looks at is written.
    pub nowhere: Memory,
}

// SAFETY: the pointers are written before they are followed, within one block of one layer, on one thread.
#[expect(unsafe_code, reason = "pointers are not Send, and a scratch goes from thread to thread between blocks")]
unsafe impl Send for Scratch {}

impl Scratch {
    /// Room for layers that ask for so many values and channels at most.
    pub fn new(values: usize, channels: usize) -> Self {
        Self {
            inputs: Vec::new(),
            outputs: Vec::new(),
            scales: Vec::new(),
            values: Memory::zeroed(values),
            nowhere: Memory::zeroed(channels),
        }
    }
}
