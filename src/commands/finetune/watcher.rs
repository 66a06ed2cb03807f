//! Whoever watches a training: tells how far it is, keeps checkpoints, hears Ctrl-C.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde_json::Value;

use crate::commands::interrupt::Interrupt;
use crate::commands::progress::Progress;
use crate::finetune::{Observer, TrainError, Trainer};
use crate::history::{Epoch, Step, Validation};

/// The eyes of the run.
pub(super) struct Watcher {
    pub(super) progress: Progress,
    pub(super) interrupt: Interrupt,
    pub(super) checkpoint: PathBuf,
    pub(super) checkpoint_steps: NonZeroUsize,
    /// What decides the bytes.
    pub(super) of: Value,
    /// Steps in all, if no patience ends.
    pub(super) steps: usize,
}

impl Observer for Watcher {
    fn step(&mut self, record: &Step, images: usize) {
        self.progress.note(format!("step {}/{}, loss {:.4}", record.step, self.steps, record.loss));
        self.progress.advance(images, 0);
    }

    fn epoch(&mut self, record: &Epoch) {
        self.progress.line(told(record));
    }

    fn is_stop_wanted(&self) -> bool {
        self.interrupt.is_wanted()
    }

    fn wants_checkpoint(&self, step: usize) -> bool {
        step.is_multiple_of(self.checkpoint_steps.get())
    }

    fn checkpoint(&mut self, trainer: &mut Trainer) -> Result<(), TrainError> {
        trainer.write_checkpoint(&self.checkpoint, &self.of)
    }
}

/// `epoch 3: loss 0.4123; watched: loss 0.5012, accuracy 0.8125`.
fn told(record: &Epoch) -> String {
    let watched = record.validation.map_or_else(String::new, |Validation { loss, accuracy }| {
        format!("; watched: loss {loss:.4}, accuracy {accuracy:.4}")
    });
    format!("epoch {}: loss {:.4}{watched}", record.epoch, record.train_loss)
}
