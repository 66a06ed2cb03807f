//! Which rows are learnt from and which are looked at: what must be true of any split.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

use headstock::dataset::{stratified_folds, stratified_part};
use proptest::prelude::*;

/// Labels of some classes, in any order; a class may be missing.
fn labels() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0_usize..6, 0..120)
}

fn count(of: &[usize], wanted: usize) -> usize {
    of.iter().filter(|&&one| one == wanted).count()
}

proptest! {
    #[test]
    fn a_part_is_held_out_of_every_class_and_never_all_of_it(labels in labels(), part in 0.0..1.0_f64, seed: u64) {
        let (learnt, held) = stratified_part(&labels, part, seed);
        prop_assert!(learnt.is_sorted() && held.is_sorted());
        let mut all = [learnt.clone(), held.clone()].concat();
        all.sort_unstable();
        prop_assert!(all.iter().copied().eq(0..labels.len()));
        for class in 0..6 {
            let of_class = count(&labels, class);
            let held = held.iter().filter(|&&row| labels[row] == class).count();
            prop_assert!(of_class == 0 || held < of_class);
            let wanted = of_class as f64 * part;
            prop_assert!((held as f64 - wanted).abs() <= 0.5 || held + 1 == of_class, "{held} of {of_class}, {wanted}");
        }
        prop_assert_eq!(stratified_part(&labels, part, seed), (learnt, held));
    }

    #[test]
    fn folds_are_as_even_as_can_be_in_every_class(labels in labels(), folds in 1_usize..9, seed: u64) {
        let fold_of = stratified_folds(&labels, folds, seed);
        prop_assert_eq!(fold_of.len(), labels.len());
        prop_assert!(fold_of.iter().all(|&fold| fold < folds));
        let is_even = |sizes: Vec<usize>| sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1;
        prop_assert!(is_even((0..folds).map(|fold| count(&fold_of, fold)).collect()));
        for class in 0..6 {
            let of_class: Vec<usize> =
                fold_of.iter().zip(&labels).filter(|&(_, &label)| label == class).map(|(&fold, _)| fold).collect();
            prop_assert!(is_even((0..folds).map(|fold| count(&of_class, fold)).collect()));
        }
        prop_assert_eq!(stratified_folds(&labels, folds, seed), fold_of);
    }
}

#[test]
fn the_seed_decides_which_rows() {
    let labels: Vec<usize> = (0..60).map(|row| row % 3).collect();
    let parts: Vec<_> = (0..100).map(|seed| stratified_part(&labels, 0.2, seed).1).collect();
    let folds: Vec<_> = (0..20).map(|seed| stratified_folds(&labels, 5, seed)).collect();
    for first in 0..20 {
        for second in first + 1..20 {
            assert!(parts[first] != parts[second] && folds[first] != folds[second]);
        }
    }
    // And no row is left out of them all.
    assert!((0..60).all(|row| parts.iter().any(|held| held.contains(&row))));
}
