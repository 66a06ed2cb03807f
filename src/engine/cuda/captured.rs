//! Work that is sent again and again: done once, captured once, then replayed as one graph.
//!
//! Where a graph cannot be captured the works are sent one by one, every time.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use candle_core::cuda_backend::cudarc::driver::{CudaGraph, CudaStream};

use super::error::Result;

/// Work that is captured, where it can be.
pub struct Captured {
    /// None where it cannot be captured.
    graph: Option<Graph>,
    without_graph: Option<String>,
}

/// A captured graph.
struct Graph(CudaGraph);

#[expect(unsafe_code, reason = "a graph of the driver's is a pointer")]
// SAFETY: a graph may go from thread to thread, as long as one at a time uses it; it is not Sync.
unsafe impl Send for Graph {}

impl Captured {
    /// Does what `send` sends to the stream once, for the driver loads what it needs at first use, and captures it.
    ///
    /// # Errors
    /// Those of `send`; out of memory.
    pub fn new(stream: &Arc<CudaStream>, send: impl Fn() -> Result<()>) -> Result<Self> {
        send()?;
        stream.synchronize()?;
        // Of this thread alone: others may go on allocating and copying.
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)?;
        let outcome = send();
        let captured = stream.end_capture(CUgraphInstantiate_flags(0));
        match outcome.and_then(|()| Ok(captured?)) {
            Ok(Some(graph)) => {
                graph.upload()?;
                Ok(Self { graph: Some(Graph(graph)), without_graph: None })
            }
            Err(error) if error.is_out_of_memory() => Err(error),
            Ok(None) => Ok(Self::without("nothing was captured".to_owned())),
            Err(error) => Ok(Self::without(error.to_string())),
        }
    }

    const fn without(reason: String) -> Self {
        Self { graph: None, without_graph: Some(reason) }
    }

    /// Why there is no graph, for the user to know.
    pub fn without_graph(&self) -> Option<&str> {
        self.without_graph.as_deref()
    }

    /// Sends it to the stream; `send` does so one by one.
    ///
    /// # Errors
    /// Those of the driver, and of `send`.
    pub fn run(&self, send: impl FnOnce() -> Result<()>) -> Result<()> {
        match &self.graph {
            Some(Graph(graph)) => Ok(graph.launch()?),
            None => send(),
        }
    }
}
