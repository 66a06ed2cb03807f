//! The planned engine in both directions: a [`Trainable`] for CPUs.
//!
//! ```text
//! once:      nodes past the border ─▶ program (places, units) + parameters (flat)
//! a step:    parameters ─▶ weights laid out anew, for one direction and then for the other, in the same memory
//!            maps ─▶ steps, forward ──▶ features       all activations kept
//!            gradient ◀─ steps, back ◀─ its gradient   a second arena for theirs
//! ```
//!
//! What is in which file, from the outside in: `program` says what is done, along the plan that cards share
//! (`engine/trainable/plan.rs`), `unit` is a convolution with its batch norm and ReLU, in both directions; `input_gradient` and `kernel_gradient` are the two halves of its way back, `pixels`, `batch_norm` and `pools` the rest;
//! `arena`, `workspace` and `parameters` are where numbers lie.
//!
//! All work is cut by what it writes, and sums run over fixed pieces, so the bits do not depend on the number of threads.
#![expect(unsafe_code, reason = "follows the pointers of maps")]

mod arena;
mod batch_norm;
mod clock;
mod input_gradient;
mod kernel_gradient;
pub mod layer;
mod parameters;
mod pixels;
mod pools;
mod program;
mod unit;
mod unit_weights;
mod workers;
mod workspace;

pub use clock::Phase;

use std::time::Duration;

use candle_core::{Device, Result, Storage, Tensor, bail};

use self::arena::{Arena, Maps};
use self::parameters::Parameters;
use self::program::{Program, Work};
use self::unit_weights::{Direction, UnitWeights};
use self::workers::Workers;
use self::workspace::Workspace;
use super::super::trainable::plan::sizes;
use super::super::trainable::{BatchNorm, Parameter, Pass, Trainable, TrainableError};
use super::kernels::{Instructions, Reduce};
use super::map::Map;
use super::pool::{self, Pool};
use crate::inception::{Border, FreezePoint, Network};
use crate::weights::Weights;

/// The part of a network past a border, planned for the CPU.
pub struct Training {
    network: Network,
    border: Border,
    program: Program,
    parameters: Parameters,
    unit_weights: UnitWeights,
    workers: Workers,
    workspace: Workspace,
    /// The activations of the last pass to learn from,
    kept: Option<Arena>,
    /// and room for the next pass.
    spare: Option<Arena>,
    gradients: Arena,
}

impl Training {
    /// Prepares the part of a network past a freeze point, for the fastest instructions that this processor has.
    ///
    /// # Errors
    /// Where the network has no such freeze point or the weights are of another variant; those of candle.
    pub fn new(
        network: &Network,
        weights: &Weights,
        freeze: &FreezePoint,
        batch_norm: BatchNorm,
    ) -> std::result::Result<Self, TrainableError> {
        Self::with(network, weights, freeze, batch_norm, Instructions::best())
    }

    /// Prepares it for these instructions.
    ///
    /// # Errors
    /// As [`Self::new`], and where this processor does not have them.
    pub fn with(
        network: &Network,
        weights: &Weights,
        freeze: &FreezePoint,
        batch_norm: BatchNorm,
        instructions: Instructions,
    ) -> std::result::Result<Self, TrainableError> {
        if weights.variant() != network.variant() {
            return Err(TrainableError::Variant { network: network.variant(), weights: weights.variant() });
        }
        let border = Border::new(network, freeze)?;
        let Some(kernels) = instructions.kernels() else {
            return Err(candle_core::Error::Msg(format!("this processor has no {instructions}")).into());
        };
        let panel = kernels.panel();
        let widest = crate::engine::plan::channels(network.nodes()).into_iter().max().unwrap_or(0);
        let widest = border.groups().iter().map(|group| group.channels).fold(widest, usize::max);
        let mut workers = Workers::new(kernels, widest);
        let mut parameters = Parameters::new(border.trained_numbers(network));
        let program = Program::new(network, weights, &border, batch_norm, &mut parameters, &workers)?;
        let scratch = program.steps.iter().filter_map(program::Step::unit).map(|unit| unit.scratch(panel));
        workers.reserve(scratch.max().unwrap_or(0));
        Ok(Self {
            network: network.clone(),
            border,
            unit_weights: UnitWeights::new(&program),
            program,
            parameters,
            workers,
            workspace: Workspace::new(),
            kept: None,
            spare: None,
            gradients: Arena::new(),
        })
    }

    /// What each phase of the steps so far took, since this was last asked.
    pub fn take_times(&mut self) -> [(Phase, Duration); Phase::ALL.len()] {
        self.workspace.clock.take()
    }

    fn forward(&mut self, maps: &Maps<'_>, pass: Pass) -> Result<()> {
        let Self { program, parameters, unit_weights, workers, workspace, .. } = self;
        let weights = unit_weights.of(Direction::Forward, program, parameters);
        workspace.clock.stop(Phase::Weights);
        for (step, weights) in program.steps.iter_mut().zip(weights) {
            let [input, output] = [maps.of(step.input), maps.of(step.output)];
            // SAFETY (of all three): each place is memory of the arena, the program gives each step channels that no other step
            // writes, and what a step reads has been written.
            match &mut step.work {
                Work::Unit(unit) => unsafe {
                    unit.convolve(workers, maps, [step.input, step.output], weights);
                    unit.normalise(workers, maps, step.output, pass, parameters)?;
                },
                Work::Pool(pool) => workers.each(Pool::blocks(&output), |scratch, block| unsafe {
                    pool.run(workers.kernels.as_ref(), &workers.zeros, scratch, [&input, &output], block);
                }),
                Work::GlobalAverage => workers.each(output.images, |_, image| unsafe {
                    pool::global_average([&input, &output], image);
                }),
                Work::Copy => unsafe { pixels::copy(workers, &input, &output) },
            }
        }
        Ok(())
    }
}

impl Trainable for Training {
    fn border(&self) -> &Border {
        &self.border
    }

    fn features(&mut self, maps: &[Tensor], pass: Pass) -> Result<Tensor> {
        let (images, sizes) = sizes(&self.network, &self.border, maps)?;
        self.workspace.clock.start();
        let reused = if pass == Pass::Train { self.kept.take() } else { None };
        let mut arena = reused.or_else(|| self.spare.take()).unwrap_or_else(Arena::new);
        arena.lay_out(&self.program.buffers, &sizes, images, |_| true);
        let places = arena.maps();
        for (buffer, maps) in maps.iter().enumerate() {
            let channels = self.program.buffers[buffer].channels;
            let to = places.of(program::Place { buffer, channel: 0, channels });
            bring(maps, &to)?;
        }
        let done = self.forward(&places, pass);
        let result = places.of(self.program.result);
        let mut features = vec![0.0_f32; images * result.channels];
        if done.is_ok() {
            for (image, features) in features.chunks_exact_mut(result.channels).enumerate() {
                // SAFETY: the result has been written. Where all is frozen it has crossed, as maps of one place.
                features.copy_from_slice(unsafe { pixels::channels(&result, image * result.pixels()) });
            }
        }
        let channels = result.channels;
        match pass {
            Pass::Train => self.kept = Some(arena),
            Pass::Evaluate => self.spare = Some(arena),
        }
        done?;
        if pass == Pass::Train && !self.parameters.statistics.is_empty() {
            self.unit_weights.forget();
        }
        self.workspace.clock.stop(Phase::Forward);
        Tensor::from_vec(features, (images, channels), &Device::Cpu)
    }

    fn backward(&mut self, by_features: &Tensor) -> Result<()> {
        let Some(mut kept) = self.kept.take() else { bail!("there is no pass to go back through") };
        self.workspace.clock.start();
        let (images, sizes) = kept.shapes(self.network.nodes().len(), &self.program.buffers);
        self.gradients.lay_out(&self.program.buffers, &sizes, images, |buffer| buffer.has_gradient);
        let (maps, gradients) = (kept.maps(), self.gradients.maps());
        let result = gradients.of(self.program.result);
        if by_features.dims() != [images, result.channels] {
            bail!("features are {:?}, this gradient is {:?}", [images, result.channels], by_features.dims());
        }
        if !self.program.steps.is_empty() {
            bring(&by_features.reshape((images, 1, 1, result.channels))?, &result)?;
        }
        let Self { program, parameters, unit_weights, workers, workspace, .. } = self;
        let weights = unit_weights.of(Direction::Back, program, parameters);
        workspace.clock.stop(Phase::Weights);
        for (step, weights) in program.steps.iter().zip(weights).rev() {
            let back =
                step.by_input.map(|accumulate| (accumulate, [gradients.of(step.output), gradients.of(step.input)]));
            // SAFETY (of all): each place is memory of its arena, and the gradient of what a step writes is whole when its turn
            // comes: the program sees to that.
            match (&step.work, back) {
                (Work::Unit(unit), _) => unsafe {
                    let places = [step.input, step.output];
                    unit.backward(workers, [&maps, &gradients], places, parameters, weights, workspace);
                },
                (Work::Pool(Pool { reduce, window, counts_padding, .. }), Some((accumulate, [from, to]))) => unsafe {
                    match reduce {
                        Reduce::Maximum => {
                            pools::maximum(workers, window, &maps.of(step.input), [&from, &to], accumulate);
                        }
                        Reduce::Mean => pools::average(workers, window, *counts_padding, [&from, &to], accumulate),
                    }
                },
                (Work::GlobalAverage, Some((accumulate, [from, to]))) => unsafe {
                    pools::global_average(workers, [&from, &to], accumulate);
                },
                _ => {}
            }
            workspace.clock.stop(Phase::Pools);
        }
        self.spare = Some(kept);
        Ok(())
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters.names
    }

    fn update(&mut self, rule: &mut dyn FnMut(&mut [f32], &mut [f32])) -> Result<()> {
        let Parameters { values, gradients, .. } = &mut self.parameters;
        rule(values, gradients);
        self.unit_weights.forget();
        Ok(())
    }

    fn update_statistics(&mut self, rule: &mut dyn FnMut(&mut [f32])) -> Result<()> {
        rule(&mut self.parameters.statistics);
        self.unit_weights.forget();
        Ok(())
    }

    fn statistics(&self) -> &[Parameter] {
        &self.parameters.statistics_names
    }

    fn device(&self) -> &Device {
        &Device::Cpu
    }
}

/// A tensor's numbers to a map of the same shape, whose channels are all of its buffer's.
fn bring(tensor: &Tensor, to: &Map) -> Result<()> {
    let tensor = tensor.contiguous()?;
    let (storage, place) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("the maps are not on the CPU") };
    let numbers = &storage.as_slice::<f32>()?[place.start_offset()..][..tensor.elem_count()];
    // SAFETY: the map is as long, and nobody else has it yet.
    unsafe { std::slice::from_raw_parts_mut(to.data, numbers.len()) }.copy_from_slice(numbers);
    Ok(())
}
