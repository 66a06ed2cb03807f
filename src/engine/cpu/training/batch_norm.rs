//! Batch norm by the statistics of the batch, and its way back.
//!
//! ```text
//! z ─▶ x = (z - mean) / deviation ─▶ y = max(0, gamma x + beta)
//!
//! dbeta = sum d     dgamma = sum d x     dz = gamma / deviation (d - mean(d) - x mean(d x))       where d = dy where y > 0
//! ```
#![expect(unsafe_code, reason = "follows the pointers of maps")]

use super::super::map::Map;
use super::pixels::{self, channels, channels_mut};
use super::workers::Workers;
use crate::inception::Convolution;

/// Mean and 1 / deviation by channel, as the pixels need them, and the biased variance.
pub struct Statistics {
    pub mean: Vec<f32>,
    pub reciprocal: Vec<f32>,
    pub variance: Vec<f64>,
}

/// Of all pixels of a map.
///
/// # Safety
/// The map is memory that lives, and nobody writes it meanwhile.
pub unsafe fn statistics(workers: &Workers, map: &Map) -> Statistics {
    let pixels = pixels::count(map) as f64;
    let sums = pixels::sums(workers, map, map.channels, |pixel, sums| {
        // SAFETY: the caller's promise.
        let numbers = unsafe { channels(map, pixel) };
        sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
    });
    let mean: Vec<f32> = sums.iter().map(|sum| (sum / pixels) as f32).collect();
    let sums = pixels::sums(workers, map, map.channels, |pixel, sums| {
        // SAFETY: as above.
        let numbers = unsafe { channels(map, pixel) };
        for ((sum, number), mean) in sums.iter_mut().zip(numbers).zip(&mean) {
            *sum += (number - mean) * (number - mean);
        }
    });
    let variance: Vec<f64> = sums.iter().map(|sum| sum / pixels).collect();
    let reciprocal = variance.iter().map(|variance| (variance + Convolution::EPSILON).sqrt().recip() as f32).collect();
    Statistics { mean, reciprocal, variance }
}

/// y of z, by a factor and a shift of each channel.
///
/// # Safety
/// As [`pixels::mask`].
pub unsafe fn normalise(workers: &Workers, z: &Map, y: &Map, scales: &[f32], shifts: &[f32]) {
    pixels::each(workers, z, |pixel| {
        // SAFETY: the caller's promise.
        let (z, y) = unsafe { (channels(z, pixel), channels_mut(y, pixel)) };
        for (((y, z), scale), shift) in y.iter_mut().zip(z).zip(scales).zip(shifts) {
            *y = (z * scale + shift).max(0.0);
        }
    });
}

/// The gradient of y becomes that of z; dbeta and dgamma.
///
/// # Safety
/// As [`pixels::mask`].
pub unsafe fn backward(
    workers: &Workers,
    [z, y, gradient]: [&Map; 3],
    statistics: &Statistics,
    gamma: Option<&[f32]>,
) -> [Vec<f64>; 2] {
    let Statistics { mean, reciprocal, .. } = statistics;
    // SAFETY: the caller's promise.
    let by_beta = unsafe { pixels::mask(workers, y, gradient) };
    let by_gamma = pixels::sums(workers, z, z.channels, |pixel, sums| {
        // SAFETY: as above.
        let (z, gradient) = unsafe { (channels(z, pixel), channels(gradient, pixel)) };
        for (c, sum) in sums.iter_mut().enumerate() {
            *sum += gradient[c] * ((z[c] - mean[c]) * reciprocal[c]);
        }
    });
    let pixels = pixels::count(z) as f64;
    let [of_ones, of_x] =
        [&by_beta, &by_gamma].map(|sums| sums.iter().map(|sum| (sum / pixels) as f32).collect::<Vec<_>>());
    let scales: Vec<f32> =
        reciprocal.iter().enumerate().map(|(c, r)| gamma.map_or(1.0, |gamma| gamma[c]) * r).collect();
    pixels::each(workers, z, |pixel| {
        // SAFETY: as above.
        let (z, gradient) = unsafe { (channels(z, pixel), channels_mut(gradient, pixel)) };
        for (c, gradient) in gradient.iter_mut().enumerate() {
            let x = (z[c] - mean[c]) * reciprocal[c];
            *gradient = scales[c] * (*gradient - of_ones[c] - x * of_x[c]);
        }
    });
    [by_beta, by_gamma]
}
