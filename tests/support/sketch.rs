//! Sketches: a few numbers that stand in for a large tensor, so that a golden file of millions of numbers is small.
//!
//! `scripts/golden_finetune.py` says what they are: the tensor's norm and sums of its numbers with random signs. The difference of
//! two tensors has the difference of their sums, and the mean square of its sums is the square of its norm.

use super::{seed_of, splitmix};

/// Sums of a sketch.
const SIGNS: usize = 16;

/// The sums of a tensor's numbers with the signs that belong to a name.
pub fn signed_sums(name: &str, numbers: &[f64]) -> [f64; SIGNS] {
    let seed = seed_of(name);
    let mut sums = [0.0; SIGNS];
    for (index, &number) in numbers.iter().enumerate() {
        let bits = splitmix(seed, index);
        for (k, sum) in sums.iter_mut().enumerate() {
            *sum += if bits >> k & 1 == 1 { number } else { -number };
        }
    }
    sums
}

/// The norm of the difference between a tensor and the one that a golden sketch is of, estimated to within a fifth or so, and the
/// norm of that one.
pub fn distance(name: &str, found: &[f64], golden: &[f32]) -> (f64, f64) {
    assert_eq!(golden.len(), 1 + SIGNS, "{name}: no sketch");
    let square = |(found, &golden): (f64, &f32)| (found - f64::from(golden)).powi(2);
    let squares: f64 = signed_sums(name, found).into_iter().zip(&golden[1..]).map(square).sum();
    ((squares / SIGNS as f64).sqrt(), f64::from(golden[0]))
}
