//! Where the time of a step goes, for whoever looks for it.

use std::time::{Duration, Instant};

/// What a step is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Laying out weights.
    Weights,
    /// Convolutions and pools, forward.
    Forward,
    /// Masks, batch norms, and their sums.
    Mask,
    /// Pools, on the way back.
    Pools,
    /// Gradients by inputs.
    ByInput,
    /// Gradients by kernels.
    ByKernel,
}

impl Phase {
    /// Every one.
    pub const ALL: [Self; 6] = [Self::Weights, Self::Forward, Self::Mask, Self::Pools, Self::ByInput, Self::ByKernel];
}

/// Adds up the time of each phase.
pub struct Clock {
    times: [Duration; Phase::ALL.len()],
    since: Instant,
}

impl Clock {
    pub fn new() -> Self {
        Self { times: Default::default(), since: Instant::now() }
    }

    pub fn start(&mut self) {
        self.since = Instant::now();
    }

    /// The time since the start, or the last stop, was this phase's.
    pub fn stop(&mut self, phase: Phase) {
        let now = Instant::now();
        self.times[phase as usize] += now - self.since;
        self.since = now;
    }

    /// The times, which then begin anew.
    pub fn take(&mut self) -> [(Phase, Duration); Phase::ALL.len()] {
        let times = std::mem::take(&mut self.times);
        Phase::ALL.map(|phase| (phase, times[phase as usize]))
    }
}
