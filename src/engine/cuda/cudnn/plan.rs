//! A configuration compiled for a graph, and one run of it on given memory.
#![expect(unsafe_code, reason = "calls cuDNN with the card's pointers")]

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::cudnn::sys;
use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::config::Config;
use super::descriptor::{Attribute, Descriptor, Kind, Pointer};
use super::graph::{self, Graph};
use super::handle::{Handle, check};
use crate::engine::cuda::error::Result;

/// A graph, ready to be run.
pub struct ExecutionPlan {
    descriptor: Descriptor,
    workspace: usize,
    tag: String,
    /// What it is of.
    _parts: (Config, Arc<Graph>),
}

/// Where a convolution's numbers are.
#[derive(Clone, Copy, Debug)]
pub struct Pointers {
    /// What is read.
    pub input: CUdeviceptr,
    /// The weights.
    pub kernel: CUdeviceptr,
    /// The bias, where it is added.
    pub bias: Option<CUdeviceptr>,
    /// What is written.
    pub output: CUdeviceptr,
    /// As many bytes as the plan asks for, which it may write.
    pub workspace: CUdeviceptr,
}

/// A plan on given memory.
pub struct Launch {
    plan: Arc<ExecutionPlan>,
    pack: Descriptor,
}

impl ExecutionPlan {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// Those of cuDNN: an engine that does not compute this graph after all.
    pub fn new(handle: &Handle, graph: &Arc<Graph>, config: Config) -> Result<Self> {
        let descriptor = Descriptor::new(Kind::CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)?
            .with_handle(Attribute::CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle)?
            .with_parts(Attribute::CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, &[config.descriptor()])?
            .finalised()?;
        let workspace = descriptor.get::<i64>(Attribute::CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 1)?;
        let workspace = workspace.first().map_or(0, |&bytes| bytes.max(0) as usize);
        let tag = config.tag().to_owned();
        Ok(Self { descriptor, workspace, tag, _parts: (config, Arc::clone(graph)) })
    }

    /// Bytes of workspace that it needs.
    pub const fn workspace(&self) -> usize {
        self.workspace
    }

    /// Its configuration's name.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl Launch {
    /// Gives a plan its memory.
    ///
    /// # Errors
    /// Those of cuDNN.
    pub fn new(plan: &Arc<ExecutionPlan>, pointers: &Pointers) -> Result<Self> {
        let mut names = vec![graph::INPUT, graph::KERNEL, graph::OUTPUT];
        let mut places = vec![pointers.input, pointers.kernel, pointers.output];
        if let Some(bias) = pointers.bias {
            names.push(graph::BIAS);
            places.push(bias);
        }
        let places: Vec<_> = places.into_iter().map(pointer).collect();
        let pack = Descriptor::new(Kind::CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)?
            .with(Attribute::CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &names)?
            .with(Attribute::CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, &places)?
            .with(Attribute::CUDNN_ATTR_VARIANT_PACK_WORKSPACE, &[pointer(pointers.workspace)])?
            .finalised()?;
        Ok(Self { plan: Arc::clone(plan), pack })
    }

    /// Sends it to the handle's stream.
    ///
    /// # Safety
    /// At each pointer is as much memory as the graph's tensors and the workspace take, until the stream is past it, and nobody else on
    /// another stream writes what is read or touches what is written.
    ///
    /// # Errors
    /// Those of cuDNN.
    pub unsafe fn run(&self, handle: &Handle) -> Result<()> {
        // SAFETY: plan and pack are finalised; for the memory the caller answers.
        let status = unsafe { sys::cudnnBackendExecute(handle.raw(), self.plan.descriptor.raw(), self.pack.raw()) };
        check("cudnnBackendExecute", status)
    }
}

const fn pointer(place: CUdeviceptr) -> Pointer {
    Pointer(std::ptr::without_provenance_mut(place as usize))
}
