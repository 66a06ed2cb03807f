//! Pillow's resampling filters on floats (mode `F`), as clean-fid calls them: sums in `f64`, each axis rounded to `f32`,
//! nothing rounded to bytes. Source of the definition: `ImagingResampleHorizontal_32bpc` in `src/libImaging/Resample.c`.

use super::axis::Axis;
use super::taps::{Kernel, Taps, columns_go_first};

/// The wanted part of a resized picture: RGB bytes in, `y.wanted.len()` rows of `x.wanted.len()` RGB pixels out. What
/// the kernel overshoots is cut to 0..=255, as clean-fid does.
///
/// # Panics
/// When `rgb` does not hold `y.input` rows of `x.input` pixels, or when there are none.
#[must_use]
pub fn resize_axes_float(rgb: &[u8], x: &Axis, y: &Axis, kernel: Kernel) -> Vec<f32> {
    assert_eq!(rgb.len(), x.input * y.input * 3, "the buffer has another size than the axes say");
    assert!(!rgb.is_empty(), "a picture without pixels can't be resized");
    let (columns, rows) = (Taps::new(x, kernel), Taps::new(y, kernel));
    let row = x.input * 3;
    let floats = |bytes: &[u8]| -> Vec<f32> { bytes.iter().copied().map(f32::from).collect() };
    let mut result = if columns_go_first(x, y) {
        resample_rows(&blend_rows(&floats(rgb), row, &rows), row, &columns)
    } else {
        let used = rows.inputs();
        let narrow = resample_rows(&floats(&rgb[used.start * row..used.end * row]), row, &columns);
        blend_rows(&narrow, x.wanted.len() * 3, &rows.counted_from(used.start))
    };
    for value in &mut result {
        *value = value.clamp(0.0, 255.0);
    }
    result
}

/// Each row of `row` numbers by itself, made narrower or wider.
fn resample_rows(rows: &[f32], row: usize, taps: &Taps<f64>) -> Vec<f32> {
    let mut result = Vec::with_capacity(rows.len() / row * taps.len() * 3);
    for row in rows.chunks_exact(row) {
        let (pixels, _) = row.as_chunks::<3>();
        for (first, weights) in taps.iter() {
            let mut sums = [0.0; 3];
            for (pixel, weight) in pixels[first..].iter().zip(weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += f64::from(*value) * weight;
                }
            }
            result.extend(sums.map(|sum| sum as f32));
        }
    }
    result
}

/// The rows of `row` numbers brought to another number of rows.
fn blend_rows(rows: &[f32], row: usize, taps: &Taps<f64>) -> Vec<f32> {
    let mut result = Vec::with_capacity(taps.len() * row);
    let mut sums = vec![0.0; row];
    for (first, weights) in taps.iter() {
        sums.fill(0.0);
        for (input, weight) in rows[first * row..].chunks_exact(row).zip(weights) {
            for (sum, value) in sums.iter_mut().zip(input) {
                *sum += f64::from(*value) * weight;
            }
        }
        result.extend(sums.iter().map(|&sum| sum as f32));
    }
    result
}
