//! What treats each pixel alike, channel by channel: the mask of a ReLU, sums over pixels, batch norm.
//!
//! Sums run over so many pixels at a time, and then over those sums, in float64: the bits do not depend on the threads.
#![expect(unsafe_code, reason = "follows the pointers of maps")]

use super::super::map::Map;
use super::workers::{Shared, Workers};
use crate::vectorised::vectorised;

/// Pixels of a block.
const BLOCK: usize = 64;

/// Pixels of a map.
pub const fn count(map: &Map) -> usize {
    map.images * map.pixels()
}

/// The channels of a pixel among those of all images.
///
/// # Safety
/// The map is memory that lives, and nobody writes that pixel meanwhile.
pub unsafe fn channels<'a>(map: &Map, pixel: usize) -> &'a [f32] {
    let [image, y, x] = map.position(pixel);
    // SAFETY: a pixel has so many channels; the caller's promise.
    unsafe { std::slice::from_raw_parts(map.at(image, y, x), map.channels) }
}

/// The same for writing.
///
/// # Safety
/// The map is memory that lives, and nobody else has that pixel meanwhile.
pub unsafe fn channels_mut<'a>(map: &Map, pixel: usize) -> &'a mut [f32] {
    let [image, y, x] = map.position(pixel);
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts_mut(map.at(image, y, x), map.channels) }
}

/// Calls `work`, which is to be `#[inline(always)]`, with each pixel, on all threads.
pub fn each(workers: &Workers, map: &Map, work: impl Fn(usize) + Sync) {
    let pixels = count(map);
    workers.each(pixels.div_ceil(BLOCK), |_, block| {
        vectorised(
            #[inline(always)]
            || {
                for pixel in block * BLOCK..pixels.min((block + 1) * BLOCK) {
                    work(pixel);
                }
            },
        );
    });
}

/// Sums over all pixels: `work` adds those of one pixel to `[sums]`.
pub fn sums(workers: &Workers, map: &Map, sums: usize, work: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f64> {
    let pixels = count(map);
    let blocks = pixels.div_ceil(BLOCK);
    let mut parts = vec![0.0_f32; blocks * sums];
    let shared = Shared::new(parts.as_mut_ptr());
    workers.each(blocks, |_, block| {
        // SAFETY: a block's own sums.
        let part = unsafe { std::slice::from_raw_parts_mut(shared.at(block * sums), sums) };
        vectorised(
            #[inline(always)]
            || {
                for pixel in block * BLOCK..pixels.min((block + 1) * BLOCK) {
                    work(pixel, part);
                }
            },
        );
    });
    let mut totals = vec![0.0_f64; sums];
    for part in parts.chunks_exact(sums.max(1)) {
        totals.iter_mut().zip(part).for_each(|(total, part)| *total += f64::from(*part));
    }
    totals
}

/// Where the output is not above zero its gradient becomes zero; the sum of what is left, by channel.
///
/// # Safety
/// Both maps are memory that lives, of one shape; nobody else has the gradient meanwhile.
pub unsafe fn mask(workers: &Workers, output: &Map, gradient: &Map) -> Vec<f64> {
    sums(
        workers,
        output,
        output.channels,
        #[inline(always)]
        |pixel, sums| {
            // SAFETY: the caller's promise; each pixel is visited once.
            let (output, gradient) = unsafe { (channels(output, pixel), channels_mut(gradient, pixel)) };
            for ((sum, output), gradient) in sums.iter_mut().zip(output).zip(gradient) {
                *gradient = if *output > 0.0 { *gradient } else { 0.0 };
                *sum += *gradient;
            }
        },
    )
}

/// One map to another.
///
/// # Safety
/// As [`mask`].
pub unsafe fn copy(workers: &Workers, from: &Map, to: &Map) {
    each(workers, from, |pixel| {
        // SAFETY: the caller's promise.
        unsafe { channels_mut(to, pixel).copy_from_slice(channels(from, pixel)) }
    });
}
