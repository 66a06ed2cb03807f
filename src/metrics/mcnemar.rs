//! McNemar's test: whether two classifiers that decided on the same rows differ by more than luck.
//!
//! ```text
//!                  second right   second wrong
//! first right           both       only_first        only rows on which they disagree tell anything:
//! first wrong     only_second       neither          were the two equally good, each is a fair coin
//! ```
//!
//! (Quinn McNemar, Psychometrika 12, 1947.) Not by his approximation, the square of a normal number, but by the binomial distribution
//! itself, which holds for few rows too.

use serde::{Deserialize, Serialize};

/// Two classifiers on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Rows that both decide rightly.
    pub both: usize,
    /// Rows that only the first decides rightly.
    pub only_first: usize,
    /// Rows that only the second decides rightly.
    pub only_second: usize,
    /// Rows that neither does.
    pub neither: usize,
    /// How probable it is that so many coins come out at least as uneven as `only_first` and `only_second`: two-sided, exact. 1 where
    /// the classifiers never disagree.
    pub p_value: f64,
}

impl McNemar {
    /// Of whether each of two classifiers is right, row by row.
    #[must_use]
    pub fn new(right: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = [0; 4];
        for (first, second) in right {
            counts[2 * usize::from(!first) + usize::from(!second)] += 1;
        }
        let [both, only_first, only_second, neither] = counts;
        Self { both, only_first, only_second, neither, p_value: p_value(only_first, only_second) }
    }
}

/// Twice the probability that of `a + b` fair coins at most min(a, b) show heads, and never more than 1.
fn p_value(a: usize, b: usize) -> f64 {
    let (coins, heads) = (a + b, a.min(b));
    // The largest term of the sum, (coins over heads) / 2^coins, halved on the way so that it does not overflow. Where all of it
    // comes to nothing in float64, so does the p-value.
    let mut halves = coins;
    let mut largest = 1.0;
    for i in 1..=heads {
        largest *= (coins + 1 - i) as f64 / i as f64;
        while largest > 1.0 && halves > 0 {
            largest *= 0.5;
            halves -= 1;
        }
    }
    largest *= 0.5_f64.powi(i32::try_from(halves).unwrap_or(i32::MAX));
    // The terms below it as parts of it, each from the one above.
    let (mut term, mut sum) = (1.0, 1.0);
    for i in (1..=heads).rev() {
        term *= i as f64 / (coins + 1 - i) as f64;
        sum += term;
    }
    (2.0 * largest * sum).min(1.0)
}
