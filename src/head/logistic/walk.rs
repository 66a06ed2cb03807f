//! The walk over the penalties, from strong to weak, and back to the best.
//!
//! Each penalty starts from where the optima of the two before point to. On the steep way down one is left while its
//! optimum is still rough: the next will be better. Should it come out lowest all the same, it is made exact, until the lowest is one
//! that is.

use super::PathPoint;
use super::curvature::{Curvature, Preconditioner};
use super::minimise::{Minimum, Stop, minimise};
use super::objective::Objective;
use super::route::Route;

/// On the way to the first penalty.
const APPROACH: Stop = Stop { gap: 1e-2, settled: f64::INFINITY, iterations: 30, steep: 0.0 };
/// Where a penalty is held against the others. The gap is an estimate: the true one is about five times as large.
const EXACT: Stop = Stop { gap: 5e-6, settled: 2e-3, iterations: 200, steep: 0.0 };
/// The way down is steep where a penalty leaves less than this part of the loss of the one before.
const STEEP: f64 = 0.9;
/// So many penalties in a row that are worse than the best end the path: the loss of held-out rows has one valley.
const PATIENCE: usize = 2;
/// A penalty may be the best where its loss is less than so many times the lowest.
const NEAR: f64 = 1.03;

/// The penalty with the lowest loss of held-out rows.
pub(super) struct Best {
    pub(super) alpha: f64,
    /// Of all fits.
    pub(super) weights: Vec<f32>,
    /// The change of variables that led there.
    pub(super) guide: Preconditioner<f32>,
}

/// A penalty that may be the best.
struct Candidate {
    /// In the path.
    position: usize,
    /// Of all fits.
    weights: Vec<f32>,
    /// The curvature of each row there, `[N]`.
    spreads: Vec<f32>,
    /// Once it is exact.
    guide: Option<Preconditioner<f32>>,
}

/// Walks over penalties that fall, and tells the best and all that were tried; nothing where there are no penalties.
pub(super) fn walk(objective: &Objective<'_>, alphas: &[f64]) -> Option<(Best, Vec<PathPoint>)> {
    let curvature = Curvature::new(objective.rows);
    let total: f64 = objective.weights.iter().map(|&weight| f64::from(weight)).sum();
    let log_loss = |minimum: &Minimum<f32>| minimum.value.held_out / total;
    let mut route = Route::new(objective);
    for alpha in approach(*alphas.first()?) {
        let guide = curvature.preconditioner(&route.spreads, alpha);
        route.arrive(alpha, minimise(objective, &guide, alpha, &route.weights, APPROACH));
    }
    let mut path: Vec<PathPoint> = Vec::new();
    let mut candidates: Vec<Candidate> = Vec::new();
    for &alpha in alphas {
        let guide = curvature.preconditioner(&route.spreads, alpha);
        let steep = path.last().map_or(0.0, |before| STEEP * before.log_loss * total);
        let minimum = minimise(objective, &guide, alpha, &route.start(alpha), Stop { steep, ..EXACT });
        let is_exact = minimum.value.held_out >= steep;
        let (weights, spreads) = (minimum.weights.clone(), minimum.value.spreads.clone());
        candidates.push(Candidate { position: path.len(), weights, spreads, guide: is_exact.then_some(guide) });
        path.push(PathPoint { alpha, log_loss: log_loss(&minimum), passes: minimum.passes });
        route.arrive(alpha, minimum);
        let lowest = path.iter().map(|point| point.log_loss).fold(f64::INFINITY, f64::min);
        // Where no row counts there is no mean loss, and still a fit.
        let may_be_best = |loss: f64| loss.is_nan() || loss <= lowest * NEAR;
        candidates.retain(|candidate| may_be_best(path[candidate.position].log_loss));
        if path.iter().rev().take_while(|point| point.log_loss > lowest).count() >= PATIENCE {
            break;
        }
    }
    loop {
        let loss = |candidate: &Candidate| path[candidate.position].log_loss;
        let best = candidates.iter_mut().min_by(|a, b| loss(a).total_cmp(&loss(b)))?;
        let point = &mut path[best.position];
        if let Some(guide) = best.guide.take() {
            return Some((Best { alpha: point.alpha, weights: std::mem::take(&mut best.weights), guide }, path));
        }
        let guide = curvature.preconditioner(&best.spreads, point.alpha);
        let minimum = minimise(objective, &guide, point.alpha, &best.weights, EXACT);
        point.log_loss = log_loss(&minimum);
        point.passes += minimum.passes;
        best.weights = minimum.weights;
        best.guide = Some(guide);
    }
}

/// Stronger penalties than the first one, on the way to it.
fn approach(first: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(1e3), |alpha| Some(alpha / 30.0)).take_while(move |&alpha| alpha > 10.0 * first)
}
