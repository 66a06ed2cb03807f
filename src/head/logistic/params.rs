//! What a fit is asked for, held to sense before it begins (linfa's way: params, `check`, valid params, `fit`).

use linfa::ParamGuard;

use super::LogisticError;

/// Penalties beyond these leave float32, in which the path is walked.
const POSSIBLE: std::ops::RangeInclusive<f64> = 1e-30..=1e30;

/// Strengths of the penalty to choose from. They are tried from strong to weak, until two in a row are worse than the best:
/// the loss of held-out rows has one valley.
#[derive(Clone, Debug, PartialEq)]
pub enum Alphas {
    /// Half decades, from 10,000 (with more rows than that, from as many) down to 0.0001.
    HalfDecades,
    /// These.
    Listed(Vec<f64>),
}

/// The parameters of a fit, not yet checked.
#[derive(Clone, Debug)]
pub struct LogisticParams(LogisticValidParams);

/// The parameters of a fit.
#[derive(Clone, Debug)]
pub struct LogisticValidParams {
    pub(super) classes: usize,
    pub(super) folds: Vec<usize>,
    pub(super) alphas: Alphas,
}

impl LogisticParams {
    /// A fit of K classes that chooses its penalty by the folds, a number for each row.
    #[must_use]
    pub fn new(classes: usize, folds: Vec<usize>) -> Self {
        Self(LogisticValidParams { classes, folds, alphas: Alphas::HalfDecades })
    }

    /// The penalties to choose from.
    #[must_use]
    pub fn alphas(self, alphas: Alphas) -> Self {
        Self(LogisticValidParams { alphas, ..self.0 })
    }
}

impl ParamGuard for LogisticParams {
    type Checked = LogisticValidParams;
    type Error = LogisticError;

    fn check_ref(&self) -> Result<&LogisticValidParams, LogisticError> {
        let LogisticValidParams { classes, folds, alphas } = &self.0;
        if *classes < 2 {
            return Err(LogisticError::OneClass);
        }
        let count = folds.iter().max().map_or(0, |&last| last.saturating_add(1));
        if count < 2 || (0..count).any(|fold| !folds.contains(&fold)) {
            return Err(LogisticError::Folds);
        }
        match alphas {
            Alphas::Listed(alphas) if alphas.is_empty() => Err(LogisticError::Alpha(f64::NAN)),
            Alphas::Listed(alphas) => match alphas.iter().find(|alpha| !POSSIBLE.contains(*alpha)) {
                Some(&alpha) => Err(LogisticError::Alpha(alpha)),
                None => Ok(&self.0),
            },
            Alphas::HalfDecades => Ok(&self.0),
        }
    }

    fn check(self) -> Result<LogisticValidParams, LogisticError> {
        self.check_ref()?;
        Ok(self.0)
    }
}
