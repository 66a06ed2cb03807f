//! The loop: epochs of steps of batches, until nothing gets better.
//!
//! ```text
//! epoch ─▶ order of the rows, by seed and epoch
//!   step ─▶ batch_size rows, `accumulate` times: features, head, loss, gradients added up
//!        ─▶ norm of all gradients, clipped ─▶ optimisers, by the schedule's rate
//!   end  ─▶ watched rows: loss, accuracy ─▶ the best epoch's weights are kept; without a better one for `patience` epochs, it is over
//! ```
//!
//! A loss or a gradient that is no number ends the training before it can be stepped by, and the best epoch's weights stand.

use std::num::NonZeroUsize;

use candle_core::Tensor;
use ndarray::{Array2, ArrayView2, ShapeError};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{CrossEntropy, Decay, Item, Optimiser, Rule, Schedule, Source, SourceError, TrainableHead, Views};
use crate::engine::trainable::{Parameter, Pass, Trainable, clip_scale, squared_norm};
use crate::head::most_probable;
use crate::history::{Epoch, History, Step, Validation};

/// How it is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingParams {
    /// Passes over the rows, at most.
    pub epochs: NonZeroUsize,
    /// Rows that go through the network together.
    pub batch_size: NonZeroUsize,
    /// Batches to a step.
    pub accumulate: NonZeroUsize,
    /// The highest.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises.
    pub warmup_steps: usize,
    /// What becomes of it then.
    pub decay: Decay,
    /// The optimiser.
    pub rule: Rule,
    /// Of kernels and the head's weights.
    pub weight_decay: f64,
    /// The longest gradient, of all parameters together, that is stepped by as it is.
    pub clip_norm: Option<f64>,
    /// Epochs without a better loss of the watched rows, after which training ends.
    pub patience: NonZeroUsize,
    /// Decides the order of the rows.
    pub seed: u64,
}

impl TrainingParams {
    /// Steps in an epoch of so many rows; the last one takes what is left.
    #[must_use]
    pub const fn steps_of_epoch(&self, rows: usize) -> usize {
        rows.div_ceil(self.batch_size.get().saturating_mul(self.accumulate.get()))
    }

    fn schedule(&self, rows: usize) -> Schedule {
        Schedule {
            learning_rate: self.learning_rate,
            warmup_steps: self.warmup_steps,
            decay: self.decay,
            steps: self.steps_of_epoch(rows).saturating_mul(self.epochs.get()),
        }
    }

    /// The order of the rows in an epoch: a function of the seed and the epoch alone.
    fn order(&self, rows: usize, epoch: usize) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(epoch as u64);
        let mut order: Vec<usize> = (0..rows).collect();
        order.shuffle(&mut rng);
        order
    }
}

/// Images with known classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// `[N]`, positions among the candidates.
    pub candidates: Vec<usize>,
    /// `[N]`, below K.
    pub labels: Vec<usize>,
}

impl Rows {
    /// N.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }
}

/// How far a training is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Epochs that are whole.
    pub epoch: usize,
    /// Steps of the next one that are done.
    pub step: usize,
    /// The sum of its losses so far, each times what its rows count,
    pub loss: f64,
    /// and what they count together.
    pub weight: f64,
    /// Whether patience has ended.
    pub is_over: bool,
}

/// All numbers that training changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The network's, in the order of its parameters.
    pub parameters: Vec<f32>,
    /// The running statistics of batch norms that train.
    pub statistics: Vec<f32>,
    /// The head's.
    pub head: Vec<f32>,
}

/// How a run of the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done, or patience is.
    Done,
    /// The observer wanted it.
    Stopped,
    /// A loss or a gradient was no number, at this step, counted from 1.
    Diverged {
        /// It.
        step: usize,
    },
}

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A batch could not be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The network or its device refuses.
    #[error("a step of training failed")]
    Candle(#[from] candle_core::Error),
    /// The head takes other features than the network gives.
    #[error("the head does not fit the network's features")]
    Shape(#[from] ShapeError),
    /// The observer could not keep a checkpoint.
    #[error("the checkpoint could not be written")]
    Checkpoint(#[source] crate::whole_file::WriteError),
}

/// Whoever watches a training.
pub trait Observer {
    /// After each step, which took so many images.
    fn step(&mut self, record: &Step, images: usize);

    /// After each epoch.
    fn epoch(&mut self, record: &Epoch);

    /// Whether training is to stop here; asked after each step.
    fn is_stop_wanted(&self) -> bool;

    /// Whether a checkpoint is to be kept after this step, counted from 1.
    fn wants_checkpoint(&self, step: usize) -> bool;

    /// A checkpoint: after an epoch, where one is wanted, and before the training stops.
    ///
    /// # Errors
    /// Where it cannot be kept; training then ends.
    fn checkpoint(&mut self, trainer: &mut Trainer) -> Result<(), TrainError>;
}

/// A network and a head in training.
pub struct Trainer {
    pub(super) network: Box<dyn Trainable>,
    pub(super) head: TrainableHead,
    loss: CrossEntropy,
    params: TrainingParams,
    pub(super) network_optimiser: Optimiser,
    pub(super) head_optimiser: Optimiser,
    pub(super) position: Position,
    pub(super) history: History,
    pub(super) best: Option<Snapshot>,
}

impl Trainer {
    /// Training from a network and a head as they are.
    #[must_use]
    pub fn new(network: Box<dyn Trainable>, head: TrainableHead, loss: CrossEntropy, params: TrainingParams) -> Self {
        let optimiser = |decayed, len| Optimiser::new(params.rule, params.weight_decay, decayed, len);
        let kernels = network.parameters().iter().filter(|parameter| parameter.shape.len() > 1);
        let kernels = kernels.map(|parameter| parameter.range.clone()).collect();
        let len = network.parameters().last().map_or(0, |parameter| parameter.range.end);
        let network_optimiser = optimiser(kernels, len);
        let head_optimiser = optimiser(head.matrices(), head.values().len());
        Self {
            network,
            head,
            loss,
            params,
            network_optimiser,
            head_optimiser,
            position: Position::default(),
            history: History::default(),
            best: None,
        }
    }

    /// What happened so far.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// How far it is.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &dyn Trainable {
        self.network.as_ref()
    }

    /// The head.
    #[must_use]
    pub const fn head(&self) -> &TrainableHead {
        &self.head
    }

    /// Another head to start from, of the same shape.
    pub fn start_from(&mut self, head: TrainableHead) {
        self.head = head;
    }

    /// Features [N, 2048] of the plain views of some candidates, as the network stands; `each` is told of every batch.
    ///
    /// # Errors
    /// Where a batch cannot be had or the network refuses.
    pub fn features(
        &mut self,
        source: &dyn Source,
        candidates: &[usize],
        each: &mut dyn FnMut(usize),
    ) -> Result<Array2<f32>, TrainError> {
        let items = |chunk: &[usize]| chunk.iter().map(|&candidate| Item { candidate, view: 0 }).collect();
        let batches: Vec<Vec<Item>> = candidates.chunks(self.params.batch_size.get()).map(items).collect();
        let (mut numbers, mut rows) = (Vec::new(), 0);
        for maps in source.batches(batches) {
            let features = array(&self.network.features(&maps?, Pass::Evaluate)?)?;
            rows += features.nrows();
            numbers.extend(features.iter());
            each(features.nrows());
        }
        let columns = numbers.len().checked_div(rows).unwrap_or(0);
        Ok(Array2::from_shape_vec((rows, columns), numbers)?)
    }

    /// What rows with these features and labels say of the head as it stands.
    ///
    /// # Errors
    /// Where the head takes other features.
    pub fn validation(&self, features: ArrayView2<'_, f32>, labels: &[usize]) -> Result<Validation, TrainError> {
        let logits = self.head.forward(features)?.logits;
        let right = logits.rows().into_iter().zip(labels).filter(|(row, label)| most_probable(*row) == Some(**label));
        let accuracy = right.count() as f64 / labels.len().max(1) as f64;
        // Smoothing is a means of training; what is watched is what the head is for.
        let plain = CrossEntropy { smoothing: 0.0, ..self.loss.clone() };
        Ok(Validation { loss: plain.mean(logits.view(), labels), accuracy })
    }

    /// Looks at the watched rows before the first step.
    ///
    /// # Errors
    /// As [`Self::features`].
    pub fn look_at_start(&mut self, source: &dyn Source, watch: &Rows) -> Result<Option<Validation>, TrainError> {
        self.history.start = self.watched(source, watch)?;
        Ok(self.history.start)
    }

    /// Trains on, from where it stands to an end.
    ///
    /// # Errors
    /// Where a batch cannot be had, the network refuses, or a checkpoint cannot be kept.
    pub fn run(
        &mut self,
        source: &dyn Source,
        views: &Views,
        train: &Rows,
        watch: &Rows,
        observer: &mut dyn Observer,
    ) -> Result<Ending, TrainError> {
        while self.position.epoch < self.params.epochs.get() && !self.position.is_over {
            let ending = self.epoch(source, views, train, observer)?;
            if ending != Ending::Done {
                return Ok(ending);
            }
            let validation = self.watched(source, watch)?;
            if validation.is_some_and(|validation| !validation.loss.is_finite()) {
                return Ok(Ending::Diverged { step: self.history.steps.len() });
            }
            self.end_epoch(validation)?;
            if let Some(record) = self.history.epochs.last() {
                observer.epoch(&record.clone());
            }
            observer.checkpoint(self)?;
        }
        Ok(Ending::Done)
    }

    /// The steps of an epoch that are left.
    fn epoch(
        &mut self,
        source: &dyn Source,
        views: &Views,
        train: &Rows,
        observer: &mut dyn Observer,
    ) -> Result<Ending, TrainError> {
        let (epoch, batch_size) = (self.position.epoch, self.params.batch_size.get());
        let schedule = self.params.schedule(train.len());
        let order = self.params.order(train.len(), epoch);
        let steps: Vec<&[usize]> =
            order.chunks(batch_size.saturating_mul(self.params.accumulate.get())).skip(self.position.step).collect();
        let items = |rows: &[usize]| {
            let candidates = rows.iter().map(|&row| train.candidates[row]);
            candidates.map(|candidate| Item { candidate, view: views.of_epoch(candidate, epoch) }).collect()
        };
        let batches = steps.iter().flat_map(|rows| rows.chunks(batch_size)).map(items).collect();
        let mut maps = source.batches(batches);
        for rows in steps {
            let step = self.history.steps.len() + 1;
            let label = |rows: &[usize]| rows.iter().map(|&row| train.labels[row]).collect::<Vec<_>>();
            let divisor = self.loss.weight(&label(rows));
            let mut loss = 0.0;
            for rows in rows.chunks(batch_size) {
                // As many batches come as were asked for.
                let Some(maps) = maps.next() else { return Ok(Ending::Stopped) };
                loss += self.add_gradients(&maps?, &label(rows), divisor)?;
                if !loss.is_finite() {
                    return Ok(Ending::Diverged { step });
                }
            }
            let learning_rate = schedule.rate(step - 1);
            let gradient_norm = self.step(learning_rate)?;
            if !gradient_norm.is_finite() {
                return Ok(Ending::Diverged { step });
            }
            self.position.step += 1;
            self.position.loss += loss * divisor;
            self.position.weight += divisor;
            let record = Step { step, epoch: epoch + 1, loss, learning_rate };
            self.history.steps.push(record);
            observer.step(&record, rows.len());
            let is_stop_wanted = observer.is_stop_wanted();
            if is_stop_wanted || observer.wants_checkpoint(step) {
                observer.checkpoint(self)?;
            }
            if is_stop_wanted {
                return Ok(Ending::Stopped);
            }
        }
        Ok(Ending::Done)
    }

    /// Adds to all gradients those of a batch. Gives its part of the step's loss.
    fn add_gradients(&mut self, maps: &[Tensor], labels: &[usize], divisor: f64) -> Result<f64, TrainError> {
        let features = array(&self.network.features(maps, Pass::Train)?)?;
        let pass = self.head.forward(features.view())?;
        let (loss, by_logits) = self.loss.with_gradient(pass.logits.view(), labels, divisor);
        let by_features = self.head.backward(features.view(), &pass, by_logits)?;
        let shape = by_features.dim();
        let (by_features, _) = by_features.into_raw_vec_and_offset();
        self.network.backward(&Tensor::from_vec(by_features, shape, self.network.device())?)?;
        Ok(loss)
    }

    /// Moves all parameters and sets the gradients to zero. Gives the gradients' norm; where that is no number, nothing has moved.
    fn step(&mut self, learning_rate: f64) -> Result<f64, TrainError> {
        let Self { network, head, network_optimiser, head_optimiser, params, .. } = self;
        let of_head = squared_norm(head.gradients());
        let (mut norm, mut scale) = (0.0_f64, 1.0);
        network.step(network_optimiser, learning_rate, &mut |of_network| {
            norm = (of_network + of_head).sqrt();
            scale = clip_scale(norm, params.clip_norm);
            norm.is_finite().then_some(scale)
        })?;
        if norm.is_finite() {
            let (values, gradients) = head.values_and_gradients();
            head_optimiser.step(values, gradients, learning_rate, scale);
        }
        Ok(norm)
    }

    fn watched(&mut self, source: &dyn Source, watch: &Rows) -> Result<Option<Validation>, TrainError> {
        if watch.is_empty() {
            return Ok(None);
        }
        let features = self.features(source, &watch.candidates, &mut |_| ())?;
        self.validation(features.view(), &watch.labels).map(Some)
    }

    /// Notes an epoch, keeps it where it is the best one, and sees whether patience has ended.
    fn end_epoch(&mut self, validation: Option<Validation>) -> Result<(), TrainError> {
        let Position { epoch, loss, weight, .. } = self.position;
        self.history.epochs.push(Epoch { epoch: epoch + 1, train_loss: loss / weight, validation });
        let best = self.history.best_epoch;
        let best_loss = best.and_then(|best| self.history.epochs[best - 1].validation).map(|best| best.loss);
        let is_best = match (validation, best_loss) {
            (Some(validation), Some(best)) => validation.loss < best,
            _ => true,
        };
        if is_best {
            self.history.best_epoch = Some(epoch + 1);
            self.best = Some(self.snapshot()?);
        }
        let is_over = best.is_some_and(|best| !is_best && epoch + 1 - best >= self.params.patience.get());
        self.position = Position { epoch: epoch + 1, is_over, ..Position::default() };
        Ok(())
    }

    /// All numbers as they stand.
    ///
    /// # Errors
    /// Those of candle.
    pub fn snapshot(&mut self) -> Result<Snapshot, candle_core::Error> {
        let (mut parameters, mut statistics) = (Vec::new(), Vec::new());
        self.network.update(&mut |values, _| parameters = values.to_vec())?;
        self.network.update_statistics(&mut |values| statistics = values.to_vec())?;
        Ok(Snapshot { parameters, statistics, head: self.head.values().to_vec() })
    }

    /// Sets all numbers; false, and nothing is set, where they are not as many.
    ///
    /// # Errors
    /// Those of candle.
    pub fn set(&mut self, snapshot: &Snapshot) -> Result<bool, candle_core::Error> {
        let mut fits = self.head.values().len() == snapshot.head.len();
        let len = |parameters: &[Parameter]| parameters.last().map_or(0, |last| last.range.end);
        fits &= len(self.network.parameters()) == snapshot.parameters.len();
        fits &= len(self.network.statistics()) == snapshot.statistics.len();
        if fits {
            self.head.values_and_gradients().0.copy_from_slice(&snapshot.head);
            self.network.update(&mut |values, _| values.copy_from_slice(&snapshot.parameters))?;
            if !snapshot.statistics.is_empty() {
                self.network.update_statistics(&mut |values| values.copy_from_slice(&snapshot.statistics))?;
            }
        }
        Ok(fits)
    }

    /// The best epoch's numbers, where an epoch is whole.
    #[must_use]
    pub const fn best(&self) -> Option<&Snapshot> {
        self.best.as_ref()
    }
}

/// Features on the CPU.
fn array(features: &Tensor) -> Result<Array2<f32>, TrainError> {
    let shape = features.dims2()?;
    Ok(Array2::from_shape_vec(shape, features.flatten_all()?.to_vec1()?)?)
}
