//! How much memory training will take, told before the first step.
//!
//! A guess, but an honest one: of each trained number its value, gradient, what the optimiser keeps, and the best epoch's; of each
//! activation past the border itself, what batch norm and ReLU need of it on the way back, and its gradient.

use std::fs;

use anyhow::Result;

use super::boundary::shown;
use super::job::Job;
use crate::commands::console::Console;
use crate::counts::count;
use crate::engine::trainable::Trainable;
use crate::inception::INPUT_SIDE;

/// Copies of each activation past the border that are alive on the way back.
const COPIES: usize = 3;
/// Of each trained number: value, gradient, best epoch, and one on its way to a checkpoint.
const OF_PARAMETER: usize = 4;

/// Tells the guess, and warns where there is not so much.
pub(super) fn tell(job: &Job, network: &dyn Trainable, console: Console) -> Result<()> {
    let parameters: usize = network.parameters().iter().map(|parameter| parameter.range.len()).sum();
    let shapes = job.network.shapes([INPUT_SIDE, INPUT_SIDE])?;
    let activations: usize = job.border.past().iter().map(|&node| shapes[node].iter().product::<usize>()).sum();
    let batch = job.params.batch_size.get() * (COPIES * activations + 2 * job.record.len());
    let numbers = parameters * (OF_PARAMETER + job.params.rule.state_len()) + batch;
    let bytes = (numbers * size_of::<f32>()) as u64;
    console.say(format_args!(
        "{} are trained; about {} of memory, {} of it for a batch of {}",
        count(parameters, "number of the network", "numbers of the network"),
        shown(bytes),
        shown((batch * size_of::<f32>()) as u64),
        job.params.batch_size
    ));
    if let Some(available) = available().filter(|&available| available < bytes && job.hardware.device().is_cpu()) {
        console.say(format_args!(
            "warning: only {} of memory are free. A smaller --batch-size with a larger --accumulate is the same training in less, and so \
             is a later --freeze of fewer numbers",
            shown(available)
        ));
    }
    Ok(())
}

/// Memory that can be had without swapping, where the system tells.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
