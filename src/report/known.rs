//! Rows whose class is known, and what the head said of them.

use std::borrow::Cow;

use ndarray::{Array2, ArrayView1};

use super::Source;
use crate::head::{HeldOut, most_probable};
use crate::metrics::Metrics;
use crate::scores::Scores;

/// N rows of known classes.
pub(super) struct Known<'a> {
    pub(super) source: Source,
    pub(super) metrics: Cow<'a, Metrics>,
    pub(super) rows: Vec<Row<'a>>,
}

/// One row.
pub(super) struct Row<'a> {
    pub(super) path: &'a str,
    /// Its class, by position.
    pub(super) label: usize,
    /// The most probable class, by position.
    pub(super) predicted: usize,
    /// Of every class, `[K]`.
    pub(super) probabilities: ArrayView1<'a, f32>,
}

impl Row<'_> {
    pub(super) fn is_right(&self) -> bool {
        self.label == self.predicted
    }

    /// The probability of the most probable class.
    pub(super) fn confidence(&self) -> f32 {
        self.probabilities[self.predicted]
    }
}

impl<'a> Known<'a> {
    /// The rows that the head kept. Their metrics are the head's, of all held-out rows, kept or not.
    pub(super) fn held_out(held_out: &'a HeldOut) -> Self {
        let labels = held_out.labels.iter().copied();
        let paths = held_out.paths.iter().map(String::as_str);
        let rows = paths.zip(labels).zip(held_out.probabilities.rows());
        Self {
            source: Source::HeldOut,
            metrics: Cow::Borrowed(&held_out.metrics),
            rows: rows.filter_map(|((path, label), row)| Row::new(path, label, row)).collect(),
        }
    }

    /// The scored images whose first folder bears the name of a class; none where there is no such image.
    pub(super) fn scored(scores: &'a Scores, classes: &[String]) -> Option<Self> {
        let class_of = |path: &str| {
            let (folder, _) = path.split_once('/')?;
            classes.iter().position(|class| class == folder)
        };
        let rows: Vec<Row<'a>> = scores
            .rows
            .iter()
            .filter(|score| score.probabilities.len() == classes.len())
            .filter_map(|score| Row::new(&score.path, class_of(&score.path)?, ArrayView1::from(&score.probabilities)))
            .collect();
        if rows.is_empty() {
            return None;
        }
        let labels: Vec<usize> = rows.iter().map(|row| row.label).collect();
        let probabilities = Array2::from_shape_fn((rows.len(), classes.len()), |(row, class)| {
            f64::from(rows[row].probabilities[class])
        });
        let metrics = Cow::Owned(Metrics::new(classes, &labels, probabilities.view()));
        Some(Self { source: Source::Scored, metrics, rows })
    }

    /// The rows that were called something else, the most confident first.
    pub(super) fn mistakes(&self) -> Vec<&Row<'a>> {
        let mut mistakes: Vec<&Row<'a>> = self.rows.iter().filter(|row| !row.is_right()).collect();
        mistakes.sort_by(|a, b| b.confidence().total_cmp(&a.confidence()));
        mistakes
    }

    /// Images to show, the most telling ones first: the mistakes.
    pub(super) fn mistakes_in_order(&self) -> Vec<(Source, &'a str)> {
        self.mistakes().into_iter().map(|row| (self.source, row.path)).collect()
    }

    /// Images to show after those: the rows that are right, the least confident of each class first, a class in turn.
    pub(super) fn right_in_turn(&self) -> Vec<(Source, &'a str)> {
        let mut right: Vec<&Row<'a>> = self.rows.iter().filter(|row| row.is_right()).collect();
        right.sort_by(|a, b| a.confidence().total_cmp(&b.confidence()));
        let mut seen = vec![0; self.metrics.classes.len()];
        let mut turns: Vec<(usize, usize, &str)> = Vec::with_capacity(right.len());
        for row in right {
            turns.push((seen[row.label], row.label, row.path));
            seen[row.label] += 1;
        }
        turns.sort_by_key(|&(turn, class, _)| (turn, class));
        turns.into_iter().map(|(_, _, path)| (self.source, path)).collect()
    }
}

impl<'a> Row<'a> {
    fn new(path: &'a str, label: usize, probabilities: ArrayView1<'a, f32>) -> Option<Self> {
        Some(Self { path, label, predicted: most_probable(probabilities)?, probabilities })
    }
}
