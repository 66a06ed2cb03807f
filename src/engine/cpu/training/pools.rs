//! The way back through pools.
//!
//! A mean gives each pixel of its window the same share; a maximum all to the first of the largest, row by row, as PyTorch does. The
//! mean's is gathered pixel by pixel; the maximum's is scattered, image by image and some channels at a time, so that no two threads
//! meet.
#![expect(unsafe_code, reason = "follows the pointers of maps")]

use super::super::map::Map;
use super::pixels::{self, channels, channels_mut};
use super::workers::Workers;
use crate::inception::Window;
use crate::vectorised::vectorised;

/// Channels at a time.
const STRIP: usize = 64;

/// Of the means of windows; where `accumulate`, what is there is added to.
///
/// # Safety
/// Both maps are memory that lives, of the window's shapes; nobody else has the inputs' gradient meanwhile.
pub unsafe fn average(
    workers: &Workers,
    window: &Window,
    counts_padding: bool,
    [by_output, by_input]: [&Map; 2],
    accumulate: bool,
) {
    let counted = |place: usize, axis: usize| {
        let begin = place * window.stride;
        let inside =
            |tap: &usize| (window.padding[axis]..window.padding[axis] + by_input.size[axis]).contains(&(begin + tap));
        if counts_padding { window.kernel[axis] } else { (0..window.kernel[axis]).filter(inside).count() }
    };
    // Which places along an axis see a pixel.
    let places = |at: usize, axis: usize| {
        let reach = at + window.padding[axis];
        let last = (reach / window.stride + 1).min(by_output.size[axis]);
        (reach + 1).saturating_sub(window.kernel[axis]).div_ceil(window.stride)..last
    };
    pixels::each(
        workers,
        by_input,
        #[inline(always)]
        |pixel| {
            let [image, y, x] = by_input.position(pixel);
            // SAFETY: the caller's promise; each pixel is visited once.
            let to = unsafe { channels_mut(by_input, pixel) };
            if !accumulate {
                to.fill(0.0);
            }
            for row in places(y, 0) {
                for column in places(x, 1) {
                    let share = 1.0 / (counted(row, 0) * counted(column, 1)) as f32;
                    let place = image * by_output.pixels() + row * by_output.size[1] + column;
                    // SAFETY: as above.
                    let from = unsafe { channels(by_output, place) };
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += share * from);
                }
            }
        },
    );
}

/// Of the maxima of windows of these inputs; where `accumulate`, what is there is added to.
///
/// # Safety
/// As [`average`].
pub unsafe fn maximum(
    workers: &Workers,
    window: &Window,
    input: &Map,
    [by_output, by_input]: [&Map; 2],
    accumulate: bool,
) {
    let strips = input.channels.div_ceil(STRIP);
    workers.each(input.images * strips, |_, block| {
        let (image, first) = (block / strips, block % strips * STRIP);
        let strip = STRIP.min(input.channels - first);
        vectorised(
            #[inline(always)]
            // SAFETY: the caller's promise; blocks are different images or channels.
            || unsafe {
                if !accumulate {
                    for pixel in 0..by_input.pixels() {
                        channels_mut(by_input, image * by_input.pixels() + pixel)[first..first + strip].fill(0.0);
                    }
                }
                for place in 0..by_output.pixels() {
                    let gradient = &channels(by_output, image * by_output.pixels() + place)[first..first + strip];
                    of_maximum(window, image, [place, first], gradient, [input, by_input]);
                }
            },
        );
    });
}

/// Gives the gradient of one place, from one channel on, to the first of the largest.
///
/// # Safety
/// As [`average`].
#[inline(always)]
#[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]
unsafe fn of_maximum(
    window: &Window,
    image: usize,
    [place, first]: [usize; 2],
    gradient: &[f32],
    [input, by_input]: [&Map; 2],
) {
    let across = (input.size[1] + 2 * window.padding[1] - window.kernel[1]) / window.stride + 1;
    let [top, left] = [place / across, place % across].map(|at| at * window.stride);
    let taps = (0..window.kernel[0] * window.kernel[1])
        .map(|tap| [top + tap / window.kernel[1], left + tap % window.kernel[1]]);
    let (mut largest, mut which) = ([f32::NEG_INFINITY; STRIP], [0_u32; STRIP]);
    // As long as the rest, so that the compiler sees it and does not look at every channel.
    let (largest, which) = (&mut largest[..gradient.len()], &mut which[..gradient.len()]);
    let mut seen = 0;
    for [y, x] in taps.clone() {
        let Some(from) = input.tap(image, y, x, window.padding) else { continue };
        seen += 1;
        // SAFETY: a pixel of the input.
        let from = unsafe { std::slice::from_raw_parts(from.add(first), gradient.len()) };
        let is_first = seen == 1;
        for ((from, largest), which) in from.iter().zip(largest.iter_mut()).zip(which.iter_mut()) {
            let is_larger = is_first || *from > *largest;
            *largest = if is_larger { *from } else { *largest };
            *which = if is_larger { seen } else { *which };
        }
    }
    let mut seen = 0;
    for [y, x] in taps {
        let Some(to) = by_input.tap(image, y, x, window.padding) else { continue };
        seen += 1;
        // SAFETY: a pixel of the gradient, and nobody else's.
        let to = unsafe { std::slice::from_raw_parts_mut(to.add(first), gradient.len()) };
        for ((to, gradient), which) in to.iter_mut().zip(gradient).zip(which.iter()) {
            *to += if *which == seen { *gradient } else { 0.0 };
        }
    }
}

/// Of the mean of each channel; where `accumulate`, what is there is added to.
///
/// # Safety
/// As [`average`].
pub unsafe fn global_average(workers: &Workers, [by_output, by_input]: [&Map; 2], accumulate: bool) {
    let share = 1.0 / by_input.pixels() as f32;
    pixels::each(
        workers,
        by_input,
        #[inline(always)]
        |pixel| {
            // SAFETY: the caller's promise.
            let (from, to) = unsafe { (channels(by_output, pixel / by_input.pixels()), channels_mut(by_input, pixel)) };
            for (to, from) in to.iter_mut().zip(from) {
                *to = if accumulate { *to } else { 0.0 } + share * from;
            }
        },
    );
}
