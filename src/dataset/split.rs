//! Which rows are learnt from and which are looked at, every class in the same proportion.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// A number for each of the rows with these labels, so that the rows of every class are dealt out to `folds` folds as evenly
/// as can be, at random by `seed`. Fold sizes differ by one row at most for all classes together.
#[must_use]
pub fn stratified_folds(labels: &[usize], folds: usize, seed: u64) -> Vec<usize> {
    let mut fold_of = vec![0; labels.len()];
    // The next class goes on where the one before ended, so that the first folds do not get all that is left over.
    let mut next = 0;
    for rows in shuffled_by_class(labels, seed) {
        for row in rows {
            fold_of[row] = next % folds;
            next += 1;
        }
    }
    fold_of
}

/// Positions of the rows to learn from and of those that are held out: of each class the nearest whole number to `part` of
/// its rows, and never its last one. Both in ascending order.
#[must_use]
pub fn stratified_part(labels: &[usize], part: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut is_held = vec![false; labels.len()];
    for rows in shuffled_by_class(labels, seed) {
        let count = (rows.len() as f64 * part).round() as usize;
        rows.iter().take(count.min(rows.len().saturating_sub(1))).for_each(|&row| is_held[row] = true);
    }
    let (held, learnt) = (0..labels.len()).partition(|&row| is_held[row]);
    (learnt, held)
}

/// The rows of each class, in random order.
fn shuffled_by_class(labels: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let mut classes = vec![Vec::new(); labels.iter().max().map_or(0, |&last| last + 1)];
    labels.iter().enumerate().for_each(|(row, &label)| classes[label].push(row));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for rows in &mut classes {
        rows.shuffle(&mut rng);
    }
    classes
}
