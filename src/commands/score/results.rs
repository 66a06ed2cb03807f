//! What a finished journal says of each image, read back one after the other.

use std::fs::File;
use std::io::{BufReader, Read};

use anyhow::{Context, Result};
use ndarray::ArrayView1;

use crate::commands::rejected::accepted;
use crate::dataset::{Candidate, Dataset};
use crate::head::Head;
use crate::pipeline::Journal;
use crate::scores::Score;

/// The images that have probabilities, with what is decided on them.
pub(super) struct Results<'a> {
    pub(super) head: &'a Head,
    pub(super) threshold: Option<f64>,
    pub(super) dataset: &'a Dataset,
    pub(super) journal: &'a Journal,
}

impl Results<'_> {
    /// One after the other, in the order of their paths; memory holds one.
    pub(super) fn scores(&self) -> Result<impl Iterator<Item = std::io::Result<(&Candidate, Score)>>> {
        let path = self.journal.shard_path(0);
        let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut rows = BufReader::with_capacity(1 << 20, file);
        let mut bytes = vec![0; self.head.classes.len() * size_of::<f32>()];
        Ok(accepted(self.dataset, self.journal).map(move |(_, candidate)| {
            rows.read_exact(&mut bytes)?;
            let probabilities: Vec<f32> = bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect();
            let class = self.head.decide(ArrayView1::from(&probabilities), self.threshold);
            Ok((candidate, Score { path: candidate.path.clone(), class, probabilities }))
        }))
    }
}
