//! What a dense head is trained on, or watched with.

use ndarray::ArrayView2;

/// N rows whose classes are known.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// Embeddings, standardised [N, F].
    pub rows: ArrayView2<'a, f32>,
    /// Their classes, `[N]`.
    pub labels: &'a [usize],
    /// How much the loss of each counts, `[N]` (Keras' sample weights); each counts 1 where there are none.
    pub weights: Option<&'a [f32]>,
}

/// Some of the rows, gathered for one step.
#[derive(Clone, Debug)]
pub struct Batch {
    /// [B, F], row after row.
    pub(super) rows: Vec<f32>,
    /// `[B]`.
    pub(super) labels: Vec<u32>,
    /// `[B]`.
    pub(super) weights: Vec<f32>,
}

/// Samples that nothing can be learned from or told by.
#[derive(Debug, thiserror::Error)]
pub enum SamplesError {
    /// There are none.
    #[error("there are no rows")]
    None,
    /// The parts do not belong together.
    #[error("{rows} rows, {labels} labels and {weights} weights do not go together")]
    Lengths {
        /// N by the rows.
        rows: usize,
        /// N by the labels.
        labels: usize,
        /// N by the weights.
        weights: usize,
    },
    /// The rows are of another network than those trained on.
    #[error("rows of {found} numbers where {expected} should be")]
    Features {
        /// F of these.
        found: usize,
        /// F of those that are trained on.
        expected: usize,
    },
    /// A row or its weight is no number to learn from.
    #[error("row {row} or its weight is not finite")]
    NotFinite {
        /// The first such one, counted from 0.
        row: usize,
    },
    /// A label has no class.
    #[error("the label {label} is beyond the {classes} classes")]
    Label {
        /// It.
        label: usize,
        /// K.
        classes: usize,
    },
}

impl Samples<'_> {
    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.nrows()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much the loss of a row counts.
    pub(super) fn weight(&self, position: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[position])
    }

    /// The rows at these positions, in this order.
    #[must_use]
    pub fn batch(&self, positions: &[usize]) -> Batch {
        let mut rows = Vec::with_capacity(positions.len() * self.rows.ncols());
        for &position in positions {
            rows.extend(self.rows.row(position));
        }
        Batch {
            rows,
            labels: positions.iter().map(|&position| self.labels[position] as u32).collect(),
            weights: positions.iter().map(|&position| self.weight(position)).collect(),
        }
    }

    /// Holds the parts to each other, and to a head of this size.
    pub(super) fn check(&self, features: usize, classes: usize) -> Result<(), SamplesError> {
        let (rows, labels) = (self.len(), self.labels.len());
        let weights = self.weights.map_or(rows, <[f32]>::len);
        if rows == 0 {
            return Err(SamplesError::None);
        }
        if labels != rows || weights != rows {
            return Err(SamplesError::Lengths { rows, labels, weights });
        }
        if self.rows.ncols() != features {
            return Err(SamplesError::Features { found: self.rows.ncols(), expected: features });
        }
        if let Some(&label) = self.labels.iter().find(|&&label| label >= classes) {
            return Err(SamplesError::Label { label, classes });
        }
        let finite = |row: usize| self.weight(row).is_finite() && self.rows.row(row).iter().all(|x| x.is_finite());
        match (0..rows).find(|&row| !finite(row)) {
            Some(row) => Err(SamplesError::NotFinite { row }),
            None => Ok(()),
        }
    }
}
