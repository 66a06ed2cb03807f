//! Multinomial logistic regression with an L2 penalty, and the choice of the penalty, as one walk.
//!
//! ```text
//! standardised rows [N, F] ─▶ in folds ─▶ span ────▶ path over alpha, strong to weak ─▶ the best ─▶ polish ─▶ Fitted
//! labels, weights, folds                  N < F:     float32; k fits, each without       alpha       all rows,
//!                                         [N, N]     its fold, at once                               float64
//! ```
//!
//! What is minimised is the sum over the rows of weight times -ln p(own class), plus alpha/2 times the squared norm of the
//! weights; intercepts are free. That is scikit-learn's `LogisticRegression(C=1/alpha)`, for two classes
//! `C=2/alpha` (scikit-learn has one weight vector there, and the softmax has two that are each other's negative).
//!
//! Each penalty starts from where the optima of the two before point to (`walk`, `route`). All fits of a penalty are one problem
//! (`objective`), in variables in which it is nearly round (`curvature`), and L-BFGS takes three to twenty-odd passes over the
//! rows for it.
//!
//! linfa-logistic, with the same solver, stands aside: its log-sum-exp is shifted by the largest logit of the whole matrix,
//! which loses rows far below it; cost and gradient are two passes on one thread; rows have no weights.

mod curvature;
mod fit;
mod in_folds;
mod minimise;
mod number;
mod objective;
mod params;
mod point;
mod route;
mod softmax;
mod span;
mod walk;

use number::Number;

pub use fit::{Fitted, PathPoint};
pub use params::{Alphas, LogisticParams, LogisticValidParams};

/// Why there is no fit.
#[derive(Debug, thiserror::Error)]
pub enum LogisticError {
    /// Nothing to tell apart.
    #[error("there are fewer than two classes")]
    OneClass,
    /// A fold must leave rows to learn from and rows to look at.
    #[error("there are fewer than two folds, or one of them is empty")]
    Folds,
    /// A penalty that is none.
    #[error("alpha is {0:e}, where a number from 1e-30 to 1e30 should be")]
    Alpha(f64),
    /// Rows, labels, weights and folds do not belong together.
    #[error("{what} of {found}, where {wanted} should be")]
    Shape {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// A number that is none.
    #[error("row {0} holds a number that is not finite")]
    NotFinite(usize),
    /// A number whose square float32 cannot add up.
    #[error("row {0} holds a number beyond 1e15: standardise the rows")]
    Large(usize),
    /// A row cannot count less than nothing.
    #[error("row {0} counts {1}, where a number from 0 to 1e15 should be")]
    Weight(usize, f32),
    /// The datasets' own.
    #[error(transparent)]
    Linfa(#[from] linfa::error::Error),
}
