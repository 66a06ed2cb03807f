//! Parameters and gradients as argmin's solver wants them: a vector with the operations of its traits.
//!
//! A hundred classes in six fits are a million numbers, and L-BFGS walks over them dozens of times an iteration. So the
//! operations run on all threads, and a clone is a reference. Sums are taken by blocks of fixed length: their bits do not
//! depend on the number of threads.

use std::sync::Arc;

use argmin_math::{
    ArgminAdd, ArgminDot, ArgminL1Norm, ArgminL2Norm, ArgminMinMax, ArgminMul, ArgminSignum, ArgminSub, ArgminZeroLike,
};
use rayon::prelude::*;

use super::Number;

/// Numbers that a thread takes at a time.
const BLOCK: usize = 1 << 14;

/// A point of the parameter space, or a gradient there.
#[derive(Clone, Debug)]
pub(super) struct Point<T>(pub(super) Arc<Vec<T>>);

impl<T: Number> Point<T> {
    pub(super) fn new(numbers: Vec<T>) -> Self {
        Self(Arc::new(numbers))
    }

    /// Whether both are the same place in memory, which clones are.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn map(&self, of: impl Fn(T) -> T + Sync + Send) -> Self {
        Self::new(self.0.par_iter().with_min_len(BLOCK).map(|&x| of(x)).collect())
    }

    fn zip(&self, other: &Self, of: impl Fn(T, T) -> T + Sync + Send) -> Self {
        let pairs = self.0.par_iter().with_min_len(BLOCK).zip(other.0.par_iter());
        Self::new(pairs.map(|(&x, &y)| of(x, y)).collect())
    }

    fn sum(&self, other: &Self, of: impl Fn(f64, f64) -> f64 + Sync) -> f64 {
        let of_block = |(a, b): (&[T], &[T])| a.iter().zip(b).map(|(&a, &b)| of(a.into(), b.into())).sum::<f64>();
        let sums: Vec<f64> = self.0.par_chunks(BLOCK).zip(other.0.par_chunks(BLOCK)).map(of_block).collect();
        sums.into_iter().sum()
    }
}

impl<T: Number> ArgminDot<Point<T>, f64> for Point<T> {
    fn dot(&self, other: &Self) -> f64 {
        self.sum(other, |a, b| a * b)
    }
}

impl<T: Number> ArgminL2Norm<f64> for Point<T> {
    fn l2_norm(&self) -> f64 {
        self.sum(self, |a, b| a * b).sqrt()
    }
}

impl<T: Number> ArgminL1Norm<f64> for Point<T> {
    fn l1_norm(&self) -> f64 {
        self.sum(self, |a, _| a.abs())
    }
}

impl<T: Number> ArgminAdd<Point<T>, Point<T>> for Point<T> {
    fn add(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
}

impl<T: Number> ArgminAdd<f64, Point<T>> for Point<T> {
    fn add(&self, other: &f64) -> Self {
        let other = T::cast(*other);
        self.map(|a| a + other)
    }
}

impl<T: Number> ArgminSub<Point<T>, Point<T>> for Point<T> {
    fn sub(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
}

impl<T: Number> ArgminSub<f64, Point<T>> for Point<T> {
    fn sub(&self, other: &f64) -> Self {
        let other = T::cast(*other);
        self.map(|a| a - other)
    }
}

impl<T: Number> ArgminMul<Point<T>, Point<T>> for Point<T> {
    fn mul(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
}

impl<T: Number> ArgminMul<f64, Point<T>> for Point<T> {
    fn mul(&self, other: &f64) -> Self {
        let other = T::cast(*other);
        self.map(|a| a * other)
    }
}

impl<T: Number> ArgminMul<Point<T>, Point<T>> for f64 {
    fn mul(&self, other: &Point<T>) -> Point<T> {
        ArgminMul::mul(other, self)
    }
}

// The rest serves penalties of the absolute value (OWL-QN), which the solver's bounds ask of every problem.

impl<T: Number> ArgminSignum for Point<T> {
    fn signum(self) -> Self {
        self.map(|a| if a < T::zero() { -T::one() } else { T::one() })
    }
}

impl<T: Number> ArgminZeroLike for Point<T> {
    fn zero_like(&self) -> Self {
        Self::new(vec![T::zero(); self.0.len()])
    }
}

impl<T: Number> ArgminMinMax for Point<T> {
    fn min(a: &Self, b: &Self) -> Self {
        a.zip(b, |a, b| if b < a { b } else { a })
    }

    fn max(a: &Self, b: &Self) -> Self {
        a.zip(b, |a, b| if b > a { b } else { a })
    }
}
