//! Which batch takes maps of these shapes: one that is there, or a new one.

use super::super::cudnn::Handle;
use super::super::error::{CudaError, Result};
use super::super::tuner::Tuner;
use super::batch::Batch;
use super::maker::Maker;
use super::model::Model;
use crate::engine::trainable::Pass;

/// Batches that are kept of each kind: full ones, and the last of an epoch.
const KEPT: usize = 2;

/// The batches that there are.
pub struct Batches {
    /// To learn from; the one that was used last is last.
    train: Vec<Batch>,
    /// To look at. They have activations of their own: what is kept to go back through stays.
    evaluate: Vec<Batch>,
    tuner: Tuner,
    /// After what was made with it.
    handle: Handle,
}

impl Batches {
    /// None yet.
    pub fn new(handle: Handle, tuner: Tuner) -> Self {
        Self { train: Vec::new(), evaluate: Vec::new(), tuner, handle }
    }

    /// cuDNN on the card's stream.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The batch that was used last.
    pub fn last(&self, pass: Pass) -> Option<&Batch> {
        match pass {
            Pass::Train => self.train.last(),
            Pass::Evaluate => self.evaluate.last(),
        }
    }

    /// Makes the batch of these shapes the last. Where memory is not enough for a new one, others go, but for one that is `kept` to go
    /// back through.
    ///
    /// # Errors
    /// As [`Maker::make`]; out of memory with a way out.
    pub fn require(
        &mut self,
        model: &Model,
        shapes: &[[usize; 4]],
        sizes: &[[usize; 2]],
        pass: Pass,
        kept: bool,
    ) -> Result<()> {
        model.card.context()?;
        let ready = self.of(pass);
        let batch = if let Some(at) = ready.iter().position(|batch| batch.shapes == shapes) {
            ready.remove(at)
        } else {
            if ready.len() >= KEPT {
                model.card.stream.synchronize()?;
                ready.remove(0);
            }
            self.make(model, shapes, sizes, pass, kept)?
        };
        self.of(pass).push(batch);
        Ok(())
    }

    fn of(&mut self, pass: Pass) -> &mut Vec<Batch> {
        match pass {
            Pass::Train => &mut self.train,
            Pass::Evaluate => &mut self.evaluate,
        }
    }

    fn make(
        &mut self,
        model: &Model,
        shapes: &[[usize; 4]],
        sizes: &[[usize; 2]],
        pass: Pass,
        kept: bool,
    ) -> Result<Batch> {
        let mut made = Maker { model, handle: &self.handle }.make(&mut self.tuner, shapes, sizes, pass);
        if matches!(&made, Err(error) if error.is_out_of_memory()) {
            model.card.stream.synchronize()?;
            self.evaluate.clear();
            if !kept {
                self.train.clear();
            }
            self.tuner.forget_plans();
            made = Maker { model, handle: &self.handle }.make(&mut self.tuner, shapes, sizes, pass);
        }
        self.tuner.finish();
        made.map_err(|error| match error {
            error if error.is_out_of_memory() => {
                CudaError::BatchTooLarge { images: shapes.first().map_or(0, |of| of[0]) }
            }
            error => error,
        })
    }
}
