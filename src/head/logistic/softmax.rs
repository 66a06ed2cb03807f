//! One row of one fit: from logits to its loss and its residual.

use super::Number;

/// What a row of logits tells of its own class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RowLoss {
    /// -ln of the probability of its own class.
    pub(super) loss: f64,
    /// The sum over the classes of p (1 - p): how much curvature the row gives.
    pub(super) spread: f64,
}

/// Turns the logits `[K]` of a row into probabilities less one for its own class: the gradient of the loss.
///
/// A row that is surely right has a loss of e^-30 or so, and a small penalty makes all rows so: `1 - p` is therefore summed
/// from the other classes and never subtracted.
pub(super) fn residual<T: Number>(logits: &mut [T], label: usize) -> RowLoss {
    let top = logits.iter().copied().fold(T::neg_infinity(), |top, z| if z > top { z } else { top });
    let own = logits[label];
    let (mut others, mut squares) = (T::zero(), T::zero());
    for (class, z) in logits.iter_mut().enumerate() {
        *z = num_exp(*z - top);
        if class != label {
            others += *z;
        }
    }
    let at_own = logits[label];
    let total = others + at_own;
    for (class, z) in logits.iter_mut().enumerate() {
        let rest = if class == label { others } else { total - *z };
        squares += *z / total * (rest / total);
        *z = if class == label { -others / total } else { *z / total };
    }
    // ln(total) + top - own, exact where the own class is the top one.
    let loss = if own >= top { (others / at_own).into().ln_1p() } else { (top - own).into() + total.into().ln() };
    RowLoss { loss, spread: squares.into() }
}

fn num_exp<T: Number>(x: T) -> T {
    num_traits::Float::exp(x)
}
