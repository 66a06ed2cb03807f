//! What lies between the graph's input and the first convolution: a change of range, by channel.
//!
//! The networks here see 2 v / 255 - 1 of a value v from 0 to 255, and the presets give them that. A graph may begin with the way from
//! another range to this one: torchvision's `transform_input` comes from ImageNet's mean and deviation. Such a beginning is left
//! out, as the preset does both at once. If it leads anywhere else, nobody can tell what the graph is to be given.

use super::OnnxError;
use super::trace::{Op, StepId, Trace};
use super::unit::affine_of;

/// A channel of the network's input: `scale` times a channel of the graph's, plus `shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Channel {
    source: usize,
    scale: f64,
    shift: f64,
}

/// What v / 255 is multiplied by, and what is added, in what graphs are given, by channel.
const RANGES: [([f64; 3], [f64; 3]); 4] = [
    // -1 to 1: the graph begins with the network.
    ([2.0; 3], [-1.0; 3]),
    // 0 to 1.
    ([1.0; 3], [0.0; 3]),
    // 0 to 255.
    ([255.0; 3], [0.0; 3]),
    // ImageNet's mean and deviation.
    ([1.0 / 0.229, 1.0 / 0.224, 1.0 / 0.225], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]),
];

/// What v / 255 is multiplied by in the networks' own range: -1 to 1, or (v - 128) / 128 of 2015, a part in 255 less.
const NETWORK: [f64; 2] = [2.0, 255.0 / 128.0];

/// How far the range that a beginning leads to may be from the right one: constants are rounded to float32.
const CLOSE: f64 = 2e-6;

/// Refuses a beginning of the graph, up to `first`, that leads from no known range to the network's.
pub(super) fn require_known(trace: &Trace<'_>, first: StepId) -> Result<(), OnnxError> {
    let range = || OnnxError::Range(trace.shown(trace.steps[first].node));
    let channels = channels(trace, first, MOST_STEPS).ok_or_else(range)?;
    let leads = |&(factor, offset): &([f64; 3], [f64; 3]), to: f64| {
        channels.iter().enumerate().all(|(at, channel)| {
            let (factor, offset) = (factor[at] * channel.scale, offset[at] * channel.scale + channel.shift);
            channel.source == at && (factor - to).abs() < CLOSE && (offset + 1.0).abs() < CLOSE
        })
    };
    let is_known = RANGES.iter().any(|range| NETWORK.iter().any(|&to| leads(range, to)));
    if channels.len() == 3 && is_known { Ok(()) } else { Err(range()) }
}

/// Steps between the image and the first convolution.
const MOST_STEPS: usize = 16;

/// The channels of a step as those of the image; none where they are something else.
fn channels(trace: &Trace<'_>, step: StepId, most: usize) -> Option<Vec<Channel>> {
    let made = &trace.steps[step];
    let before = |at: usize| channels(trace, made.inputs[at], most.checked_sub(1)?);
    match &made.op {
        Op::Image => Some((0..3).map(|source| Channel { source, scale: 1.0, shift: 0.0 }).collect()),
        Op::Channels(places) => {
            let before = before(0)?;
            places.iter().map(|&place| before.get(place).copied()).collect()
        }
        Op::Concat if made.inputs.len() <= 3 => {
            let parts: Option<Vec<Vec<Channel>>> = (0..made.inputs.len()).map(before).collect();
            Some(parts?.concat()).filter(|channels| channels.len() <= 3)
        }
        op => {
            let channels = before(0)?;
            let (scale, shift) = affine_of(op, channels.len())?;
            let then = |((channel, scale), shift): ((Channel, &f64), &f64)| Channel {
                source: channel.source,
                scale: channel.scale * scale,
                shift: channel.shift * scale + shift,
            };
            Some(channels.into_iter().zip(&scale).zip(&shift).map(then).collect())
        }
    }
}
