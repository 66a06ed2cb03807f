//! The way back through a unit: which engines of cuDNN's, and what the card does.
//!
//! ```text
//! dy ─▶ mask ─▶ packed ─▶ (pool) ─▶ dz ─┬─▶ cuDNN ─▶ (aside, added) ─▶ dx
//!         ╰▶ sums ─▶ beta               ╰─▶ cuDNN, with x ─▶ by the folded kernel ─▶ kernel, gamma
//! ```
//!
//! cuDNN gets the gradient without gaps, because the mask writes it anew anyway, and gives the gradient by the input without gaps wherever
//! there is something to add it to. So almost all of its tensors are packed, which every engine takes.

use std::sync::Arc;

use candle_core::DType;
use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::super::cudnn::{By, ExecutionPlan, Gradient, Handle, Launch, Operation, Pointers};
use super::super::error::{CudaError, Result};
use super::super::kernels::Pool;
use super::super::map::Map;
use super::super::tuner::Tuner;
use super::back::Back;
use super::kernels::{ByFolded, PIXELS, ROWS, scale_pieces};
use super::model::Model;
use super::scratch::Scratch;
use super::unit::Unit;

/// A unit at its places.
pub struct UnitBack<'a> {
    /// With its numbers.
    pub unit: &'a Unit,
    /// Of all units.
    pub model: &'a Model,
    /// Likewise.
    pub scratch: &'a Scratch,
    /// What it read,
    pub input: Map,
    /// and what it gave.
    pub output: Map,
    /// The gradient by that.
    pub by_output: Map,
    /// Where the gradient by the input goes, and whether it is added to what is there.
    pub by_input: Option<(Map, bool)>,
    /// The pool between convolution and ReLU, and where the gradient before it goes.
    pub pooled: Option<(Pool, Map)>,
}

/// Engines of the gradients, where they are needed.
pub struct Chosen {
    by_input: Option<ByInput>,
    by_kernel: Option<ByKernel>,
}

struct ByInput {
    plan: Arc<ExecutionPlan>,
    /// To packed memory, and from there to its channels.
    goes_aside: bool,
}

struct ByKernel {
    plan: Arc<ExecutionPlan>,
    packs_input: bool,
}

impl Chosen {
    /// Bytes of workspace that they need.
    pub fn workspace(&self) -> usize {
        let of_input = self.by_input.as_ref().map_or(0, |chosen| chosen.plan.workspace());
        of_input.max(self.by_kernel.as_ref().map_or(0, |chosen| chosen.plan.workspace()))
    }
}

impl UnitBack<'_> {
    /// Chooses the engines; what is at the places is written over.
    ///
    /// # Errors
    /// Out of memory; a gradient that no engine computes.
    pub fn choose(&self, handle: &Handle, tuner: &mut Tuner) -> Result<Chosen> {
        Ok(Chosen {
            by_input: self.by_input.map(|to| self.choose_by_input(handle, tuner, to)).transpose()?,
            by_kernel: self.needs_kernel().then(|| self.choose_by_kernel(handle, tuner)).transpose()?,
        })
    }

    fn choose_by_input(&self, handle: &Handle, tuner: &mut Tuner, (to, adds): (Map, bool)) -> Result<ByInput> {
        let packed = Map { address: self.scratch.aside.address(), shape: to.shape.packed() };
        let ways = if adds { vec![(packed, true)] } else { vec![(to, false), (packed, true)] };
        for (to, goes_aside) in ways {
            let gradient = self.gradient(to, By::Input);
            if let Some(plan) = tuner.plan(&self.model.card, handle, &gradient, self.by_input_pointers(to, 0))? {
                return Ok(ByInput { plan, goes_aside });
            }
        }
        Err(self.no_engine(tuner, [to, packed], By::Input))
    }

    fn choose_by_kernel(&self, handle: &Handle, tuner: &mut Tuner) -> Result<ByKernel> {
        for (input, packs_input) in [(self.input, false), (self.packed_input(), true)] {
            let gradient = self.gradient(input, By::Kernel);
            if let Some(plan) = tuner.plan(&self.model.card, handle, &gradient, self.by_kernel_pointers(input, 0))? {
                return Ok(ByKernel { plan, packs_input });
            }
        }
        Err(self.no_engine(tuner, [self.input, self.packed_input()], By::Kernel))
    }

    /// What the card does, with as much workspace as the engines need.
    ///
    /// # Errors
    /// Those of cuDNN.
    pub fn works(&self, chosen: &Chosen, workspace: CUdeviceptr) -> Result<Vec<Back>> {
        let parameters = &self.model.program.parameters;
        let of = self.unit.folding(parameters);
        let (scratch, mut works) = (self.scratch, Vec::new());
        let by_beta = parameters.gradient(&self.unit.beta);
        let by_gamma = self.unit.gamma.as_ref().and_then(|gamma| parameters.gradient(gamma));
        let sums = by_beta.or(by_gamma).map(|_| scratch.sums[0].address());
        works.push(Back::Mask { maps: [self.output, self.by_output], masked: scratch.masked.address(), sums });
        if sums.is_some() {
            let pieces = (self.output.shape.images * self.output.shape.pixels()).div_ceil(PIXELS);
            self.sum(&mut works, pieces, scratch.by_beta.address());
        }
        if let Some(gradient) = by_beta {
            works.push(Back::Beta { by_beta: scratch.by_beta.address(), gradient, count: of.out() });
        }
        if let Some((pool, linear)) = self.pooled {
            works.push(Back::Pool { pool, maps: [linear, self.masked(), linear], adds: false });
        }
        if let (Some(chosen), Some((to, adds))) = (&chosen.by_input, self.by_input) {
            let packed = Map { address: scratch.aside.address(), shape: to.shape.packed() };
            let written = if chosen.goes_aside { packed } else { to };
            works.push(Back::Convolution(Launch::new(&chosen.plan, &self.by_input_pointers(written, workspace))?));
            if chosen.goes_aside {
                works.push(Back::Accumulate { from: packed.address, to, adds });
            }
        }
        let Some(chosen) = &chosen.by_kernel else { return Ok(works) };
        let packed = self.packed_input();
        if chosen.packs_input {
            works.push(Back::Pack { from: self.input, to: packed });
        }
        let input = if chosen.packs_input { packed } else { self.input };
        works.push(Back::Convolution(Launch::new(&chosen.plan, &self.by_kernel_pointers(input, workspace))?));
        let dtype = chosen.plan.graph().of_kernel().unwrap_or(DType::F32);
        let by_folded = ByFolded { address: scratch.by_folded.address(), dtype };
        if let Some(gradient) = parameters.gradient(&self.unit.kernel) {
            works.push(Back::Kernel { of, by_folded, gradient });
        }
        if let Some(gradient) = by_gamma {
            works.push(Back::Scales { of, by_folded, sums: scratch.sums[0].address() });
            self.sum(&mut works, scale_pieces(&of), scratch.by_scale.address());
            let by = [scratch.by_scale.address(), scratch.by_beta.address()];
            works.push(Back::Gamma { of, by, gradient });
        }
        Ok(works)
    }

    /// Brings so many rows of sums together.
    fn sum(&self, works: &mut Vec<Back>, mut rows: usize, to: CUdeviceptr) {
        let [mut from, mut next] = [0, 1].map(|of| self.scratch.sums[of].address());
        let columns = self.unit.shape.out_channels;
        loop {
            let left = rows.div_ceil(ROWS);
            if left == 1 {
                works.push(Back::SumRows { places: [from, to], rows, columns });
                return;
            }
            works.push(Back::SumRows { places: [from, next], rows, columns });
            (from, next, rows) = (next, from, left);
        }
    }

    /// Whether the gradient by the folded kernel is needed: of the kernel, or of a gamma.
    fn needs_kernel(&self) -> bool {
        self.unit.kernel.is_trained() || self.unit.gamma.as_ref().is_some_and(super::parameters::Numbers::is_trained)
    }

    fn masked(&self) -> Map {
        Map { address: self.scratch.masked.address(), shape: self.output.shape.packed() }
    }

    /// The gradient by what the convolution gives.
    fn by_convolved(&self) -> Map {
        self.pooled.map_or_else(|| self.masked(), |(_, linear)| linear)
    }

    fn packed_input(&self) -> Map {
        Map { address: self.scratch.aside.address(), shape: self.input.shape.packed() }
    }

    fn gradient(&self, input: Map, by: By) -> Gradient {
        let arithmetic = self.model.card.arithmetic;
        Gradient {
            dtype: arithmetic.dtype,
            tensor_cores: arithmetic.tensor_cores,
            input: input.shape,
            output: self.by_convolved().shape,
            window: self.unit.shape.window,
            by,
        }
    }

    fn by_input_pointers(&self, to: Map, workspace: CUdeviceptr) -> Pointers {
        let kernel = self.unit.folding(&self.model.program.parameters).folded;
        pointers([to.address, kernel, self.by_convolved().address], workspace)
    }

    fn by_kernel_pointers(&self, input: Map, workspace: CUdeviceptr) -> Pointers {
        pointers([input.address, self.scratch.by_folded.address(), self.by_convolved().address], workspace)
    }

    /// An error; the next run shall ask again.
    fn no_engine(&self, tuner: &mut Tuner, tried: [Map; 2], by: By) -> CudaError {
        let [key, packed] = tried.map(|input| self.gradient(input, by).key());
        let (layer, detail) = (self.unit.name.clone(), tuner.last_words().to_owned());
        tuner.forget(&[key.clone(), packed]);
        CudaError::NoEngine { layer, key, detail }
    }
}

const fn pointers([input, kernel, output]: [CUdeviceptr; 3], workspace: CUdeviceptr) -> Pointers {
    Pointers { input, kernel, bias: 0, rounded_bias: 0, output, workspace }
}
