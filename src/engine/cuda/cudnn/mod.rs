//! cuDNN's graph API: a convolution with what follows it as one operation graph, and an engine that computes it;
//! and the gradients of one, each a graph of its own.
//!
//! ```text
//! Convolution ─▶ graph: convolution ─▶ + bias ─▶ ReLU ─▶ configs: engines and their knobs, by heuristics or by a tag ─▶ plan ─▶ launch
//! shapes, strides       descriptors, finalised            which of them suit the precision                     compiled    pointers
//! ```
//!
//! Everything is a descriptor: attributes are set, then it is finalised, then it may be an attribute of another
//! (`descriptor`). Names and types of attributes are those of NVIDIA's `cudnn_graph.h`.

mod config;
mod convolution;
mod descriptor;
mod gradient;
mod graph;
mod handle;
mod operation;
mod plan;

pub use config::{Config, Heuristics};
pub use convolution::Convolution;
pub use gradient::{By, Gradient};
pub use graph::Graph;
pub use handle::{Handle, version};
pub use operation::Operation;
pub use plan::{ExecutionPlan, Launch, Pointers};
