//! Batches of decoded images through the network.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use candle_core::{Error, Result, bail};

use super::Decoded;
use super::lanes::Lanes;
use crate::engine::Engine;
use crate::image::{Normalise, Pixels};
use crate::panics;

/// What became of some consecutive candidates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// How many candidates, rows and rejected ones together.
    pub candidates: usize,
    /// The rows, one after the other, in the order of the candidates that gave one.
    pub rows: Vec<f32>,
    /// Candidates without a row, by position, and why; in order.
    pub rejected: Vec<(usize, String)>,
}

impl Batch {
    /// The positions of the candidates that gave a row, in the order of the rows, where `first` is that of the batch's first
    /// candidate.
    pub fn accepted(&self, first: usize) -> impl Iterator<Item = usize> {
        let mut rejected = self.rejected.iter().map(|(candidate, _)| *candidate).peekable();
        (first..first + self.candidates).filter(move |candidate| rejected.next_if_eq(candidate).is_none())
    }
}

/// An iterator that runs decoded images through an engine, `batch_size` of them at a time; what could not be decoded
/// travels along with its neighbours.
///
/// Two batches are on their way at any time, for each of several devices: while the last images of one are finished, the threads
/// that have nothing left of it take up the next; in front of a card, the next one's pixels are brought.
pub struct Embed<I> {
    decoded: I,
    engine: Arc<dyn Engine>,
    normalise: Normalise,
    batch_size: usize,
    lanes: Lanes,
    /// In order; each has a channel of its own.
    running: VecDeque<Receiver<Result<Batch>>>,
}

impl<I: Iterator<Item = Decoded>> Embed<I> {
    /// Puts the engine behind the decoder.
    pub fn new(decoded: I, engine: Arc<dyn Engine>, normalise: Normalise, batch_size: usize) -> Self {
        let lanes = if engine.device().is_cpu() { Lanes::of_cpu() } else { Lanes::of_device(engine.lanes()) };
        Self { decoded, engine, normalise, batch_size: batch_size.max(1), lanes, running: VecDeque::new() }
    }

    /// Collects a batch and sends it on its way; false where there are no candidates left.
    fn send(&mut self) -> bool {
        let mut batch = Batch::default();
        let mut images = Vec::with_capacity(self.batch_size);
        while images.len() < self.batch_size {
            let Some(decoded) = self.decoded.next() else { break };
            batch.candidates += 1;
            match decoded.pixels {
                Ok(pixels) => images.push(pixels),
                Err(reason) => batch.rejected.push((decoded.candidate, reason)),
            }
        }
        if batch.candidates == 0 {
            return false;
        }
        let (sender, receiver) = sync_channel(1);
        let (engine, normalise) = (Arc::clone(&self.engine), self.normalise);
        // Where the receiver is gone nobody wants the result any more.
        self.lanes.spawn(move || drop(sender.send(run(engine.as_ref(), &images, &normalise, batch))));
        self.running.push_back(receiver);
        true
    }
}

impl<I: Iterator<Item = Decoded>> Iterator for Embed<I> {
    /// # Errors
    /// Those of the engine.
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        while self.running.len() < self.lanes.ahead() && self.send() {}
        let batch = self.running.pop_front()?;
        Some(batch.recv().unwrap_or_else(|_| bail!("the network's thread ended early")))
    }
}

/// Fills in the rows of a batch.
fn run(engine: &dyn Engine, images: &[Pixels], normalise: &Normalise, batch: Batch) -> Result<Batch> {
    if images.is_empty() {
        return Ok(batch);
    }
    let rows = panics::caught(|| engine.embed(images, normalise)).unwrap_or_else(|words| Err(Error::msg(words)))?;
    Ok(Batch { rows, ..batch })
}
