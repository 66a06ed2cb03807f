//! `--device`: what the user asked for, opened, or a clear error; never something else in silence.
//!
//! ```text
//! cuda:0,1 ─▶ DeviceChoice ─▶ libraries: all there? ─▶ cards: driver new enough? such a card? new enough? ─▶ Opened
//! auto ───▶ the same for the first card; where it fails, the CPU, and the reason beside it
//! ```

mod cards;
mod choice;
mod error;
#[cfg(feature = "cuda")]
mod libraries;
#[cfg(feature = "cuda")]
mod nvidia;

use candle_core::Device;

pub use cards::Cards;
pub use choice::DeviceChoice;
pub use error::DeviceError;

/// Devices that the network can run on, one or more.
#[derive(Debug)]
pub struct Opened {
    /// One for each worker; several of one card share its memory.
    pub devices: Vec<Device>,
    /// Why `auto` came to the CPU, in a binary that could use a card.
    pub passed_over: Option<DeviceError>,
}

/// `cuda:0 (NVIDIA H100 PCIe)`, `Metal`, `the CPU`.
#[must_use]
pub fn device_name(device: &Device) -> String {
    match device {
        Device::Cpu => "the CPU".to_owned(),
        Device::Metal(_) => "Metal".to_owned(),
        #[cfg(feature = "cuda")]
        Device::Cuda(card) => nvidia::name(card),
        #[cfg(not(feature = "cuda"))]
        Device::Cuda(_) => "CUDA".to_owned(),
    }
}
