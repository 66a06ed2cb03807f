//! Which batch takes so many images: the smallest that has room, or a new one.
//!
//! A batch's tail runs where the full batches before it ran, so that an image's row does not depend on how full its batch was.
#![expect(unsafe_code, reason = "passes on what the memory of pixels is named by")]

use std::collections::HashMap;

use candle_core::Error;
use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::arithmetic::Arithmetic;
use super::batch::Batch;
use super::cudnn::Handle;
use super::error::Result;
use super::kernels::Pixels;
use super::maker::Maker;
use super::model::Model;
use super::tuner::Tuner;
use crate::image::Normalise;

/// Batches that are kept, those that were used last.
const KEPT: usize = 4;

/// The batches of an engine, of which one at a time is at work.
pub struct Batches {
    /// The one that was used last is last.
    ready: Vec<Sized>,
    tuner: Tuner,
    /// By size of the images, how many go together at most, where memory once was not enough.
    most: HashMap<[usize; 2], usize>,
    /// What the user should know, not told yet.
    notes: Vec<String>,
    /// After what was made with it.
    handle: Handle,
}

/// A batch and what it is for.
struct Sized {
    size: [usize; 2],
    images: usize,
    batch: Batch,
}

impl Batches {
    /// None yet.
    pub fn new(handle: Handle, tuner: Tuner, arithmetic: Arithmetic) -> Self {
        let first = format!(
            "the first run in {} on this kind of card times cuDNN's engines for each layer, which may take minutes; what it \
             chooses is kept",
            arithmetic.name()
        );
        let notes = if tuner.knows(arithmetic) { Vec::new() } else { vec![first] };
        Self { ready: Vec::new(), tuner, most: HashMap::new(), notes, handle }
    }

    /// How many images of a size go together at most.
    pub fn most(&self, size: [usize; 2]) -> usize {
        self.most.get(&size).copied().unwrap_or(usize::MAX)
    }

    /// What the user should know, once.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Sends so many images of a size through the network, on the card's stream; gives where the result will be.
    ///
    /// # Safety
    /// The pixels are there until the stream is past it, and are not written meanwhile.
    ///
    /// # Errors
    /// As [`Maker::make`], and those of the driver.
    pub unsafe fn run(
        &mut self,
        model: &Model,
        pixels: Pixels,
        size: [usize; 2],
        images: usize,
        normalise: &Normalise,
    ) -> Result<CUdeviceptr> {
        self.require(model, size, images)?;
        let Some(Sized { batch, .. }) = self.ready.last() else { return Err(Error::msg("no batch").into()) };
        // SAFETY: the batch has room for as many; for the pixels the caller answers.
        unsafe { batch.run(&model.card, &self.handle, pixels, images, normalise)? };
        Ok(batch.result())
    }

    /// Makes the batch for so many images of a size the last one: the smallest with room, or a new one.
    fn require(&mut self, model: &Model, size: [usize; 2], images: usize) -> Result<()> {
        model.card.context()?;
        let has_room = |(_, sized): &(usize, &Sized)| sized.size == size && sized.images >= images;
        let found = self.ready.iter().enumerate().filter(has_room).min_by_key(|(_, sized)| sized.images);
        let sized = if let Some((at, _)) = found {
            self.ready.remove(at)
        } else {
            if self.ready.len() >= KEPT {
                model.card.stream.synchronize()?;
                self.ready.remove(0);
            }
            Sized { size, images, batch: self.make(model, size, images)? }
        };
        self.ready.push(sized);
        Ok(())
    }

    /// Memory was not enough for so many images: half as many from now on.
    pub fn halve(&mut self, model: &Model, size: [usize; 2], images: usize) -> Result<()> {
        let half = (images / 2).max(1);
        if self.most(size) <= half {
            // Someone else's turn has found out already.
            return Ok(());
        }
        self.notes.push(format!("the card's memory is too small for {images} images at a time: {half} go together"));
        self.most.insert(size, half);
        self.clear(model)
    }

    /// Makes a batch; where memory is not enough, without those that there are.
    fn make(&mut self, model: &Model, size: [usize; 2], images: usize) -> Result<Batch> {
        let mut made = Maker { model, handle: &self.handle }.make(&mut self.tuner, size, images);
        if !self.ready.is_empty() && matches!(&made, Err(error) if error.is_out_of_memory()) {
            self.clear(model)?;
            made = Maker { model, handle: &self.handle }.make(&mut self.tuner, size, images);
        }
        self.tuner.finish();
        let batch = made?;
        if let Some(reason) = batch.without_graph() {
            self.notes.push(format!("the card's work is sent step by step, which is slower with few images: {reason}"));
        }
        Ok(batch)
    }

    fn clear(&mut self, model: &Model) -> Result<()> {
        model.card.stream.synchronize()?;
        self.ready.clear();
        self.tuner.forget_plans();
        Ok(())
    }
}
