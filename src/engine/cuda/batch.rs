//! All that is ready for batches of one size: memory, a launch a step, and the graph that they were captured as.
//!
//! ```text
//! plan + layout ─▶ an engine each convolution ─▶ launches: fixed addresses ─▶ run once ─▶ captured once ─▶ replayed for every batch
//! ```
//!
//! A convolution is done at once with bias and ReLU, from place to place. Where none of cuDNN's engines does that, it goes to packed memory
//! alone, and a kernel of ours takes it from there to its channels with bias and ReLU; and where what it reads is not packed either and
//! that is refused, it is packed first.
#![expect(unsafe_code, reason = "launches work on addresses in memory that this keeps")]

use std::sync::Arc;

use candle_core::Error;
use candle_core::cuda_backend::cudarc::driver::CudaGraph;
use candle_core::cuda_backend::cudarc::driver::sys::{CUdeviceptr, CUgraphInstantiate_flags, CUstreamCaptureMode};

use super::card::Card;
use super::cudnn::{Convolution, ExecutionPlan, Handle, Launch, Pointers};
use super::error::{CudaError, Result};
use super::kernels::{Pixels, Pool, Reduce};
use super::layout::Layout;
use super::map::{Map, Shape};
use super::memory::Memory;
use super::model::Model;
use super::tuner::Tuner;
use crate::engine::plan::{Place, Step, Task};
use crate::image::Normalise;
use crate::inception::{NodeId, Op};

/// What batches of one size need.
pub struct Batch {
    /// None where it cannot be captured.
    graph: Option<Graph>,
    works: Vec<Work>,
    /// Where the images go.
    input: Map,
    /// Where what leaves the network is.
    pub result: CUdeviceptr,
    /// Why there is no graph, for the user to know.
    pub without_graph: Option<String>,
    /// What all the addresses are in.
    _memory: [Memory; 3],
}

/// A captured graph.
struct Graph(CudaGraph);

// SAFETY: a graph may go from thread to thread, as long as one at a time uses it; it is not Sync.
unsafe impl Send for Graph {}

/// One thing that the card does.
enum Work {
    Convolution(Launch),
    Pool { pool: Pool, input: Map, output: Map },
    GlobalAverage { input: Map, output: CUdeviceptr },
    Planes { input: Map, output: CUdeviceptr },
}

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
        let image = Place { buffer: None, channel: 0, channels: 3 };
        let mut batch = Batch {
            graph: None,
            works,
            input: map(image),
            result: layout.result(arena.address()),
            without_graph: None,
            _memory: [arena, workspace, packed],
        };
        batch.capture(&self.model.card, self.handle)?;
        Ok(batch)
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
        let places = Pointers {
            input: input.address,
            kernel: parameter.kernel.address(),
            bias: fused.then(|| parameter.bias.address()),
            output: output.address,
            workspace: 0,
        };
        if let Some(plan) = tuner.plan(&self.model.card, self.handle, &direct, places)? {
            return Ok(Chosen { plan, way: Way::Direct });
        }
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
            let places = Pointers { input, bias: None, output: packed.address(), ..places };
            if let Some(plan) = tuner.plan(&self.model.card, self.handle, &apart, places)? {
                return Ok(Chosen { plan, way: Way::Apart { packs_input } });
            }
        }
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
        let bias = fused.then(|| parameter.bias.address());
        let kernel = parameter.kernel.address();
        let workspace = workspace.address();
        let Way::Apart { packs_input } = chosen.way else {
            let pointers = Pointers { input: input.address, kernel, bias, output: output.address, workspace };
            return Ok(vec![Work::Convolution(Launch::new(&chosen.plan, &pointers)?)]);
        };
        let result = Map { address: packed.address(), shape: output.shape.packed() };
        let behind = packed.address() + packed_bytes(output.shape) as CUdeviceptr;
        let copy = Map { address: behind, shape: input.shape.packed() };
        let read = if packs_input { copy } else { input };
        let pointers = Pointers { input: read.address, kernel, bias: None, output: result.address, workspace };
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

impl Batch {
    /// Sends all the work on `count` images, no more than this is for, to the card's stream: from pixels on the card to
    /// [`Self::result`].
    ///
    /// # Safety
    /// The pixels are there until the stream is past it, and are not written meanwhile.
    ///
    /// # Errors
    /// Those of the driver and of cuDNN.
    pub unsafe fn run(
        &self,
        card: &Card,
        handle: &Handle,
        pixels: Pixels,
        count: usize,
        normalise: &Normalise,
    ) -> Result<()> {
        // SAFETY: the input is in the memory that this keeps, and has room; for the pixels the caller answers.
        unsafe { card.kernels.input(&card.stream, pixels, count, normalise, &self.input)? };
        match &self.graph {
            Some(Graph(graph)) => Ok(graph.launch()?),
            None => self.launch(card, handle),
        }
    }

    /// Runs once, for the driver loads what it needs at first use, and captures the graph.
    fn capture(&mut self, card: &Card, handle: &Handle) -> Result<()> {
        self.launch(card, handle)?;
        card.stream.synchronize()?;
        // Of this thread alone: others may go on allocating and copying.
        card.stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)?;
        let launched = self.launch(card, handle);
        let captured = card.stream.end_capture(CUgraphInstantiate_flags(0));
        let graph = launched.and_then(|()| Ok(captured?));
        match graph {
            Ok(Some(graph)) => {
                graph.upload()?;
                self.graph = Some(Graph(graph));
            }
            Err(error) if error.is_out_of_memory() => return Err(error),
            Ok(None) => self.without_graph = Some("nothing was captured".to_owned()),
            Err(error) => self.without_graph = Some(error.to_string()),
        }
        Ok(())
    }

    fn launch(&self, card: &Card, handle: &Handle) -> Result<()> {
        let (kernels, stream) = (&card.kernels, &*card.stream);
        for work in &self.works {
            // SAFETY: all addresses are in the memory that this keeps, laid out by shape, or the parameters', which outlive it; all
            // work on them is on this stream.
            unsafe {
                match work {
                    Work::Convolution(launch) => launch.run(handle)?,
                    Work::Pool { pool, input, output } => kernels.pool(stream, pool, input, output)?,
                    Work::GlobalAverage { input, output } => kernels.global_average(stream, input, *output)?,
                    Work::Planes { input, output } => kernels.planes(stream, input, *output)?,
                }
            }
        }
        Ok(())
    }
}

/// Room for a shape's numbers without gaps, of the widest type, a multiple of what addresses are aligned to.
const fn packed_bytes(shape: Shape) -> usize {
    (shape.len() * size_of::<f32>()).next_multiple_of(256)
}
