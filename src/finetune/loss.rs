//! Softmax cross-entropy with class weights and label smoothing, as `torch.nn.CrossEntropyLoss` defines it, and its gradient.
//!
//! ```text
//! targets of a row of class y     t_c = (1 - ε) w_y [c = y] + (ε / K) w_c
//! its loss                        - Σ_c t_c ln p_c,              p = softmax(logits)
//! its gradient by logit j         (Σ_c t_c) p_j - t_j
//! all rows                        the sum, divided by Σ w_y of all rows of the step
//! ```
//!
//! The divisor is that of the whole step, which the caller knows: so that a step in several pieces (gradient accumulation) is the step
//! of one large batch.

use ndarray::{Array2, ArrayView2};

/// The loss of K classes.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossEntropy {
    /// w, `[K]`: what a row of each class counts.
    pub class_weights: Vec<f64>,
    /// ε, in [0, 1): the part of a target that is spread over all classes.
    pub smoothing: f64,
}

impl CrossEntropy {
    /// What rows with these labels count together: the divisor of a step.
    #[must_use]
    pub fn weight(&self, labels: &[usize]) -> f64 {
        labels.iter().map(|&label| self.class_weights[label]).sum()
    }

    /// The loss of logits [B, K] with labels `[B]` below K, and its gradient by the logits [B, K], both divided by `divisor`.
    #[must_use]
    pub fn with_gradient(&self, logits: ArrayView2<'_, f32>, labels: &[usize], divisor: f64) -> (f64, Array2<f32>) {
        let spread = self.smoothing / self.class_weights.len() as f64;
        let all: f64 = self.class_weights.iter().map(|weight| spread * weight).sum();
        let mut gradient = Array2::zeros(logits.dim());
        let mut loss = 0.0;
        for ((row, mut gradient), &label) in logits.rows().into_iter().zip(gradient.rows_mut()).zip(labels) {
            let largest = row.iter().fold(f64::NEG_INFINITY, |largest, &z| largest.max(f64::from(z)));
            let exponentials: Vec<f64> = row.iter().map(|&z| (f64::from(z) - largest).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            let of_label = (1.0 - self.smoothing) * self.class_weights[label];
            let total = all + of_label;
            for (class, (gradient, &z)) in gradient.iter_mut().zip(row).enumerate() {
                let target = spread * self.class_weights[class] + if class == label { of_label } else { 0.0 };
                // Without the test a class of no weight whose probability is nothing would give 0 times infinity.
                if target != 0.0 {
                    loss -= target * (f64::from(z) - largest - sum.ln());
                }
                *gradient = ((total * exponentials[class] / sum - target) / divisor) as f32;
            }
        }
        (loss / divisor, gradient)
    }

    /// The loss alone, a mean over the rows by their weights.
    #[must_use]
    pub fn mean(&self, logits: ArrayView2<'_, f32>, labels: &[usize]) -> f64 {
        self.with_gradient(logits, labels, self.weight(labels)).0
    }
}
