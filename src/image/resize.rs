//! Pillow's resampling, byte for byte.
//!
//! Checkpoints are trained and scored on pictures that Pillow made smaller, and a resize that differs by a grey level
//! here and there moves the embeddings. So this is Pillow's arithmetic, not its code: every output pixel is a weighted
//! mean of the input pixels under a kernel that widens with the reduction (antialias); weights are computed in `f64`,
//! normalised to sum to one, and rounded to 22-bit fixed point; one axis is resampled and rounded to bytes, the other
//! after it. Source of the definition: `src/libImaging/Resample.c` of Pillow 13.0.
//!
//! Which axis goes first shows in the rounding, and is part of the definition. Pillow 13 begins with the columns where
//! the height shrinks by more than twice what the width does; Pillow 2.7 to 12 always begin with the rows, and differ
//! by one grey level in some pixels of such pictures.
//!
//! ```
//! use headstock::image::resize::{Kernel, resize};
//!
//! let picture = image::RgbImage::from_pixel(640, 480, image::Rgb([10, 20, 30]));
//! let small = resize(&picture, 299, 299, Kernel::Bilinear);
//! assert_eq!(small.get_pixel(150, 150).0, [10, 20, 30]);
//! ```

use ::image::RgbImage;

use super::axis::Axis;
pub use super::taps::Kernel;
use super::taps::{Taps, columns_go_first};
use crate::vectorised::vectorised;

/// Fraction bits of a weight: eight of thirty-two go to the value, two to overshoot and sign.
const FRACTION_BITS: u32 = 32 - 8 - 2;

/// Half a grey level, so that dropping the fraction rounds to nearest.
const HALF: i32 = 1 << (FRACTION_BITS - 1);

/// The whole picture, resized to `width` x `height` as `Image.resize` of Pillow does it.
///
/// # Panics
/// When the picture has no pixels.
#[must_use]
pub fn resize(image: &RgbImage, width: u32, height: u32, kernel: Kernel) -> RgbImage {
    let x = Axis::whole(image.width() as usize, width as usize);
    let y = Axis::whole(image.height() as usize, height as usize);
    let pixels = resize_axes(image.as_raw(), &x, &y, kernel);
    #[expect(clippy::expect_used, reason = "resize_axes makes three bytes for each of width * height pixels")]
    RgbImage::from_raw(width, height, pixels).expect("three bytes a pixel were made")
}

/// The wanted part of a resized picture: RGB bytes in, `y.wanted.len()` rows of `x.wanted.len()` RGB pixels out.
///
/// # Panics
/// When `rgb` does not hold `y.input` rows of `x.input` pixels, or when there are none.
#[must_use]
pub fn resize_axes(rgb: &[u8], x: &Axis, y: &Axis, kernel: Kernel) -> Vec<u8> {
    assert_eq!(rgb.len(), x.input * y.input * 3, "the buffer has another size than the axes say");
    assert!(!rgb.is_empty(), "a picture without pixels can't be resized");
    let (columns, rows) = (fixed_point(x, kernel), fixed_point(y, kernel));
    let row_bytes = x.input * 3;
    if columns_go_first(x, y) {
        let low = blend_rows(rgb, row_bytes, &rows);
        resample_rows(&low, row_bytes, &columns)
    } else {
        let used = rows.inputs();
        let narrow = resample_rows(&rgb[used.start * row_bytes..used.end * row_bytes], row_bytes, &columns);
        blend_rows(&narrow, x.wanted.len() * 3, &rows.counted_from(used.start))
    }
}

/// Each row by itself, made narrower or wider: every output pixel is a weighted sum of neighbours in the row.
fn resample_rows(rows: &[u8], row_bytes: usize, taps: &Taps<i32>) -> Vec<u8> {
    let mut result = vec![0; rows.len() / row_bytes * taps.len() * 3];
    vectorised(
        #[inline(always)]
        || resample_rows_into(&mut result, rows, row_bytes, taps),
    );
    result
}

/// Rows that are resampled together: pixels above each other have the same weights, so that their colours fill vectors.
const TOGETHER: usize = 8;

/// Bytes of as many pixels.
const COLUMN: usize = TOGETHER * 3;

#[inline(always)]
#[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions that dispatch finds")]
fn resample_rows_into(result: &mut [u8], rows: &[u8], row_bytes: usize, taps: &Taps<i32>) {
    let result_bytes = taps.len() * 3;
    // [pixels of a row, rows, colours]
    let mut columns = vec![0; row_bytes * TOGETHER];
    for (rows, outputs) in rows.chunks(TOGETHER * row_bytes).zip(result.chunks_mut(TOGETHER * result_bytes)) {
        for (y, row) in rows.chunks_exact(row_bytes).enumerate() {
            for (column, pixel) in columns.chunks_exact_mut(COLUMN).zip(row.as_chunks::<3>().0) {
                column[y * 3..][..3].copy_from_slice(pixel);
            }
        }
        for (x, (first, weights)) in taps.iter().enumerate() {
            let mut sums = [HALF; COLUMN];
            for (column, weight) in columns[first * COLUMN..].as_chunks::<COLUMN>().0.iter().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(column) {
                    *sum += i32::from(*value) * weight;
                }
            }
            let mut bytes = [0; COLUMN];
            for (byte, sum) in bytes.iter_mut().zip(sums) {
                *byte = to_byte(sum);
            }
            for (row, pixel) in outputs.chunks_exact_mut(result_bytes).zip(bytes.as_chunks::<3>().0) {
                row[x * 3..][..3].copy_from_slice(pixel);
            }
        }
    }
}

/// The rows brought to another number of rows: every output row is a weighted sum of neighbouring rows.
fn blend_rows(rows: &[u8], row_bytes: usize, taps: &Taps<i32>) -> Vec<u8> {
    let mut result = vec![0; taps.len() * row_bytes];
    vectorised(
        #[inline(always)]
        || blend_rows_into(&mut result, rows, row_bytes, taps),
    );
    result
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "as above")]
fn blend_rows_into(result: &mut [u8], rows: &[u8], row_bytes: usize, taps: &Taps<i32>) {
    const LANES: usize = 32;
    for (output, (first, weights)) in result.chunks_exact_mut(row_bytes).zip(taps.iter()) {
        let inputs = &rows[first * row_bytes..];
        let (whole, rest) = output.as_chunks_mut::<LANES>();
        let rest_at = whole.len() * LANES;
        for (chunk, values) in whole.iter_mut().enumerate() {
            let mut sums = [HALF; LANES];
            for (row, weight) in inputs.chunks_exact(row_bytes).zip(weights) {
                for (sum, value) in sums.iter_mut().zip(&row[chunk * LANES..][..LANES]) {
                    *sum += i32::from(*value) * weight;
                }
            }
            for (value, sum) in values.iter_mut().zip(sums) {
                *value = to_byte(sum);
            }
        }
        for (at, value) in rest.iter_mut().enumerate() {
            let sum: i32 = inputs
                .chunks_exact(row_bytes)
                .zip(weights)
                .map(|(row, weight)| i32::from(row[rest_at + at]) * weight)
                .sum();
            *value = to_byte(HALF + sum);
        }
    }
}

/// From fixed point to a byte. Bicubic overshoots, so both ends are clamped.
#[inline]
fn to_byte(sum: i32) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255) as u8
}

/// The weights of an axis as the bytes are multiplied by them.
fn fixed_point(axis: &Axis, kernel: Kernel) -> Taps<i32> {
    Taps::new(axis, kernel).map(to_fixed_point)
}

/// To the nearest number of 22-bit fixed point, halves away from zero.
fn to_fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << FRACTION_BITS);
    (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}
