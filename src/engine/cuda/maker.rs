//! Makes batches: memory for all buffers, an engine for each convolution, and what the card does one thing after the other.
//!
//! ```text
//! plan ─▶ layout: addresses ─▶ an engine each convolution (tuner) ─▶ workspace, the largest ─▶ works ─▶ batch
//! ```

use candle_core::Error;

use super::batch::{Batch, Ends};
use super::cudnn::Handle;
use super::error::{CudaError, Result};
use super::kernels::{Pool, Reduce};
use super::layout::Layout;
use super::memory::Memory;
use super::model::Model;
use super::tuner::Tuner;
use super::way::{Chosen, Layer};
use super::work::Work;
use crate::engine::plan::{Place, Step, Task};
use crate::inception::{NodeId, Op};

/// Who makes batches.
pub struct Maker<'a> {
    /// Of what,
    pub model: &'a Model,
    /// with cuDNN on the card's stream.
    pub handle: &'a Handle,
}

impl Maker<'_> {
    /// Gets ready for so many images of a size.
    ///
    /// # Errors
    /// Out of memory; images too small; a layer that no engine computes.
    pub fn make(&self, tuner: &mut Tuner, size: [usize; 2], images: usize) -> Result<Batch> {
        let card = &self.model.card;
        let shapes = self.model.network.shapes(size)?;
        let layout = Layout::new(&self.model.plan, &shapes, images, card.arithmetic);
        let arena = Memory::zeroed(&card.stream, layout.len)?;
        let map = |place| layout.map(arena.address(), place);

        // First which engines, then the memory that they share.
        let mut chosen = Vec::new();
        for step in &self.model.plan.steps {
            chosen.push(match self.layer(step)? {
                Some(layer) => {
                    Some(Chosen::new(card, self.handle, tuner, &layer, [map(step.input), map(step.output)])?)
                }
                None => None,
            });
        }
        tuner.finish();
        let workspace = chosen.iter().flatten().map(Chosen::workspace).max().unwrap_or(0);
        let workspace = Memory::zeroed(&card.stream, workspace)?;
        let packed =
            self.model.plan.steps.iter().zip(&chosen).filter_map(|(step, chosen)| {
                Some(chosen.as_ref()?.packed(map(step.input).shape, map(step.output).shape))
            });
        let packed = Memory::zeroed(&card.stream, packed.max().unwrap_or(0))?;

        let mut works = Vec::new();
        for (step, chosen) in self.model.plan.steps.iter().zip(chosen) {
            let (input, output) = (map(step.input), map(step.output));
            match (self.layer(step)?, chosen) {
                (Some(layer), Some(chosen)) => {
                    works.extend(chosen.works(&layer, [input, output], workspace.address(), packed.address())?);
                }
                _ if step.task == Task::GlobalAverage => {
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
            Batch::new(card, self.handle, works, ends, [arena, workspace, packed])
        }
    }

    /// The convolution of a step, if it is one.
    fn layer(&self, step: &Step) -> Result<Option<Layer<'_>>> {
        let (id, fused) = match step.task {
            Task::Convolution(id) => (id, true),
            Task::Linear(id) => (id, false),
            Task::Pool(_) | Task::PoolOf { .. } | Task::GlobalAverage => return Ok(None),
        };
        let Some(parameter) = self.model.parameters.of(id) else { return Err(self.without_weights(id)) };
        Ok(Some(Layer {
            name: &self.model.network.nodes()[id].name,
            window: parameter.convolution.window,
            fused,
            kernel: parameter.kernel.address(),
            bias: parameter.bias.address(),
            rounded_bias: parameter.rounded_bias.address(),
        }))
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
