//! One class against the rest, by rank: ROC AUC and average precision, ties as scikit-learn counts them.

/// What is scored at least so high.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// The score.
    pub(super) threshold: f64,
    /// Rows of the class.
    pub(super) ours: usize,
    /// Other rows.
    pub(super) others: usize,
}

/// One step a distinct score, from the highest down.
pub(super) fn cumulative(scores: &[f64], is_class: &[bool]) -> Vec<Step> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let (mut ours, mut others) = (0, 0);
    let mut steps = Vec::new();
    for (position, &row) in order.iter().enumerate() {
        ours += usize::from(is_class[row]);
        others += usize::from(!is_class[row]);
        let tied = order.get(position + 1).is_some_and(|&next| scores[next].total_cmp(&scores[row]).is_eq());
        if !tied {
            steps.push(Step { threshold: scores[row], ours, others });
        }
    }
    steps
}

/// Area under the ROC curve by the trapezoidal rule, which is the probability that a row of the class is scored above one
/// of the rest, a tie counting half. None where all rows or none are of the class.
pub(super) fn roc_auc(scores: &[f64], is_class: &[bool]) -> Option<f64> {
    let steps = cumulative(scores, is_class);
    let Step { ours, others, .. } = *steps.last()?;
    if ours == 0 || others == 0 {
        return None;
    }
    let mut before = (0, 0);
    let mut area = 0.0;
    for step in steps {
        area += (step.others - before.1) as f64 * (step.ours + before.0) as f64 / 2.0;
        before = (step.ours, step.others);
    }
    Some(area / (ours as f64 * others as f64))
}

/// Average precision: the sum over thresholds of precision times the recall gained there, without interpolation. None
/// where no row is of the class.
pub(super) fn average_precision(scores: &[f64], is_class: &[bool]) -> Option<f64> {
    let steps = cumulative(scores, is_class);
    let ours = steps.last().map(|step| step.ours).filter(|&ours| ours > 0)?;
    let mut before = 0;
    let mut sum = 0.0;
    for Step { ours: here, others, .. } in steps {
        sum += here as f64 / (here + others) as f64 * (here - before) as f64;
        before = here;
    }
    Some(sum / ours as f64)
}
