//! Steps of an optimiser where the parameters are: what it keeps stays on the card, and only the gradients' norm crosses the bus.
//!
//! ```text
//! gradients ─▶ squares, summed ─▶ host: norm, clipping, the rate ─▶ values, velocities; gradients zero
//! ```
#![expect(unsafe_code, reason = "launches kernels, and copies by address")]

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaFunction, CudaStream, PushKernelArg};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;

use super::super::error::Result;
use super::super::kernels::launch;
use super::super::memory::{self, Memory};
use super::parameters::Parameters;
use crate::engine::trainable::{Change, Optimiser};

/// Threads that sum squares.
const THREADS: usize = 1 << 15;

/// What an optimiser keeps, and the kernels of its rules.
pub struct OnCard {
    sgd: CudaFunction,
    adamw: CudaFunction,
    sum_squares: CudaFunction,
    kept: Option<Kept>,
}

/// Vectors as long as the parameters, after so many steps.
struct Kept {
    vectors: Vec<Memory>,
    steps: u64,
}

impl OnCard {
    /// Loads the kernels; nothing is kept yet.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn new(context: &Arc<CudaContext>) -> Result<Self> {
        let module = context.load_module(Ptx::from_src(include_str!(concat!(env!("OUT_DIR"), "/optimiser.ptx"))))?;
        let [sgd, adamw, sum_squares] = ["sgd", "adamw", "sum_squares"].map(|name| module.load_function(name));
        Ok(Self { sgd: sgd?, adamw: adamw?, sum_squares: sum_squares?, kept: None })
    }

    /// The sum of the squares of all gradients, in float64.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn squared_norm(&self, stream: &Arc<CudaStream>, parameters: &Parameters) -> Result<f64> {
        let on_card = Memory::zeroed(stream, THREADS * size_of::<f64>())?;
        let mut sums = vec![0.0_f64; THREADS];
        let (gradients, to) = (parameters.gradients(), on_card.address());
        let (count, threads) = (parameters.len() as i64, THREADS as i32);
        let mut arguments = stream.launch_builder(&self.sum_squares);
        arguments.arg(&gradients).arg(&to).arg(&count).arg(&threads);
        // SAFETY: the arguments are those of optimiser.cu; the sums are waited for before anybody looks at them.
        unsafe {
            launch(&mut arguments, THREADS)?;
            memory::to_host(stream, to, &mut sums)?;
        }
        stream.synchronize()?;
        Ok(sums.iter().sum())
    }

    /// One step: moves the values by the gradients times `scale`, and sets these to zero.
    ///
    /// # Errors
    /// Those of the driver: out of memory.
    pub fn step(
        &mut self,
        stream: &Arc<CudaStream>,
        parameters: &Parameters,
        optimiser: &mut Optimiser,
        learning_rate: f64,
        scale: f64,
    ) -> Result<()> {
        // What was kept is of another optimiser, or of before a checkpoint was gone back to.
        let is_new = self.kept.as_ref().is_none_or(|kept| kept.steps != optimiser.state().1);
        let mut kept = match self.kept.take().filter(|_| !is_new) {
            Some(kept) => kept,
            None => brought(stream, parameters, optimiser)?,
        };
        let change = optimiser.begin(learning_rate, scale);
        for (part, decay) in optimiser.parts(parameters.len()) {
            let at = |first: CUdeviceptr| first + (part.start * size_of::<f32>()) as CUdeviceptr;
            let [values, gradients] = [parameters.values(), parameters.gradients()].map(at);
            let vectors: Vec<CUdeviceptr> = kept.vectors.iter().map(|vector| at(vector.address())).collect();
            let count = part.len() as i64;
            // SAFETY (of both): the arguments are those of optimiser.cu, and all vectors are as long.
            match (change, vectors.as_slice()) {
                (Change::Sgd { momentum, rate, scale }, [velocities]) => {
                    let decay = decay as f32;
                    let mut arguments = stream.launch_builder(&self.sgd);
                    arguments.arg(&values).arg(&gradients).arg(velocities).arg(&count);
                    arguments.arg(&momentum).arg(&decay).arg(&rate).arg(&scale);
                    unsafe { launch(&mut arguments, part.len())? };
                }
                (Change::AdamW(constants), [means, squares]) => {
                    let keep = constants.keep(decay);
                    let mut arguments = stream.launch_builder(&self.adamw);
                    arguments.arg(&values).arg(&gradients).arg(means).arg(squares).arg(&count);
                    arguments.arg(&constants.beta1).arg(&constants.beta2).arg(&constants.epsilon).arg(&keep);
                    arguments.arg(&constants.step_size).arg(&constants.widen).arg(&constants.scale);
                    unsafe { launch(&mut arguments, part.len())? };
                }
                // An optimiser keeps as many vectors as its rule wants.
                _ => {}
            }
        }
        kept.steps = optimiser.state().1;
        self.kept = Some(kept);
        Ok(())
    }

    /// Hands an optimiser what is kept for it here.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn settle(&self, stream: &CudaStream, parameters: &Parameters, optimiser: &mut Optimiser) -> Result<()> {
        let steps = optimiser.state().1;
        let Some(kept) = self.kept.as_ref().filter(|kept| kept.steps == steps) else { return Ok(()) };
        let mut state = Vec::new();
        for vector in &kept.vectors {
            state.push(parameters.to_host(stream, vector.address())?);
        }
        optimiser.restore(state, steps);
        Ok(())
    }
}

/// An optimiser's state, taken to the card.
fn brought(stream: &Arc<CudaStream>, parameters: &Parameters, optimiser: &Optimiser) -> Result<Kept> {
    let (state, steps) = optimiser.state();
    let mut vectors = Vec::new();
    for vector in state {
        let memory = Memory::zeroed(stream, size_of_val(vector.as_slice()))?;
        parameters.to_card(stream, vector.clone(), memory.address())?;
        vectors.push(memory);
    }
    Ok(Kept { vectors, steps })
}
