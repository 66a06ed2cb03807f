//! What the network runs on: devices, engine and precision, opened as the flags say, and how that is told.

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::Result;
use candle_core::Device;

use super::console::Console;
use crate::cli::HardwareArgs;
use crate::counts::count;
use crate::engine::{Engine, EngineChoice, Opened, Precision, device_name};
use crate::inception::Network;
use crate::weights::Weights;

/// Images that go through an NVIDIA card at a time: enough for the deepest layers, whose maps are 8x8, to fill it.
const OF_CARD: usize = 256;
/// Likewise where each operation of the reference engine keeps its own result.
const OF_REFERENCE: usize = 32;

/// Devices, open, and how they are used.
pub(super) struct Hardware {
    /// One or more, all of one kind.
    devices: Vec<Device>,
    engine: EngineChoice,
    /// What `auto` came to.
    precision: Precision,
}

impl Hardware {
    /// [`Self::kind`] of the CPU, and of rows that no network has to make.
    pub(super) const CPU: &'static str = "cpu";

    /// Opens what the flags ask for. Where `auto` passes a card over that this binary could use, one line says why.
    pub(super) fn open(args: &HardwareArgs, console: Console) -> Result<Self> {
        let Opened { devices, passed_over } = args.device.open()?;
        if let Some(reason) = passed_over {
            console.say(format_args!("on the CPU: {}", reason.shortly()));
        }
        let precision = args.precision.on(&devices[0], args.engine)?;
        Ok(Self { devices, engine: args.engine, precision })
    }

    /// Prepares a network, or a part of one.
    pub(super) fn engine(&self, network: Network, weights: &Weights) -> Result<Arc<dyn Engine>> {
        Ok(self.engine.open(network, weights, &self.devices, self.precision)?)
    }

    pub(super) const fn engine_choice(&self) -> EngineChoice {
        self.engine
    }

    pub(super) fn devices(&self) -> &[Device] {
        &self.devices
    }

    pub(super) const fn precision(&self) -> Precision {
        self.precision
    }

    /// The first of the devices: where what is not shared out is done.
    pub(super) fn device(&self) -> &Device {
        &self.devices[0]
    }

    /// What stands for it in a journal's description: all that may change the bits of a row but not the rows as such.
    pub(super) fn kind(&self) -> String {
        match self.device() {
            Device::Cpu => Self::CPU.to_owned(),
            Device::Cuda(_) => format!("cuda, {}", self.precision),
            Device::Metal(_) => "metal".to_owned(),
        }
    }

    /// Images that go through the whole network, or its frozen part, at a time: `--batch-size`, or what suits the device.
    pub(super) fn batch_size(&self, asked: Option<NonZeroUsize>) -> usize {
        let fitting = || match (self.device(), self.engine) {
            (Device::Cpu, _) => (8 * rayon::current_num_threads()).clamp(8, 128),
            (Device::Cuda(_), EngineChoice::Auto) => OF_CARD,
            (Device::Cuda(_) | Device::Metal(_), _) => OF_REFERENCE,
        };
        asked.map_or_else(fitting, NonZeroUsize::get)
    }

    /// `2 threads`, `cuda:0 (NVIDIA H100, float16)`.
    fn shown(&self) -> String {
        if self.device().is_cpu() {
            return count(rayon::current_num_threads(), "thread", "threads");
        }
        let names: Vec<String> = self.devices.iter().map(device_name).collect();
        let precision = self.precision.long_name();
        match names.as_slice() {
            [name] => match name.strip_suffix(')') {
                Some(name) => format!("{name}, {precision})"),
                None => format!("{name} ({precision})"),
            },
            names => format!("{}, {precision}", names.join(" and ")),
        }
    }

    /// `Inception-v3 tf2015 on 2 threads, 8 at a time`, or `onnx:features on ...`.
    pub(super) fn network_shown(&self, variant: &str, batch_size: usize) -> String {
        // Only the name of a network of the description is a single word.
        let network = if variant.contains(':') { variant.to_owned() } else { format!("Inception-v3 {variant}") };
        format!("{network} on {}, {batch_size} at a time", self.shown())
    }
}
