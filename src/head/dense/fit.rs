//! The loop over epochs, and when it ends.

use std::num::NonZeroUsize;

use ndarray::ArrayView1;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{Dense, Dropout, Samples, SamplesError, Trainer};
use crate::head::most_probable;

/// More would be 0.5 GB of weights on 2048 features, and as much again for each of gradients, velocity and the best epoch.
const MOST_HIDDEN: usize = 1 << 16;

/// How a dense head is trained.
#[derive(Clone, Debug)]
pub struct DenseParams {
    /// Units of the hidden layer, H.
    pub hidden: NonZeroUsize,
    /// Passes over the rows, at most.
    pub epochs: NonZeroUsize,
    /// Rows in a step, B; the last step of an epoch takes what is left.
    pub batch_size: NonZeroUsize,
    /// RMSprop's.
    pub learning_rate: f64,
    /// The part of the hidden units that is left out of each step, in [0, 1).
    pub dropout: f64,
    /// Epochs without a better loss of the watched rows, after which training ends.
    pub patience: NonZeroUsize,
    /// Decides the first weights, the order of the rows and what is dropped.
    pub seed: u64,
}

/// Keras' defaults where it has any, those of `fit-head` else.
impl Default for DenseParams {
    fn default() -> Self {
        let number = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self {
            hidden: number(1024),
            epochs: number(50),
            batch_size: number(32),
            learning_rate: 1e-4,
            dropout: 0.0,
            patience: number(5),
            seed: 0,
        }
    }
}

/// A trained head, and how it came about.
#[derive(Clone, Debug)]
pub struct Training {
    /// With the weights of the best epoch.
    pub dense: Dense,
    /// Epoch by epoch.
    pub history: Vec<Epoch>,
    /// The position in `history` of the lowest loss of the watched rows; the last one where none are watched.
    pub best_epoch: usize,
}

/// One pass over the rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Epoch {
    /// Mean loss of the rows trained on, each with the weights of its step, dropout and all.
    pub train_loss: f64,
    /// What the watched rows say after it.
    pub validation: Option<Validation>,
}

/// What watched rows say of a head.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// Mean over the rows of weight times cross-entropy.
    pub loss: f64,
    /// The part of the rows whose most probable class is theirs.
    pub accuracy: f64,
}

/// Why no head was trained.
#[derive(Debug, thiserror::Error)]
pub enum DenseError {
    /// The loss or a weight is infinite or no number.
    #[error("training diverged in epoch {epoch}: lower the learning rate (--learning-rate, now {learning_rate})")]
    Diverged {
        /// Counted from 1.
        epoch: usize,
        /// By which.
        learning_rate: f64,
    },
    /// A parameter that nothing can be trained by.
    #[error("{0}")]
    Params(String),
    /// The rows to train on.
    #[error("the rows to train on cannot be used")]
    Train(#[source] SamplesError),
    /// The rows to watch.
    #[error("the rows to watch cannot be used")]
    Watch(#[source] SamplesError),
    /// The tensor library.
    #[error("a step of training failed")]
    Candle(#[from] candle_core::Error),
}

impl DenseParams {
    /// Trains a head of K `classes` and calls `each_epoch` after each. Where rows are watched, training ends early once
    /// their loss has not become better for `patience` epochs, and the best epoch's head is given. The same arguments
    /// give the same bits.
    ///
    /// # Errors
    /// Where the parameters or the samples cannot be used, where training diverges, and those of candle.
    pub fn fit(
        &self,
        train: Samples<'_>,
        watch: Option<Samples<'_>>,
        classes: usize,
        each_epoch: &mut dyn FnMut(&Epoch),
    ) -> Result<Training, DenseError> {
        self.check(&train, watch.as_ref(), classes)?;
        // A stream a purpose: dropout changes neither the first weights nor the order of the rows.
        let rng = |stream| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(stream);
            rng
        };
        let start = Dense::glorot_uniform(train.rows.ncols(), self.hidden.get(), classes, &mut rng(0));
        let dropout = (self.dropout > 0.0).then(|| Dropout { rate: self.dropout, rng: rng(2) });
        let mut trainer = Trainer::new(&start, self.learning_rate, dropout)?;
        let (mut order, mut order_rng): (Vec<usize>, _) = ((0..train.len()).collect(), rng(1));

        let mut training = Training { dense: start, history: Vec::new(), best_epoch: 0 };
        for epoch in 0..self.epochs.get() {
            order.shuffle(&mut order_rng);
            let train_loss = self.pass(&mut trainer, &train, &order)?;
            let dense = trainer.dense()?;
            let validation = watch.as_ref().map(|watch| Validation::of(&dense, watch));
            let loss = validation.map_or(train_loss, |validation| validation.loss);
            if !(train_loss.is_finite() && loss.is_finite() && dense.is_finite()) {
                return Err(DenseError::Diverged { epoch: epoch + 1, learning_rate: self.learning_rate });
            }
            training.history.push(Epoch { train_loss, validation });
            each_epoch(&training.history[epoch]);
            if training.is_best(epoch) {
                (training.dense, training.best_epoch) = (dense, epoch);
            } else if epoch - training.best_epoch >= self.patience.get() {
                break;
            }
        }
        Ok(training)
    }

    /// Steps over all rows in this order. Gives their mean loss, a batch counting by its size; no number as soon as it is none.
    fn pass(&self, trainer: &mut Trainer, train: &Samples<'_>, order: &[usize]) -> Result<f64, DenseError> {
        let mut sum = 0.0;
        for positions in order.chunks(self.batch_size.get()) {
            sum += f64::from(trainer.step(train.batch(positions))?) * positions.len() as f64;
            if !sum.is_finite() {
                break;
            }
        }
        Ok(sum / order.len() as f64)
    }

    fn check(&self, train: &Samples<'_>, watch: Option<&Samples<'_>>, classes: usize) -> Result<(), DenseError> {
        let wrong = |what: String| Err(DenseError::Params(what));
        if self.hidden.get() > MOST_HIDDEN {
            return wrong(format!("a hidden layer of {} units is too large: at most {MOST_HIDDEN}", self.hidden));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return wrong(format!("the learning rate {} is not above 0", self.learning_rate));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return wrong(format!("a dropout of {} is not from 0 on, below 1", self.dropout));
        }
        let features = train.rows.ncols();
        train.check(features, classes).map_err(DenseError::Train)?;
        watch.map_or(Ok(()), |watch| watch.check(features, classes)).map_err(DenseError::Watch)
    }
}

impl Training {
    /// Whether an epoch that was just added is better than the best one so far; unwatched, each is better than the one before.
    fn is_best(&self, epoch: usize) -> bool {
        match (self.history[epoch].validation, self.history[self.best_epoch].validation) {
            (Some(new), Some(best)) => epoch == 0 || new.loss < best.loss,
            _ => true,
        }
    }
}

impl Validation {
    /// What these rows say, at least one, of a head that takes them.
    #[must_use]
    pub fn of(dense: &Dense, watch: &Samples<'_>) -> Self {
        let logits = dense.logits(watch.rows);
        let (mut loss, mut right) = (0.0, 0);
        for (position, (logits, &label)) in logits.rows().into_iter().zip(watch.labels).enumerate() {
            loss += f64::from(watch.weight(position)) * cross_entropy(logits, label);
            right += usize::from(most_probable(logits) == Some(label));
        }
        let count = watch.len() as f64;
        Self { loss: loss / count, accuracy: right as f64 / count }
    }
}

/// -ln of the softmax of the label's logit.
fn cross_entropy(logits: ArrayView1<'_, f32>, label: usize) -> f64 {
    let largest = f64::from(logits.fold(f32::NEG_INFINITY, |largest, &logit| largest.max(logit)));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
    sum.ln() + largest - f64::from(logits[label])
}
