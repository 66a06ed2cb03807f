//! Makes batches: memory for all buffers, an engine for each convolution, and what the card does one thing after the other.
//!
//! ```text
//! plan ─▶ layout: addresses ─▶ an engine each convolution (tuner) ─▶ workspace, the largest ─▶ works ─▶ batch
//! ```
//!
//! A convolution is done at once with bias and ReLU, from place to place. Where none of cuDNN's engines does that, it goes to packed memory
//! alone, and a kernel of ours takes it from there to its channels with bias and ReLU; and where what it reads is not packed either and
//! that is refused, it is packed first.

use std::sync::Arc;

use candle_core::Error;
use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::batch::{Batch, Ends, Work};
use super::cudnn::{Convolution, ExecutionPlan, Handle, Launch, Pointers};
use super::error::{CudaError, Result};
use super::kernels::{Pool, Reduce};
use super::layout::Layout;
use super::map::{Map, Shape};
use super::memory::Memory;
use super::model::Model;
use super::parameters::Parameter;
use super::tuner::Tuner;
use crate::engine::plan::{Place, Step, Task};
use crate::inception::{NodeId, Op};

/// Who makes batches.
pub struct Maker<'a> {
    /// Of what,
    pub model: &'a Model,
    /// with cuDNN on the card's stream.
    pub handle: &'a Handle,
}

/// How a convolution is done.
struct Chosen {
    plan: Arc<ExecutionPlan>,
    way: Way,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// At once, from place to place.
    Direct,
    /// To packed memory, and from packed memory or not.
    Apart { packs_input: bool },
}

impl Maker<'_> {
    /// Gets ready for so many images of a size.
    ///
    /// # Errors
    /// Out of memory; images too small; a layer that no engine computes.
    pub fn make(&self, tuner: &mut Tuner, size: [usize; 2], images: usize) -> Result<Batch> {
        let stream = &self.model.card.stream;
        let shapes = self.model.network.shapes(size)?;
        let layout = Layout::new(&self.model.plan, &shapes, images, self.model.card.arithmetic);
        let arena = Memory::zeroed(stream, layout.len)?;
        let map = |place| layout.map(arena.address(), place);

        // First which engines, then the memory that they share.
        let mut chosen = Vec::new();
        for step in &self.model.plan.steps {
            chosen.push(match step.task {
                Task::Convolution(id) | Task::Linear(id) => {
                    let fused = matches!(step.task, Task::Convolution(_));
                    Some(self.choose(tuner, id, fused, map(step.input), map(step.output))?)
                }
                Task::Pool(_) | Task::PoolOf { .. } | Task::GlobalAverage => None,
            });
        }
        tuner.finish();
        let workspace = chosen.iter().flatten().map(|chosen| chosen.plan.workspace()).max().unwrap_or(0);
        let workspace = Memory::zeroed(stream, workspace)?;
        let packed = self.model.plan.steps.iter().zip(&chosen).filter_map(|(step, chosen)| {
            let apart = chosen.as_ref().is_some_and(|chosen| chosen.way != Way::Direct);
            apart.then(|| packed_bytes(map(step.input).shape) + packed_bytes(map(step.output).shape))
        });
        let packed = Memory::zeroed(stream, packed.max().unwrap_or(0))?;

        let mut works = Vec::new();
        for (step, chosen) in self.model.plan.steps.iter().zip(chosen) {
            let (input, output) = (map(step.input), map(step.output));
            match (step.task, chosen) {
                (Task::Convolution(id) | Task::Linear(id), Some(chosen)) => {
                    let fused = matches!(step.task, Task::Convolution(_));
                    works.extend(self.convolution(&chosen, id, fused, [input, output], &workspace, &packed)?);
                }
                (Task::GlobalAverage, _) => {
                    works.push(Work::GlobalAverage { input, output: layout.result(arena.address()) });
                }
                _ => works.push(Work::Pool { pool: self.pool(step)?, input, output }),
            }
        }
        if !matches!(works.last(), Some(Work::GlobalAverage { .. })) {
            let output = layout.result(arena.address());
            works.push(Work::Planes { input: map(self.model.plan.result), output });
        }
        let ends = Ends {
            input: map(Place { buffer: None, channel: 0, channels: 3 }),
            result: layout.result(arena.address()),
        };
        #[expect(unsafe_code, reason = "names memory by address")]
        // SAFETY: the layout puts all buffers into the arena; workspace and packed memory are as large as the largest that any work
        // wants; the weights' memory is the engine's, which is dropped after its batches. Only the engine's stream works on them.
        unsafe {
            Batch::new(&self.model.card, self.handle, works, ends, [arena, workspace, packed])
        }
    }

    /// Chooses how a convolution is done.
    fn choose(&self, tuner: &mut Tuner, id: NodeId, fused: bool, input: Map, output: Map) -> Result<Chosen> {
        let Some(parameter) = self.model.parameters.of(id) else { return Err(self.without_weights(id)) };
        let direct = Convolution {
            dtype: self.model.card.arithmetic.dtype,
            tensor_cores: self.model.card.arithmetic.tensor_cores,
            input: input.shape,
            output: output.shape,
            window: parameter.convolution.window,
            fused,
        };
        let places = pointers(parameter, [input, output], 0);
        if let Some(plan) = tuner.plan(&self.model.card, self.handle, &direct, places)? {
            return Ok(Chosen { plan, way: Way::Direct });
        }
        let mut tried = vec![direct];
        let [of_input, of_output] = [input.shape, output.shape].map(packed_bytes);
        let packed = Memory::zeroed(&self.model.card.stream, of_input + of_output)?;
        for packs_input in [false, true] {
            let apart = Convolution {
                input: if packs_input { input.shape.packed() } else { input.shape },
                output: output.shape.packed(),
                fused: false,
                ..direct
            };
            let input = if packs_input { packed.address() + of_output as CUdeviceptr } else { input.address };
            let places = Pointers { input, output: packed.address(), ..places };
            if let Some(plan) = tuner.plan(&self.model.card, self.handle, &apart, places)? {
                return Ok(Chosen { plan, way: Way::Apart { packs_input } });
            }
            tried.push(apart);
        }
        tuner.forget(&tried);
        Err(CudaError::NoEngine {
            layer: self.model.network.nodes()[id].name.clone(),
            key: direct.key(),
            detail: tuner.last_words().to_owned(),
        })
    }

    /// What the card does for a convolution.
    fn convolution(
        &self,
        chosen: &Chosen,
        id: NodeId,
        fused: bool,
        [input, output]: [Map; 2],
        workspace: &Memory,
        packed: &Memory,
    ) -> Result<Vec<Work>> {
        let Some(parameter) = self.model.parameters.of(id) else { return Err(self.without_weights(id)) };
        let pointers = pointers(parameter, [input, output], workspace.address());
        let Way::Apart { packs_input } = chosen.way else {
            return Ok(vec![Work::Convolution(Launch::new(&chosen.plan, &pointers)?)]);
        };
        let result = Map { address: packed.address(), shape: output.shape.packed() };
        let behind = packed.address() + packed_bytes(output.shape) as CUdeviceptr;
        let copy = Map { address: behind, shape: input.shape.packed() };
        let read = if packs_input { copy } else { input };
        let pointers = Pointers { input: read.address, output: result.address, ..pointers };
        let bias = fused.then(|| parameter.bias.address());
        let mut works = Vec::new();
        if packs_input {
            works.push(Work::Pool { pool: Pool::COPY, input, output: copy });
        }
        works.push(Work::Convolution(Launch::new(&chosen.plan, &pointers)?));
        works.push(Work::Pool { pool: Pool { bias, relu: fused, ..Pool::COPY }, input: result, output });
        Ok(works)
    }

    fn pool(&self, step: &Step) -> Result<Pool> {
        let (pool, bias) = match step.task {
            Task::PoolOf { pool, convolution } => {
                let Some(parameter) = self.model.parameters.of(convolution) else {
                    return Err(self.without_weights(convolution));
                };
                (pool, Some(parameter.bias.address()))
            }
            _ => (step.node, None),
        };
        let (reduce, window) = match self.model.network.nodes()[pool].op {
            Op::MaxPool(window) => (Reduce::Maximum, window),
            Op::AveragePool { window, counts_padding } => (Reduce::Mean { counts_padding }, window),
            _ => return Err(Error::msg(format!("{} is no pool", self.model.network.nodes()[pool].name)).into()),
        };
        Ok(Pool { reduce, window, bias, relu: bias.is_some() })
    }

    fn without_weights(&self, id: NodeId) -> CudaError {
        Error::msg(format!("{} has no weights", self.model.network.nodes()[id].name)).into()
    }
}

fn pointers(parameter: &Parameter, [input, output]: [Map; 2], workspace: CUdeviceptr) -> Pointers {
    Pointers {
        input: input.address,
        kernel: parameter.kernel.address(),
        bias: parameter.bias.address(),
        rounded_bias: parameter.rounded_bias.address(),
        output: output.address,
        workspace,
    }
}

/// Room for a shape's numbers without gaps, of the widest type, a multiple of what addresses are aligned to.
const fn packed_bytes(shape: Shape) -> usize {
    (shape.len() * size_of::<f32>()).next_multiple_of(256)
}
