//! The flags that say what the network runs on.

use clap::Args;

use crate::engine::{DeviceChoice, EngineChoice, Precision};

/// What the network runs on.
#[derive(Debug, Args)]
pub struct HardwareArgs {
    /// auto, cpu, cuda, cuda:N, several cards as cuda:0,1 or cuda:all, or metal
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,

    /// auto, the fastest for the device, or reference, which is slow and there to be compared with; of finetune, for the frozen
    /// layers
    #[arg(long, default_value = "auto")]
    pub engine: EngineChoice,

    /// What an NVIDIA card computes with: f32, tf32, bf16 or f16; sums and results are float32 [auto: f16, and
    /// what finetune trains bf16]. Anything else has f32
    #[arg(long, value_name = "TYPE", default_value = "auto")]
    pub precision: Precision,
}
