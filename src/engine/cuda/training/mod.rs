//! Training on NVIDIA cards: a [`Trainable`], planned as the one of the [CPU](crate::engine::cpu::training) is.
//!
//! ```text
//! once:       nodes past the border ─▶ program: steps between places, units; parameters, float32, on the card
//! per shape:  program ─▶ arenas (addresses) ─▶ engines of cuDNN's, forward and back ─▶ batch: two graphs
//! a step:     parameters ─▶ folded into weights, rounded
//!             maps ─▶ narrow ─▶ forward: as the engine, all activations kept ─────▶ features
//!             gradients of the parameters, float32 ◀─ back: mask, cuDNN, add ◀──── gradient by them
//!             optimiser: parameters moved where they are
//! ```
//!
//! What is in which file, from the outside in: `batches` says which batch runs, `batch` is ready to run, `maker` makes it; `program` is the
//! plan that CPUs share (`engine/trainable/plan.rs`) with its units; `unit` is a convolution with its batch norm, `unit_back` the way
//! back through one, of the pieces in `back`; `arena`, `scratch` and `parameters` are where numbers lie, `optimiser` moves them; `kernels` are our own.
//!
//! **Numbers.** Parameters, their gradients and what an optimiser keeps are float32. In bfloat16 the folded weights, the activations and
//! their gradients are rounded to it, each sum is float32, and the gradient by a kernel is rounded where that is faster: what PyTorch's
//! autocast does. Nothing is trained in float16: without a scaled loss its gradients vanish.
//!
//! **The same bits.** cuDNN's engines are those that give the same bits each time; our own kernels gather what each number is made of in a
//! fixed order, and sum over fixed pieces.
//!
//! Batch norm by the batch's statistics is [`Plain`](crate::engine::trainable::Plain)'s.

mod arena;
mod back;
mod batch;
mod batches;
mod kernels;
mod maker;
mod model;
mod optimiser;
mod parameters;
mod program;
mod scratch;
mod unit;
mod unit_back;

use candle_core::cuda_backend::cudarc::driver::DevicePtr;
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, DType, Device, Storage, Tensor, bail};

use self::batches::Batches;
use self::kernels::Kernels;
use self::model::Model;
use self::optimiser::OnCard;
use self::program::Program;
use super::AS_IT_IS;
use super::arithmetic::Arithmetic;
use super::card::{self, Card};
use super::choices::Choices;
use super::cudnn::{self, Handle};
use super::error::Result;
use super::kernels::Pixels;
use super::memory;
use super::tuner::Tuner;
use crate::engine::Precision;
use crate::engine::trainable::plan::sizes;
use crate::engine::trainable::{Optimiser, Parameter, Pass, Trainable, TrainableError};
use crate::inception::{Border, FreezePoint, Network, Op};
use crate::weights::Weights;

/// The part of a network past a border, planned for a card, its batch norms frozen.
pub struct Training {
    // In the order in which they go.
    batches: Batches,
    /// How many images the last pass to learn from had, until it is gone back through.
    kept: Option<usize>,
    /// Whether the weights are folded for the parameters as they are.
    is_folded: bool,
    optimiser: OnCard,
    model: Model,
    device: Device,
}

impl Training {
    /// Prepares the part of a network past a freeze point on a card, opened with `Device::new_cuda_with_stream`, for training with frozen
    /// batch norms. The precision is that of [`Precision::of_training`].
    ///
    /// # Errors
    /// Where the network has no such freeze point, the weights are of another variant, or the device is no NVIDIA card; those of its driver
    /// and of cuDNN.
    pub fn new(
        network: &Network,
        weights: &Weights,
        freeze: &FreezePoint,
        device: &Device,
        precision: Precision,
    ) -> std::result::Result<Self, TrainableError> {
        if weights.variant() != network.variant() {
            return Err(TrainableError::Variant { network: network.variant(), weights: weights.variant() });
        }
        let border = Border::new(network, freeze)?;
        let arithmetic = Arithmetic::of(precision.of_training());
        let card = Card::new(device, arithmetic)?;
        let open = || -> Result<_> {
            let program = Program::new(network, weights, &border, (&card.stream, arithmetic))?;
            let kernels = Kernels::new(card.context()?, arithmetic)?;
            let choices = Choices::of(&card.name()?, cudnn::version(), card::driver_version()?);
            let batches = Batches::new(Handle::new(&card.stream)?, Tuner::new(choices));
            Ok((program, kernels, batches, OnCard::new(card.context()?)?))
        };
        let (program, kernels, batches, optimiser) = open().map_err(candle_core::Error::from)?;
        let model = Model { program, border, network: network.clone(), kernels, card };
        Ok(Self { batches, kept: None, is_folded: false, optimiser, model, device: device.clone() })
    }

    /// Folds the weights anew, where parameters have changed.
    fn fold(&mut self) -> Result<()> {
        if self.is_folded {
            return Ok(());
        }
        let Model { program, kernels, card, .. } = &self.model;
        card.context()?;
        for unit in program.units() {
            let of = unit.folding(&program.parameters);
            #[expect(unsafe_code, reason = "names memory by address")]
            // SAFETY: the unit has all of it, and only this stream touches it.
            unsafe {
                kernels.fold(&card.stream, &of)?;
            }
        }
        self.is_folded = true;
        Ok(())
    }

    /// The features of maps on the card, float32, contiguous.
    fn forward(&mut self, maps: &[Tensor], sizes: &[[usize; 2]], pass: Pass) -> Result<Tensor> {
        let shapes: Vec<[usize; 4]> = maps.iter().map(|maps| Ok(maps.dims4()?.into())).collect::<Result<_>>()?;
        self.batches.require(&self.model, &shapes, sizes, pass, self.kept.is_some())?;
        self.fold()?;
        let Some(batch) = self.batches.last(pass) else { return Err(candle_core::Error::msg("no batch").into()) };
        let Model { program, card, .. } = &self.model;
        let (images, channels) = (shapes[0][0], program.result.channels);
        let features = card.tensor(images * channels, |to| {
            for (group, maps) in maps.iter().enumerate() {
                self.bring(group, maps, &batch.ends().inputs[group])?;
            }
            batch.forward(&self.model, self.batches.handle())?;
            #[expect(unsafe_code, reason = "names memory by address")]
            // SAFETY: as many numbers are at both places.
            unsafe {
                memory::within(&card.stream, batch.ends().features, to, images * channels * size_of::<f32>())
            }
        })?;
        let features = Storage::Cuda(CudaStorage::wrap_cuda_slice(features, card.device.clone()));
        Ok(Tensor::from_storage(features, (images, channels), BackpropOp::none(), false))
    }

    /// The maps of a group to their place, in the card's number type.
    fn bring(&self, group: usize, maps: &Tensor, to: &super::map::Map) -> Result<()> {
        let Model { border, network, kernels, card, .. } = &self.model;
        let (storage, layout) = maps.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            return Err(candle_core::Error::msg("the maps are not on the card").into());
        };
        let numbers = storage.as_cuda_slice::<f32>()?.slice(layout.start_offset()..);
        let (from, _read) = numbers.device_ptr(&card.stream);
        let is_image = border.groups()[group].nodes.iter().any(|&node| network.nodes()[node].op == Op::Input);
        #[expect(unsafe_code, reason = "names memory by address")]
        // SAFETY: the tensor keeps the numbers, and candle's stream, on which it would be freed, waits for this one; the place has room.
        unsafe {
            if is_image {
                // Three channels become as many as are 16 bytes.
                card.kernels.input(&card.stream, Pixels::Floats(from), to.shape.images, &AS_IT_IS, to)
            } else {
                kernels.narrow(&card.stream, from, to)
            }
        }
    }

    /// Adds to the gradients, given that by the features, on the card, float32, contiguous.
    fn back(&self, by_features: &Tensor) -> Result<()> {
        let Some(batch) = self.batches.last(Pass::Train) else { return Ok(()) };
        let card = &self.model.card;
        card.context()?;
        let (storage, layout) = by_features.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            return Err(candle_core::Error::msg("the gradient is not on the card").into());
        };
        let numbers = storage.as_cuda_slice::<f32>()?.slice(layout.start_offset()..);
        card.stream.join(&card.tensors)?;
        {
            let (from, _read) = numbers.device_ptr(&card.stream);
            let bytes = by_features.elem_count() * size_of::<f32>();
            #[expect(unsafe_code, reason = "names memory by address")]
            // SAFETY: as many numbers are at both places.
            unsafe {
                memory::within(&card.stream, from, batch.ends().by_features, bytes)?;
            }
        }
        card.tensors.join(&card.stream)?;
        batch.back(&self.model, self.batches.handle())
    }
}

impl Trainable for Training {
    fn border(&self) -> &Border {
        &self.model.border
    }

    fn features(&mut self, maps: &[Tensor], pass: Pass) -> candle_core::Result<Tensor> {
        let on_card = |maps: &Tensor| maps.to_device(&self.device)?.to_dtype(DType::F32)?.contiguous();
        let maps = maps.iter().map(on_card).collect::<candle_core::Result<Vec<_>>>()?;
        let (images, sizes) = sizes(&self.model.network, &self.model.border, &maps)?;
        if images == 0 {
            bail!("a batch without images");
        }
        if pass == Pass::Train {
            self.kept = None;
        }
        let features = if self.model.program.steps.is_empty() {
            // All is frozen: they have crossed, as maps of one place.
            maps[0].reshape((images, ()))?
        } else {
            self.forward(&maps, &sizes, pass)?
        };
        if pass == Pass::Train {
            self.kept = Some(images);
        }
        Ok(features)
    }

    fn backward(&mut self, by_features: &Tensor) -> candle_core::Result<()> {
        let Some(images) = self.kept.take() else { bail!("there is no pass to go back through") };
        let channels = self.model.program.result.channels;
        if by_features.dims() != [images, channels] {
            bail!("features are {:?}, this gradient is {:?}", [images, channels], by_features.dims());
        }
        if self.model.program.steps.is_empty() {
            return Ok(());
        }
        let by_features = by_features.to_device(&self.device)?.to_dtype(DType::F32)?.contiguous()?;
        Ok(self.back(&by_features)?)
    }

    fn parameters(&self) -> &[Parameter] {
        self.model.program.parameters.names()
    }

    fn update(&mut self, rule: &mut dyn FnMut(&mut [f32], &mut [f32])) -> candle_core::Result<()> {
        let Model { program, card, .. } = &mut self.model;
        card.context().map_err(candle_core::Error::from)?;
        program.parameters.update(&card.stream, rule)?;
        self.is_folded = false;
        Ok(())
    }

    fn step(
        &mut self,
        optimiser: &mut Optimiser,
        learning_rate: f64,
        scale: &mut dyn FnMut(f64) -> Option<f64>,
    ) -> candle_core::Result<()> {
        let Model { program, card, .. } = &self.model;
        card.context().map_err(candle_core::Error::from)?;
        let squared_norm = self.optimiser.squared_norm(&card.stream, &program.parameters)?;
        if let Some(scale) = scale(squared_norm) {
            self.optimiser.step(&card.stream, &program.parameters, optimiser, learning_rate, scale)?;
            self.is_folded = false;
        }
        Ok(())
    }

    fn settle(&mut self, optimiser: &mut Optimiser) -> candle_core::Result<()> {
        let Model { program, card, .. } = &self.model;
        card.context().map_err(candle_core::Error::from)?;
        Ok(self.optimiser.settle(&card.stream, &program.parameters, optimiser)?)
    }

    /// There are none: batch norms are frozen.
    fn update_statistics(&mut self, rule: &mut dyn FnMut(&mut [f32])) -> candle_core::Result<()> {
        rule(&mut []);
        Ok(())
    }

    fn statistics(&self) -> &[Parameter] {
        &[]
    }

    fn device(&self) -> &Device {
        &self.device
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        // Nothing is freed that the card still works on, and all of it from a thread that has the card's context.
        let card = &self.model.card;
        let _ = card.context();
        let _ = card.stream.synchronize();
    }
}
