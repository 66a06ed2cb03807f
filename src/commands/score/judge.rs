//! The head on batches of rows.

use anyhow::{Result, ensure};
use ndarray::ArrayView2;

use crate::cli::ScoreArgs;
use crate::commands::classifier::Classifier;
use crate::head::Head;
use crate::pipeline::Batch;
use crate::scores::UNSURE;

/// What becomes of an image whose probabilities are none.
const NOT_FINITE: &str = "its scores are no finite numbers: the weights, the embeddings or the head are damaged";

/// Refuses a head with a class that could be taken for no decision in the file.
pub(super) fn require_telling_names(Classifier { head, path, .. }: &Classifier, args: &ScoreArgs) -> Result<()> {
    let may_be_unsure = args.threshold.is_some() || head.thresholds.is_some();
    ensure!(
        !may_be_unsure || !head.classes.iter().any(|class| class == UNSURE),
        "{} has a class '{UNSURE}', which is the word for images below a threshold; give the class another name",
        path.display()
    );
    Ok(())
}

/// The probabilities [B, K] in place of the rows [B, F], which are those of the candidates from position `first` on. A row
/// that gives no numbers is rejected, and its neighbours are not.
pub(super) fn judge(head: &Head, batch: Batch, first: usize) -> Result<Batch> {
    let rows = ArrayView2::from_shape((batch.candidates - batch.rejected.len(), head.features()), &batch.rows)?;
    let probabilities = head.probabilities(rows);
    let mut kept = Vec::with_capacity(probabilities.len());
    let mut damaged = Vec::new();
    for (candidate, row) in batch.accepted(first).zip(probabilities.rows()) {
        if row.iter().all(|p| p.is_finite()) {
            kept.extend(row);
        } else {
            damaged.push((candidate, NOT_FINITE.to_owned()));
        }
    }
    let mut rejected = batch.rejected;
    rejected.extend(damaged);
    rejected.sort_unstable_by_key(|(candidate, _)| *candidate);
    Ok(Batch { candidates: batch.candidates, rows: kept, rejected })
}
