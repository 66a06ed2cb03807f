//! The operations of the network on channels-last maps, put together from those whose gradient candle knows.
//!
//! candle 0.11 refuses the gradient of overlapping pools, pads both axes of a convolution alike, and takes the remainder that a
//! stride leaves from one axis for both. What it differentiates well is narrowing, concatenation and the matrix product. So
//! whatever has a window is made of what each tap of the window sees, a map the size of the result:
//!
//! ```text
//!                    tap (0,0) ─▶ [batch, rows, columns, channels] ─╮   convolution: side by side, times the kernel
//! maps ─▶ padded ─▶  tap (0,1) ─▶ [batch, rows, columns, channels] ─┼─▶ average pool: their sum
//!                    ...                                           ─╯   max pool: the first of the largest
//! ```
//!
//! Maps are `[batch, height, width, channels]`, of one floating-point type, on any device.

use candle_core::{Result, Tensor, bail};

use crate::inception::{Convolution, Window};

/// The convolution with a kernel `[out, in, height, width]`, without bias: a product of what each place sees, gathered in rows.
///
/// # Errors
/// Those of candle: a window that does not fit, channels that do not agree.
pub fn convolution(maps: &Tensor, kernel: &Tensor, window: &Window) -> Result<Tensor> {
    let (out_channels, in_channels, height, width) = kernel.dims4()?;
    let taps = taps(maps, window, 0.0)?;
    let (batch, rows, columns, _) = taps[0].dims4()?;
    let length = in_channels * height * width;
    let seen = Tensor::cat(&taps, 3)?.reshape((batch * rows * columns, length))?;
    let kernel = kernel.permute((2, 3, 1, 0))?.reshape((length, out_channels))?;
    seen.matmul(&kernel)?.reshape((batch, rows, columns, out_channels))
}

/// The largest value of each window; padding is never the largest. Of equal ones the first, row by row, gets all of the gradient, as
/// in PyTorch.
///
/// # Errors
/// Those of candle: a window that does not fit.
pub fn max_pool(maps: &Tensor, window: &Window) -> Result<Tensor> {
    let taps = taps(maps, window, f64::NEG_INFINITY)?;
    let (first, others) = taps.split_at(1);
    others.iter().try_fold(first[0].contiguous()?, |largest, tap| {
        let tap = tap.contiguous()?;
        tap.gt(&largest)?.where_cond(&tap, &largest)
    })
}

/// The mean of each window, with its padding counted as zeros or not at all.
///
/// # Errors
/// Those of candle: a window that does not fit.
pub fn average_pool(maps: &Tensor, window: &Window, counts_padding: bool) -> Result<Tensor> {
    let taps = taps(maps, window, 0.0)?;
    let (first, others) = taps.split_at(1);
    let sum = others.iter().try_fold(first[0].clone(), |sum, tap| sum + tap)?;
    let (_, rows, columns, _) = sum.dims4()?;
    let (_, height, width, _) = maps.dims4()?;
    let counted = |axis: usize, place: usize, size: usize| {
        let begin = place * window.stride;
        let within = |tap: &usize| (window.padding[axis]..window.padding[axis] + size).contains(&(begin + tap));
        if counts_padding { window.kernel[axis] } else { (0..window.kernel[axis]).filter(within).count() }
    };
    let shares = (0..rows * columns).map(|at| {
        let [row, column] = [at / columns, at % columns];
        1.0 / (counted(0, row, height) * counted(1, column, width)) as f64
    });
    let shares = Tensor::from_iter(shares, &candle_core::Device::Cpu)?.reshape((1, rows, columns, 1))?;
    sum.broadcast_mul(&shares.to_dtype(maps.dtype())?.to_device(maps.device())?)
}

/// The mean of each channel: `[batch, channels]`.
///
/// # Errors
/// Those of candle.
pub fn global_average(maps: &Tensor) -> Result<Tensor> {
    maps.flatten(1, 2)?.mean(1)
}

/// `max(0, x)`, with gradient 0 at 0, as PyTorch has it; candle's own has 1 there.
///
/// # Errors
/// Those of candle.
pub fn relu(maps: &Tensor) -> Result<Tensor> {
    let positive = maps.gt(0.0)?.to_dtype(maps.dtype())?;
    maps * positive
}

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta` by channel; all vectors are `[channels]`, and no gamma is one.
///
/// # Errors
/// Those of candle.
pub fn batch_norm(
    maps: &Tensor,
    [mean, variance]: [&Tensor; 2],
    gamma: Option<&Tensor>,
    beta: &Tensor,
) -> Result<Tensor> {
    let deviation = (variance + Convolution::EPSILON)?.sqrt()?;
    let normalised = maps.broadcast_sub(mean)?.broadcast_div(&deviation)?;
    let scaled = gamma.map_or(Ok(normalised.clone()), |gamma| normalised.broadcast_mul(gamma))?;
    scaled.broadcast_add(beta)
}

/// Mean and biased variance of each channel over the batch and all places, `[channels]` each.
///
/// # Errors
/// Those of candle.
pub fn batch_statistics(maps: &Tensor) -> Result<[Tensor; 2]> {
    let rows = maps.flatten(0, 2)?;
    let mean = rows.mean(0)?;
    let variance = rows.broadcast_sub(&mean)?.sqr()?.mean(0)?;
    Ok([mean, variance])
}

/// What each tap of a window sees, row by row, over maps padded with a number: `[batch, rows, columns, channels]` each.
fn taps(maps: &Tensor, window: &Window, padding: f64) -> Result<Vec<Tensor>> {
    let (_, height, width, _) = maps.dims4()?;
    let Some([rows, columns]) = window.places([height, width]) else {
        bail!("a window of {:?} over maps of {height}x{width}", window.kernel)
    };
    // A stride's places are cut from runs as long as the stride; the last run may end past the map, but only its first is read.
    let beyond = window.stride - 1;
    let [vertical, horizontal] = window.padding;
    let maps = pad(maps, 1, [vertical, vertical + beyond], padding)?;
    let maps = pad(&maps, 2, [horizontal, horizontal + beyond], padding)?;
    let mut taps = Vec::with_capacity(window.kernel[0] * window.kernel[1]);
    for row in 0..window.kernel[0] {
        let maps = every(&maps, 1, row, rows, window.stride)?;
        for column in 0..window.kernel[1] {
            taps.push(every(&maps, 2, column, columns, window.stride)?);
        }
    }
    Ok(taps)
}

/// So many places along an axis, from one on, a stride apart.
fn every(maps: &Tensor, axis: usize, from: usize, places: usize, stride: usize) -> Result<Tensor> {
    let runs = maps.narrow(axis, from, places * stride)?;
    if stride == 1 {
        return Ok(runs);
    }
    let mut shape = runs.dims().to_vec();
    shape.splice(axis..=axis, [places, stride]);
    runs.reshape(shape)?.narrow(axis + 1, 0, 1)?.squeeze(axis + 1)
}

fn pad(maps: &Tensor, axis: usize, [before, after]: [usize; 2], number: f64) -> Result<Tensor> {
    let border = |places: usize| {
        let mut shape = maps.dims().to_vec();
        shape[axis] = places;
        Tensor::zeros(shape, maps.dtype(), maps.device())? + number
    };
    match (before, after) {
        (0, 0) => Ok(maps.clone()),
        (0, after) => Tensor::cat(&[maps, &border(after)?], axis),
        (before, 0) => Tensor::cat(&[&border(before)?, maps], axis),
        (before, after) => Tensor::cat(&[&border(before)?, maps, &border(after)?], axis),
    }
}
