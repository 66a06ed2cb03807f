//! Opening NVIDIA cards, each question in the order in which its answer can be had.
//!
//! ```text
//! libraries ─▶ driver: for this CUDA? ─▶ cards: so many ─▶ card: able to run our programs? ─▶ a candle device, with a stream of its own
//! ```
#![expect(unsafe_code, reason = "the driver's version has no safe wrapper")]

use std::env;

use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError, sys};
use candle_core::cuda_backend::kernels;
use candle_core::{CudaDevice, Device};

use super::{Cards, DeviceError, libraries};
use crate::counts::count;
use crate::panics;

/// The least that the engine needs: bfloat16 and TF32 came with it.
const AMPERE: Capability = Capability { major: 8, minor: 0 };

/// Opens cards, a device for each time that one is named.
///
/// # Errors
/// Where one is not there, or a library, or the driver or the card is too old.
pub fn open(cards: &Cards) -> Result<Vec<Device>, DeviceError> {
    libraries::require()?;
    // A library that is there may still lack a function, and that panics.
    let opened = panics::silently(|| {
        require_driver()?;
        let there = cards_there()?;
        let all: Vec<usize> = (0..there).collect();
        let listed = match cards {
            Cards::All => &all,
            Cards::Listed(cards) => cards,
        };
        listed.iter().map(|&card| open_one(card, there)).collect()
    });
    opened.unwrap_or_else(|words| Err(DeviceError::Refused { card: format!("cuda:{cards}"), words }))
}

/// `cuda:0 (NVIDIA H100 PCIe)`.
pub fn name(card: &CudaDevice) -> String {
    let context = card.cuda_stream().context().clone();
    named(&context)
}

fn named(context: &CudaContext) -> String {
    let card = context.ordinal();
    context.name().map_or_else(|_| format!("cuda:{card}"), |name| format!("cuda:{card} ({name})"))
}

/// An older driver does not read the programs inside the binary.
fn require_driver() -> Result<(), DeviceError> {
    const NEEDS: i32 = sys::CUDA_VERSION as i32;
    let mut has = 0;
    // SAFETY: it writes one number, and may be called before anything else of the driver.
    let result = unsafe { sys::cuDriverGetVersion(&raw mut has) };
    result.result().map_err(|error| refused("CUDA", error))?;
    let shown = |version: i32| format!("{}.{}", version / 1000, version % 1000 / 10);
    if has < NEEDS { Err(DeviceError::OldDriver { has: shown(has), needs: shown(NEEDS) }) } else { Ok(()) }
}

/// How many cards there are; at least one.
fn cards_there() -> Result<usize, DeviceError> {
    let there = match CudaContext::device_count() {
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => 0,
        other => other.map_err(|error| refused("CUDA", error))?,
    };
    match usize::try_from(there) {
        Ok(there @ 1..) => Ok(there),
        _ => Err(DeviceError::NoCard { visible: visible() }),
    }
}

fn open_one(card: usize, there: usize) -> Result<Device, DeviceError> {
    if card >= there {
        let numbers = match there {
            1 => "0".to_owned(),
            2 => "0 and 1".to_owned(),
            _ => format!("0 to {}", there - 1),
        };
        let there = format!("{}, {numbers}", count(there, "card", "cards"));
        return Err(DeviceError::NoSuchCard { asked: card, there, visible: visible() });
    }
    let shown = format!("cuda:{card}");
    let context = CudaContext::new(card).map_err(|error| refused(&shown, error))?;
    let (major, minor) = context.compute_capability().map_err(|error| refused(&shown, error))?;
    require_capability(&named(&context), Capability { major, minor })?;
    Device::new_cuda_with_stream(card).map_err(|error| refused(&shown, error))
}

/// `CUDA_VISIBLE_DEVICES`.
fn visible() -> Option<String> {
    env::var("CUDA_VISIBLE_DEVICES").ok()
}

fn refused(card: &str, error: impl std::fmt::Display) -> DeviceError {
    // candle's errors may bring a backtrace.
    let words = error.to_string();
    DeviceError::Refused { card: card.to_owned(), words: words.lines().next().unwrap_or_default().to_owned() }
}

/// What a card can do, by NVIDIA's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Capability {
    major: i32,
    minor: i32,
}

fn require_capability(card: &str, has: Capability) -> Result<(), DeviceError> {
    let (built_for, or_later) = target(kernels::FILL.ptx()).unwrap_or((AMPERE, true));
    let least = built_for.max(AMPERE);
    if has == least || (has > least && or_later) {
        return Ok(());
    }
    let shown = |capability: Capability| format!("{}.{}", capability.major, capability.minor);
    let needs = if or_later { format!("{} or later", shown(least)) } else { format!("{} only", shown(least)) };
    Err(DeviceError::OtherCapability { card: card.to_owned(), has: shown(has), needs })
}

/// What a program was compiled for, by its own `.target sm_80`, and whether later cards run it: not one of `sm_90a`.
fn target(ptx: &str) -> Option<(Capability, bool)> {
    let name = ptx.lines().find_map(|line| line.trim_start().strip_prefix(".target sm_"))?;
    let name = name.split([',', ' ']).next()?.trim_end();
    let digits = name.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: i32 = digits.parse().ok()?;
    Some((Capability { major: number / 10, minor: number % 10 }, digits.len() == name.len()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_which_cards_run_it() {
        let capability = |major, minor| Capability { major, minor };
        assert_eq!(target(".version 9.0\n.target sm_80\n.address_size 64"), Some((capability(8, 0), true)));
        assert_eq!(target(".target sm_90a, texmode_independent\n"), Some((capability(9, 0), false)));
        assert_eq!(target(".target sm_120\n"), Some((capability(12, 0), true)));
        assert_eq!(target("no program"), None);
        assert!(target(kernels::FILL.ptx()).is_some(), "the programs in this binary say it");
    }

    #[test]
    fn a_card_before_ampere_is_refused_with_both_numbers() {
        let error = require_capability("cuda:0 (Tesla T4)", Capability { major: 7, minor: 5 }).unwrap_err().to_string();
        assert!(error.contains("Tesla T4") && error.contains("7.5"), "{error}");
    }
}
