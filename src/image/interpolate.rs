//! Bilinear interpolation between the four nearest pixels, without antialias and without rounding.
//!
//! With centres at half-integers this is `tf.image.resize(method="bilinear")` (what `keras.utils.image_dataset_from_directory`
//! calls) and PyTorch's `F.interpolate(mode="bilinear", align_corners=False)`. With centres at integers it is what TensorFlow 1
//! did, and the graph of 2015 with it: `tf.image.resize_bilinear(align_corners=False)`, which moves the picture by up to half
//! a pixel and repeats its last row and column. Coordinates are computed in `f32`, as all of them do, because on a large
//! photo the rounding of the coordinate is what shows first.

use super::axis::Axis;

/// Where the centre of a pixel lies on its axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Centres {
    /// Pixel i at i + 1/2.
    Halves,
    /// Pixel i at i.
    Wholes,
}

/// The wanted part of an interpolated picture: RGB bytes in, `y.wanted.len()` rows of `x.wanted.len()` RGB pixels out,
/// values in 0..=255.
///
/// # Panics
/// When `rgb` does not hold `y.input` rows of `x.input` pixels, or when there are none.
#[must_use]
pub fn interpolate_axes(rgb: &[u8], x: &Axis, y: &Axis, centres: Centres) -> Vec<f32> {
    assert_eq!(rgb.len(), x.input * y.input * 3, "the buffer has another size than the axes say");
    assert!(!rgb.is_empty(), "a picture without pixels can't be resized");
    let columns = between(x, centres);
    let (pixels, _) = rgb.as_chunks::<3>();
    let row = |index: usize| &pixels[index * x.input..][..x.input];
    let mut result = vec![0.0; y.wanted.len() * x.wanted.len() * 3];
    let (results, _) = result.as_chunks_mut::<3>();
    for (output, vertical) in results.chunks_exact_mut(x.wanted.len()).zip(between(y, centres)) {
        let (above, below) = (row(vertical.low), row(vertical.high));
        for (value, horizontal) in output.iter_mut().zip(&columns) {
            let top = horizontal.mix(above[horizontal.low], above[horizontal.high]);
            let bottom = horizontal.mix(below[horizontal.low], below[horizontal.high]);
            *value = vertical.mix(top, bottom);
        }
    }
    result
}

/// The two input pixels that an output pixel lies between, and how far it is from the lower to the higher (0 to 1).
struct Between {
    low: usize,
    high: usize,
    share: f32,
}

impl Between {
    fn mix<T: Copy + Into<f32>>(&self, low: [T; 3], high: [T; 3]) -> [f32; 3] {
        std::array::from_fn(|channel| {
            let (low, high) = (low[channel].into(), high[channel].into());
            low + (high - low) * self.share
        })
    }
}

/// Where each wanted output pixel of an axis lies.
fn between(axis: &Axis, centres: Centres) -> Vec<Between> {
    let scale = axis.input as f32 / axis.output as f32;
    let place = |output: usize| {
        let position = match centres {
            Centres::Halves => ((output as f32 + 0.5) * scale - 0.5).max(0.0),
            Centres::Wholes => output as f32 * scale,
        };
        let low = (position as usize).min(axis.input - 1);
        let high = (low + 1).min(axis.input - 1);
        Between { low, high, share: position - low as f32 }
    };
    axis.wanted.clone().map(place).collect()
}
