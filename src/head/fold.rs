//! What is done to rows before an affine map, or to logits behind it, moved into the map's own numbers.
//!
//! ```text
//! x ─▶ (x - mean) / scale ─▶ weight, bias ─▶ logits ─▶ / temperature     as fitted
//! x ───────────────────────▶ weight', bias' ─▶ logits'                   as kept
//! ```
//!
//! In float64, rounded once at the end.

use ndarray::{Array2, ArrayView1};

/// Makes `weight` [K, F] and `bias` `[K]` take x where they took (x - mean) / scale; `mean` and `scale` are `[F]`.
pub(super) fn scaler(
    weight: &mut Array2<f32>,
    bias: &mut [f32],
    mean: ArrayView1<'_, f64>,
    scale: ArrayView1<'_, f64>,
) {
    for (mut row, bias) in weight.rows_mut().into_iter().zip(bias) {
        let mut shift = 0.0;
        for ((weight, mean), scale) in row.iter_mut().zip(mean).zip(scale) {
            let folded = f64::from(*weight) / scale;
            shift += folded * mean;
            *weight = folded as f32;
        }
        *bias = (f64::from(*bias) - shift) as f32;
    }
}

/// Makes `weight` [K, F] and `bias` `[K]` give their results divided by `temperature`.
pub(super) fn temperature(weight: &mut Array2<f32>, bias: &mut [f32], temperature: f64) {
    let divide = |number: &mut f32| *number = (f64::from(*number) / temperature) as f32;
    weight.iter_mut().for_each(divide);
    bias.iter_mut().for_each(divide);
}
