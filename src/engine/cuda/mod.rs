//! The planned engine for NVIDIA cards.
//!
//! ```text
//! once:     Network ─▶ plan (places, steps); Weights ─▶ parameters on the card
//! per size: plan ─▶ layout (addresses) ─▶ an engine of cuDNN for each convolution (tuner) ─▶ batch: launches, captured as one graph
//! always:   pixels ─▶ pinned ─▶ card ─▶ input kernel: normalised, channels last ─▶ graph ─▶ pinned ─▶ rows
//!           bytes, copied while the card computes the batch before
//! ```
//!
//! What is in which file, from the outside in: `staging` brings pixels and takes rows, `batches` says which batch runs, `batch` is ready
//! to run, `maker` makes it, `layout` says where its buffers are, `tuner` chooses engines and `choices` keeps that, `cudnn` describes convolutions to
//! cuDNN, `kernels` are our own, in CUDA C++; `parameters` are the weights, `card` the card.
//!
//! Everything is computed on one stream of the engine's own, in the order in which it was sent there: batches take turns in the same
//! memory, and only copies of pixels go on beside it. A turn is the lock on `batches`: nobody else sends anything to that stream or
//! waits for it, because it may be being captured.
//!
//! The first run on a machine chooses an engine for each convolution by timing what cuDNN proposes, which may take minutes; the choice is
//! kept, and later runs keep to it, see `choices`. Engines that may give other bits the next time are never chosen. So two runs give the
//! same bits, but for the very first beside another first one.
//!
//! In float16 activations are cut off at nothing: past 65504 they are infinite. Those of the published weights do not come near that.

mod arithmetic;
mod batch;
mod batches;
mod card;
mod choices;
mod cudnn;
mod error;
mod kernels;
mod layout;
mod maker;
mod map;
mod memory;
mod model;
mod parameters;
mod staging;
mod tuner;

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::cuda_backend::cudarc::driver::DevicePtr;
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, DType, Device, Result, Storage, Tensor, bail};

use self::arithmetic::Arithmetic;
use self::batches::Batches;
use self::card::Card;
use self::choices::Choices;
use self::cudnn::Handle;
pub use self::error::CudaError;
use self::layout::Layout;
use self::model::Model;
use self::parameters::Parameters;
use self::staging::{Room, Staging};
use self::tuner::Tuner;
use super::plan::Plan;
use super::{Engine, Precision, require_same_variant};
use crate::image::{Normalise, Pixels};
use crate::inception::{Network, Op};
use crate::weights::Weights;

/// Leaves a value as it is: for what is normalised already.
const AS_IT_IS: Normalise = Normalise { divide: [1.0; 3], subtract: [0.0; 3] };

/// The planned engine.
///
/// Calls from several threads take turns where the card computes, and overlap where pixels are copied.
pub struct Cuda {
    // In the order in which they go.
    batches: Mutex<Batches>,
    stagings: Mutex<Vec<Staging>>,
    model: Model,
    device: Device,
}

impl Cuda {
    /// Prepares a network on a card, opened with `Device::new_cuda_with_stream`.
    ///
    /// # Errors
    /// Where the weights are of another variant than the network, or the device is no NVIDIA card; those of its driver and of cuDNN.
    pub fn new(network: Network, weights: &Weights, device: &Device, precision: Precision) -> Result<Self> {
        require_same_variant(&network, weights)?;
        let plan = Plan::new(&network)?;
        if plan.steps.is_empty() {
            bail!("a network that computes nothing");
        }
        let card = Card::new(device, Arithmetic::of(precision))?;
        let parameters = Parameters::new(&network, weights, card.arithmetic, &card.stream)?;
        let handle = Handle::new(&card.stream)?;
        let choices = Choices::of(&card.name()?, cudnn::version(), card::driver_version()?);
        Ok(Self {
            batches: Mutex::new(Batches::new(handle, Tuner::new(choices), card.arithmetic)),
            stagings: Mutex::default(),
            model: Model { parameters, plan, network, card },
            device: device.clone(),
        })
    }

    /// Bytes of the card's memory that a network takes for batches of so many images of `[height, width]`: weights, activations, and
    /// three batches of bytes on their way. cuDNN's workspace and what the driver takes for itself are not counted.
    ///
    /// # Errors
    /// Where the images are too small for the network.
    pub fn memory_of(network: &Network, precision: Precision, size: [usize; 2], images: usize) -> Result<usize> {
        let arithmetic = Arithmetic::of(precision);
        let shapes = network.shapes(size).map_err(candle_core::Error::wrap)?;
        let activations = Layout::new(&Plan::new(network)?, &shapes, images, arithmetic).len;
        let weights: usize = network.convolutions().map(|(_, convolution)| convolution.kernel_len()).sum();
        Ok(activations + weights * arithmetic.dtype.size_in_bytes() + 3 * images * size[0] * size[1] * 3)
    }

    fn batches(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stagings(&self) -> MutexGuard<'_, Vec<Staging>> {
        self.stagings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something for all images, as many at a time as go together; where memory is not enough, for half as many.
    fn in_pieces<T>(
        &self,
        size: [usize; 2],
        count: usize,
        mut each: impl FnMut(Range<usize>) -> error::Result<T>,
    ) -> error::Result<Vec<T>> {
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < count {
            let images = self.batches().most(size).min(count - done);
            match each(done..done + images) {
                Ok(piece) => {
                    pieces.push(piece);
                    done += images;
                }
                Err(error) if error.is_out_of_memory() && images > 1 => {
                    self.stagings().clear();
                    self.batches().halve(&self.model, size, images)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(pieces)
    }

    /// The rows of some images, one after the other.
    fn rows(&self, images: &[Pixels], size: [usize; 2], normalise: &Normalise) -> error::Result<Vec<f32>> {
        let numbers = images.len() * self.model.result(size)?.iter().product::<usize>();
        let room = Room { pixels: images.iter().map(staging::bytes).sum(), rows: numbers };
        let idle = {
            let mut stagings = self.stagings();
            stagings.iter().position(|staging| staging.has(room)).map(|at| stagings.swap_remove(at))
        };
        let mut staging = idle.map_or_else(|| Staging::new(&self.model.card, room), Ok)?;
        let pixels = staging.send(images)?;
        {
            let mut turn = self.batches();
            let sent = staging.await_pixels().and_then(|()| {
                #[expect(unsafe_code, reason = "names memory by address")]
                // SAFETY: the staging keeps the pixels, and writes no others before the rows are there.
                unsafe {
                    turn.run(&self.model, pixels, size, images.len(), normalise)
                }
            });
            if let Err(error) = sent.and_then(|result| staging.send_back(result, numbers)) {
                // The staging goes, so what was sent must be done with it; and only in a turn may the engine's stream be waited for.
                let _ = self.model.card.stream.synchronize();
                return Err(error);
            }
        }
        let rows = staging.rows(numbers)?;
        self.stagings().push(staging);
        Ok(rows)
    }

    /// What the network gives for images `[batch, height, width, 3]` on the card, float32, normalised, contiguous.
    fn maps(&self, images: &Tensor) -> error::Result<Tensor> {
        let (count, height, width, _) = images.dims4()?;
        let [channels, rows, columns] = self.model.result([height, width])?;
        let (storage, layout) = images.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            return Err(candle_core::Error::msg("the images are not on the card").into());
        };
        let pixels = storage.as_cuda_slice::<f32>()?.slice(layout.start_offset()..);
        let card = &self.model.card;
        let numbers = count * channels * rows * columns;
        // Before anything is sent to the engine's stream: in someone else's turn it may be about to be captured.
        let mut turn = self.batches();
        let result = card.tensor(numbers, |to| {
            let (from, _read) = pixels.device_ptr(&card.stream);
            let pixels = kernels::Pixels::Floats(from);
            #[expect(unsafe_code, reason = "names memory by address")]
            // SAFETY: the tensor keeps the pixels, and candle's stream, on which it would be freed, waits for this one.
            unsafe {
                let result = turn.run(&self.model, pixels, [height, width], count, &AS_IT_IS)?;
                memory::within(&card.stream, result, to, numbers * size_of::<f32>())
            }
        })?;
        drop(turn);
        let result = Storage::Cuda(CudaStorage::wrap_cuda_slice(result, card.device.clone()));
        Ok(match self.model.network.nodes().last().map(|node| node.op) {
            Some(Op::GlobalAverage) => Tensor::from_storage(result, (count, channels), BackpropOp::none(), false),
            _ => Tensor::from_storage(result, (count, channels, rows, columns), BackpropOp::none(), false),
        })
    }
}

impl Engine for Cuda {
    fn device(&self) -> &Device {
        &self.device
    }

    /// Images anywhere; the result is on the card.
    fn run(&self, images: &Tensor) -> Result<Tensor> {
        let (count, colors, height, width) = images.dims4()?;
        if colors != 3 {
            bail!("images have three channels, these have {colors}");
        }
        if count == 0 {
            bail!("a batch without images");
        }
        let pixels = images.to_device(&self.device)?.to_dtype(DType::F32)?.permute((0, 2, 3, 1))?.contiguous()?;
        let pieces =
            self.in_pieces([height, width], count, |piece| self.maps(&pixels.narrow(0, piece.start, piece.len())?))?;
        match pieces.as_slice() {
            [all] => Ok(all.clone()),
            pieces => Tensor::cat(pieces, 0),
        }
    }

    /// Only the pixels cross to the card, and only the rows cross back.
    fn embed(&self, images: &[Pixels], normalise: &Normalise) -> Result<Vec<f32>> {
        let Some(side) = images.first().map(|image| image.side) else { bail!("a batch without images") };
        let rows = self.in_pieces([side; 2], images.len(), |piece| self.rows(&images[piece], [side; 2], normalise))?;
        Ok(rows.concat())
    }

    fn take_notes(&self) -> Vec<String> {
        self.batches().take_notes()
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Nothing is freed that the card still works on, and all of it from a thread that has the card's context.
        let card = &self.model.card;
        let _ = card.context();
        let _ = card.stream.synchronize();
    }
}
