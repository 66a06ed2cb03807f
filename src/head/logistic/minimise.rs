//! One penalty: argmin's L-BFGS, which is linfa-logistic's solver too, on our objective.
//!
//! The problem is convex, so a backtracking line search is enough; near a good guide its first step is almost always taken,
//! and an iteration is one pass over the rows.

use std::cell::RefCell;

use argmin::core::{
    CostFunction, Error, Executor, Gradient, IterState, KV, Problem, Solver, State, TerminationReason,
    TerminationStatus,
};
use argmin::solver::linesearch::BacktrackingLineSearch;
use argmin::solver::linesearch::condition::ArmijoCondition;
use argmin::solver::quasinewton::LBFGS;
use rayon::prelude::*;

use super::Number;
use super::curvature::Preconditioner;
use super::objective::{Objective, Value};
use super::point::Point;

/// Steps that L-BFGS remembers.
const MEMORY: usize = 8;
/// Passes over the rows that an iteration may take on average before all is noise.
const PASSES: usize = 3;

/// How much sooner to stop on a steep way down: the gap and the change may be so many times as large.
const SOONER: (f64, f64) = (6.0, 2.5);

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    /// The gap to the optimum, estimated as half the squared norm of the gradient in the solver's variables, as part of the
    /// cost.
    pub(super) gap: f64,
    /// The change of the held-out loss in an iteration, as part of it: it may still move when the cost hardly does, and it
    /// is what penalties are compared by.
    pub(super) settled: f64,
    /// Iterations at most.
    pub(super) iterations: u64,
    /// Below this held-out loss `SOONER`.
    pub(super) steep: f64,
}

impl Stop {
    /// Whether this gap and this change of this held-out loss are small enough.
    fn is_enough(&self, gap: f64, change: f64, held_out: f64) -> bool {
        let sooner = if held_out < self.steep { SOONER } else { (1.0, 1.0) };
        gap <= sooner.0 * self.gap && change <= sooner.1 * self.settled
    }
}

/// Where the solver ended.
pub(super) struct Minimum<T> {
    /// [D + 1, C], one column after the other.
    pub(super) weights: Vec<T>,
    /// There.
    pub(super) value: Value<T>,
    /// Passes over the rows.
    pub(super) passes: usize,
}

/// Minimises loss + alpha/2 |W|^2 (intercepts are free) from `start` [D + 1, C].
pub(super) fn minimise<T: Number>(
    objective: &Objective<'_>,
    preconditioner: &Preconditioner<T>,
    alpha: f64,
    start: &[T],
    stop: Stop,
) -> Minimum<T> {
    let start = Point::new(preconditioner.variables(start));
    let latest =
        RefCell::new(Latest { best: evaluate(objective, preconditioner, alpha, &start), last: None, passes: 1 });
    let limit = PASSES * usize::try_from(stop.iterations).unwrap_or(usize::MAX / PASSES);
    let problem = Penalised { objective, preconditioner, alpha, limit, latest: &latest };
    let solver = Until { stop, latest: &latest, held_out: f64::INFINITY, solver: LBFGS::new(line_search(), MEMORY) };
    let run =
        Executor::new(problem, solver).configure(|state| state.param(start).max_iters(stop.iterations)).ctrlc(false);
    // An error is the solver's way to say that it finds no better point; the best one was kept.
    drop(run.run());
    let Latest { best, passes, .. } = latest.into_inner();
    Minimum { weights: best.weights, value: best.value, passes }
}

type LineSearch<T> = BacktrackingLineSearch<Point<T>, Point<T>, ArmijoCondition<f64>, f64>;

fn line_search<T: Number>() -> LineSearch<T> {
    let halving = |condition| BacktrackingLineSearch::new(condition).rho(0.5);
    match ArmijoCondition::new(1e-4).and_then(halving) {
        Ok(search) => search,
        Err(_) => unreachable!("both constants lie between 0 and 1"),
    }
}

/// A point that was looked at.
struct Evaluation<T> {
    point: Point<T>,
    weights: Vec<T>,
    cost: f64,
    /// In the solver's variables.
    gradient: Point<T>,
    value: Value<T>,
}

struct Latest<T> {
    best: Evaluation<T>,
    /// Where it is not the best one.
    last: Option<Evaluation<T>>,
    passes: usize,
}

/// The problem as argmin sees it. Cost and gradient come from one pass, so the last one is kept.
struct Penalised<'a, T> {
    objective: &'a Objective<'a>,
    preconditioner: &'a Preconditioner<T>,
    alpha: f64,
    limit: usize,
    latest: &'a RefCell<Latest<T>>,
}

impl<T: Number> Penalised<'_, T> {
    fn at<R>(&self, point: &Point<T>, of: impl Fn(&Evaluation<T>) -> R) -> Result<R, Error> {
        let mut latest = self.latest.borrow_mut();
        let known = [Some(&latest.best), latest.last.as_ref()];
        if let Some(known) = known.into_iter().flatten().find(|known| known.point.is_same(point)) {
            return Ok(of(known));
        }
        if latest.passes >= self.limit {
            return Err(Error::msg("no better point is found"));
        }
        let evaluation = evaluate(self.objective, self.preconditioner, self.alpha, point);
        let result = of(&evaluation);
        latest.passes += 1;
        if evaluation.cost < latest.best.cost {
            latest.best = evaluation;
            latest.last = None;
        } else {
            latest.last = Some(evaluation);
        }
        Ok(result)
    }
}

fn evaluate<T: Number>(
    objective: &Objective<'_>,
    preconditioner: &Preconditioner<T>,
    alpha: f64,
    point: &Point<T>,
) -> Evaluation<T> {
    let weights = preconditioner.weights(&point.0);
    let mut value = objective.value(&weights);
    let penalty = penalise(&mut value.gradient, &weights, objective.parameters(), alpha);
    let gradient = Point::new(preconditioner.gradient(std::mem::take(&mut value.gradient)));
    Evaluation { point: point.clone(), cost: value.loss + penalty, weights, gradient, value }
}

/// Adds the gradient of the penalty and gives the penalty; the last parameter of each column, the intercept, is free.
pub(super) fn penalise<T: Number>(gradient: &mut [T], weights: &[T], parameters: usize, alpha: f64) -> f64 {
    let strength = T::cast(alpha);
    let of_column = |(gradient, weights): (&mut [T], &[T])| {
        let mut square = 0.0;
        for (gradient, &weight) in gradient.iter_mut().zip(weights).take(parameters - 1) {
            *gradient += strength * weight;
            square += Into::<f64>::into(weight).powi(2);
        }
        square
    };
    let columns = gradient.par_chunks_exact_mut(parameters).zip(weights.par_chunks_exact(parameters));
    let squares: Vec<f64> = columns.map(of_column).collect();
    alpha / 2.0 * squares.iter().sum::<f64>()
}

impl<T: Number> CostFunction for Penalised<'_, T> {
    type Param = Point<T>;
    type Output = f64;

    fn cost(&self, point: &Point<T>) -> Result<f64, Error> {
        self.at(point, |evaluation| evaluation.cost)
    }
}

impl<T: Number> Gradient for Penalised<'_, T> {
    type Param = Point<T>;
    type Gradient = Point<T>;

    fn gradient(&self, point: &Point<T>) -> Result<Point<T>, Error> {
        self.at(point, |evaluation| evaluation.gradient.clone())
    }
}

/// A solver that stops when it is as near to the optimum as asked for, or when its steps are rounding.
struct Until<'a, T, S> {
    stop: Stop,
    latest: &'a RefCell<Latest<T>>,
    /// After the iteration before.
    held_out: f64,
    solver: S,
}

type Walk<T> = IterState<Point<T>, Point<T>, (), (), (), f64>;

impl<O, T, S> Solver<O, Walk<T>> for Until<'_, T, S>
where
    T: Number,
    S: Solver<O, Walk<T>>,
{
    fn name(&self) -> &str {
        self.solver.name()
    }

    fn init(&mut self, problem: &mut Problem<O>, state: Walk<T>) -> Result<(Walk<T>, Option<KV>), Error> {
        self.solver.init(problem, state)
    }

    fn next_iter(&mut self, problem: &mut Problem<O>, state: Walk<T>) -> Result<(Walk<T>, Option<KV>), Error> {
        self.solver.next_iter(problem, state)
    }

    fn terminate(&mut self, state: &Walk<T>) -> TerminationStatus {
        let cost = state.get_cost();
        let square = |gradient| argmin_math::ArgminDot::dot(gradient, gradient);
        let gap = state.get_gradient().map_or(0.0, square) / 2.0 / cost.max(f64::MIN_POSITIVE);
        let held_out = self.latest.borrow().best.value.held_out;
        let change = (self.held_out - held_out).abs() / held_out.max(f64::MIN_POSITIVE);
        self.held_out = held_out;
        let still = state.get_iter() > 0 && state.get_prev_cost() - cost <= T::ROUNDING * cost;
        if self.stop.is_enough(gap, change, held_out) || still {
            TerminationStatus::Terminated(TerminationReason::SolverConverged)
        } else {
            TerminationStatus::NotTerminated
        }
    }
}
