//! Near-duplicates on both sides of the split: told, because they make the numbers look better than they are.

use ndarray::Axis;
use serde_json::{Value, json};

use super::labelled::Labelled;
use crate::commands::console::Console;
use crate::counts::count;
use crate::embeddings::{NEAR, NearDuplicate, near_duplicates};

/// So many are named.
const NAMED: usize = 10;
/// So many stand in the JSON.
const KEPT: usize = 1000;

/// Images that are looked at, each with the image it all but equals and that is learnt from, and their cosine.
pub(super) struct Duplicates(Vec<(String, String, f64)>);

impl Duplicates {
    /// Compares what is looked at with what is learnt from; where they are the same rows, each fold with the others.
    pub(super) fn find(
        all: &Labelled,
        learnt_from: &[usize],
        looked_at: &Labelled,
        folds: Option<&Vec<usize>>,
    ) -> Self {
        let counts = |left: usize, right: usize| folds.is_none_or(|folds| folds[left] != folds[right]);
        let learnt = all.rows.select(Axis(0), learnt_from);
        let pairs = near_duplicates(looked_at.rows.view(), learnt.view(), counts);
        let named = |pair: NearDuplicate| {
            (looked_at.paths[pair.left].clone(), all.paths[learnt_from[pair.right]].clone(), pair.cosine)
        };
        Self(pairs.into_iter().map(named).collect())
    }

    pub(super) fn warn(&self, console: Console) {
        if self.0.is_empty() {
            return;
        }
        console.say(format_args!(
            "warning: {} that it has learnt from (cosine of at least {NEAR}), which makes it look better than it is:",
            count(
                self.0.len(),
                "image that the head is judged by all but equals one",
                "images that the head is judged by all but equal ones"
            )
        ));
        for (looked_at, learnt, cosine) in self.0.iter().take(NAMED) {
            console.say(format_args!("  {looked_at} and {learnt} ({cosine:.4})"));
        }
        if self.0.len() > NAMED {
            console.say(format_args!("  and {} more", self.0.len() - NAMED));
        }
    }

    pub(super) fn json(&self) -> Value {
        json!(self.0.iter().take(KEPT).collect::<Vec<_>>())
    }
}
