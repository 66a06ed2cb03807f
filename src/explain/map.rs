//! From feature maps and a linear head to one number a place.

use ndarray::{Array1, Array2, ArrayView1, ArrayView3, Zip};

use crate::head::Linear;

/// What each place adds to the logit of a class: from features [C, H, W] to [H, W]. Its mean is the class' logit, less the
/// bias.
///
/// # Panics
/// When the head has no such class.
#[must_use]
pub fn activation_map(head: &Linear, class: usize, features: ArrayView3<'_, f32>) -> Array2<f32> {
    weigh(head.weight.row(class), features)
}

/// What each place adds to the logit of a class over the mean logit of the other classes: from features [C, H, W] to
/// [H, W]. Above 0 a place speaks for the class, below 0 against it.
///
/// This is the map to look at. Probabilities are made of differences of logits, so what a place adds to all classes alike
/// decides nothing, and 0 means nothing in [`activation_map`] alone. (In a head fitted with an L2 penalty the weights of all
/// classes sum to 0, and both maps have the same shape.)
///
/// # Panics
/// When the head has no such class.
#[must_use]
pub fn contrast_map(head: &Linear, class: usize, features: ArrayView3<'_, f32>) -> Array2<f32> {
    let weights = head.weight.row(class);
    let others = head.weight.nrows().saturating_sub(1).max(1) as f32;
    let sum: Array1<f32> = head.weight.rows().into_iter().fold(Array1::zeros(weights.len()), |sum, row| sum + row);
    let contrast = &weights - (sum - weights) / others;
    weigh(contrast.view(), features)
}

/// The sum of the maps, each times its weight.
fn weigh(weights: ArrayView1<'_, f32>, features: ArrayView3<'_, f32>) -> Array2<f32> {
    let (_, height, width) = features.dim();
    let mut map = Array2::<f64>::zeros((height, width));
    for (channel, &weight) in features.outer_iter().zip(weights) {
        Zip::from(&mut map).and(&channel).for_each(|sum, &feature| *sum += f64::from(weight) * f64::from(feature));
    }
    map.mapv(|sum| sum as f32)
}
