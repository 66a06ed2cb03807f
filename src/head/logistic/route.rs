//! From one penalty to the next: where its optimum may lie, and what the problem looks like there.
//!
//! As the penalty falls by equal factors the weights grow in much the same direction, so the line through the last two
//! optima, along the logarithm of the penalty, comes near the next one: it halves the passes of a path, measured.

use rayon::prelude::*;

use super::minimise::Minimum;
use super::objective::Objective;

/// The part of the way along the line that is taken: the weights grow ever more slowly.
const DAMPING: f64 = 0.8;
/// The least part of their curvature that rows are taken to keep.
const FADING: f32 = 0.1;

/// Where the path is.
pub(super) struct Route {
    /// The optimum of the last penalty [D + 1, C]; all zeros before the first one.
    pub(super) weights: Vec<f32>,
    /// The curvature that each row is expected to give at the next one, `[N]`.
    pub(super) spreads: Vec<f32>,
    /// The last penalty, and the optimum of the one before it where there was one.
    last: Option<(f64, Option<Earlier>)>,
}

struct Earlier {
    alpha: f64,
    weights: Vec<f32>,
}

impl Route {
    /// Where all weights are 0 and all K classes as probable as each other.
    pub(super) fn new(objective: &Objective<'_>) -> Self {
        let p = 1.0 / objective.classes as f32;
        let spreads = objective.weights.iter().map(|weight| weight * p * (1.0 - p)).collect();
        Self { weights: vec![0.0; objective.parameters() * objective.columns()], spreads, last: None }
    }

    /// A place to start from for a penalty.
    pub(super) fn start(&self, alpha: f64) -> Vec<f32> {
        let Some((last, Some(earlier))) = &self.last else { return self.weights.clone() };
        let ahead = DAMPING * ((last / alpha).ln() / (earlier.alpha / last).ln()).clamp(0.0, 1.0);
        let ahead = ahead as f32;
        let pairs = self.weights.par_iter().with_min_len(1 << 14).zip(&earlier.weights);
        pairs.map(|(weight, earlier)| weight + ahead * (weight - earlier)).collect()
    }

    /// Goes on to the optimum of a penalty.
    pub(super) fn arrive(&mut self, alpha: f64, minimum: Minimum<f32>) {
        let sum = |spreads: &[f32]| spreads.iter().map(|&spread| f64::from(spread)).sum::<f64>();
        let now = minimum.value.spreads;
        // Rows fade from one penalty to the next by about as much as they did to this one.
        let fading = ((sum(&now) / sum(&self.spreads).max(f64::MIN_POSITIVE)) as f32).clamp(FADING, 1.0);
        self.spreads = now.into_iter().map(|spread| spread * fading).collect();
        let weights = std::mem::replace(&mut self.weights, minimum.weights);
        let earlier = self.last.take().map(|(alpha, _)| Earlier { alpha, weights });
        self.last = Some((alpha, earlier));
    }
}
