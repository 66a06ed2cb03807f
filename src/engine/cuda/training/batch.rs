//! What is ready to run for batches of one shape: memory, what the card does forward and back, each captured as a graph.
#![expect(unsafe_code, reason = "works on addresses in memory that this keeps")]

use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::super::captured::Captured;
use super::super::cudnn::Handle;
use super::super::error::Result;
use super::super::map::Map;
use super::super::memory::Memory;
use super::super::work::Work;
use super::arena::Arena;
use super::back::Back;
use super::model::Model;

/// What batches of one shape need.
pub struct Batch {
    /// By group of the border, `[images, height, width, channels]`.
    pub shapes: Vec<[usize; 4]>,
    forward: (Captured, Vec<Work>),
    /// None of what is only looked at.
    back: Option<(Captured, Vec<Back>)>,
    ends: Ends,
    /// What all the addresses are in.
    _memory: (Vec<Arena>, Vec<Memory>),
}

/// Where a batch begins and ends.
pub struct Ends {
    /// The maps of each group.
    pub inputs: Vec<Map>,
    /// `[images, channels]`, float32,
    pub features: CUdeviceptr,
    /// and the gradient by them.
    pub by_features: CUdeviceptr,
}

/// All that a batch does.
pub struct Works {
    /// From the inputs to the features.
    pub forward: Vec<Work>,
    /// From the gradient by these to those of the parameters, where somebody learns from the batch.
    pub back: Option<Vec<Back>>,
}

impl Batch {
    /// Takes works on memory that it keeps, runs them once and captures them. All of that memory is zero, and so zeros are added to
    /// the gradients.
    ///
    /// # Safety
    /// All addresses are in that memory, with room for the shapes, or in memory of the model, which outlives the batch; and nobody on
    /// another stream touches it.
    ///
    /// # Errors
    /// Those of the driver and of cuDNN.
    pub unsafe fn new(
        model: &Model,
        handle: &Handle,
        shapes: Vec<[usize; 4]>,
        works: Works,
        ends: Ends,
        memory: (Vec<Arena>, Vec<Memory>),
    ) -> Result<Self> {
        let Works { forward, back } = works;
        let stream = &model.card.stream;
        // SAFETY (of both): the caller answers for the addresses; all work on them is on this stream.
        let captured = Captured::new(stream, || unsafe { send_forward(&forward, model, handle) })?;
        let back = match back {
            Some(works) => Some((Captured::new(stream, || unsafe { send_back(&works, model, handle) })?, works)),
            None => None,
        };
        Ok(Self { shapes, forward: (captured, forward), back, ends, _memory: memory })
    }

    /// Where it begins and ends.
    pub const fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Sends the way from the inputs to the features to the card's stream.
    ///
    /// # Errors
    /// Those of the driver and of cuDNN.
    pub fn forward(&self, model: &Model, handle: &Handle) -> Result<()> {
        let (captured, works) = &self.forward;
        // SAFETY: as in `new`.
        captured.run(|| unsafe { send_forward(works, model, handle) })
    }

    /// Sends the way back.
    ///
    /// # Errors
    /// Those of the driver and of cuDNN.
    pub fn back(&self, model: &Model, handle: &Handle) -> Result<()> {
        let Some((captured, works)) = &self.back else { return Ok(()) };
        // SAFETY: as in `new`.
        captured.run(|| unsafe { send_back(works, model, handle) })
    }
}

/// # Safety
/// As [`Work::send`].
unsafe fn send_forward(works: &[Work], model: &Model, handle: &Handle) -> Result<()> {
    // SAFETY: the caller answers for it.
    works.iter().try_for_each(|work| unsafe { work.send(&model.card, handle) })
}

/// # Safety
/// As [`Back::send`].
unsafe fn send_back(works: &[Back], model: &Model, handle: &Handle) -> Result<()> {
    // SAFETY: the caller answers for it.
    works.iter().try_for_each(|work| unsafe { work.send(model, handle) })
}
