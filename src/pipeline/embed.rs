//! Batches of decoded images through the network.

use candle_core::Result;

use super::Decoded;
use crate::engine::{Engine, network_input};
use crate::image::Normalise;

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
pub struct Embed<'a, I> {
    decoded: I,
    engine: &'a dyn Engine,
    normalise: Normalise,
    batch_size: usize,
}

impl<'a, I: Iterator<Item = Decoded>> Embed<'a, I> {
    /// Puts the engine behind the decoder.
    pub fn new(decoded: I, engine: &'a dyn Engine, normalise: Normalise, batch_size: usize) -> Self {
        Self { decoded, engine, normalise, batch_size: batch_size.max(1) }
    }
}

impl<I: Iterator<Item = Decoded>> Iterator for Embed<'_, I> {
    /// # Errors
    /// Those of the engine.
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
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
            return None;
        }
        if images.is_empty() {
            return Some(Ok(batch));
        }
        let input = network_input(&images, &self.normalise, self.engine.device());
        drop(images);
        let rows = input.and_then(|input| self.engine.run(&input)?.flatten_all()?.to_vec1());
        Some(rows.map(|rows| Batch { rows, ..batch }))
    }
}
