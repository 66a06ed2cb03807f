//! Any backbone in ONNX, as its graph says it, by candle-onnx's evaluator: slow beside the engines of the description, and there for the
//! networks that have none.
//!
//! ```text
//! bytes ─▶ candle-onnx's messages ─▶ prepare: what the evaluator lacks ─┐
//!      └─▶ tensors, once ───────────────────────────────────────────────┴▶ evaluate, an image at a time ─▶ rows [N, D]
//! ```
//!
//! The output becomes a row: [1, D] as it is, [1, D, 1, 1] as it is, maps by the mean over their places.

mod prepare;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_core::{Device, Result as CandleResult, Tensor, bail};
use candle_onnx::onnx::{ModelProto, ValueInfoProto};
use prost::Message;
use rayon::prelude::*;

use super::Engine;
use crate::inception::INPUT_SIDE;
use crate::onnx::{GraphParts, Layout, OnnxError, graph_parts};

/// Why a graph cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// It cannot be read.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// There are several outputs, or none of the name that was asked for.
    #[error("{reason}: choose one by --onnx-output, an output or any other value of the graph ({outputs})")]
    Output {
        /// One line.
        reason: String,
        /// The names of the outputs.
        outputs: String,
    },
    /// An operator that the evaluator lacks, or knows otherwise.
    #[error("the graph cannot be run: {0}")]
    Operator(String),
    /// A first image did not go through.
    #[error("candle-onnx's evaluator cannot run the graph: {0}")]
    Evaluator(String),
    /// What comes out is no embedding.
    #[error("'{output}' gives a tensor {shape:?} for an image, which is no embedding: choose another by --onnx-output")]
    Shape {
        /// Its name.
        output: String,
        /// For one image.
        shape: Vec<usize>,
    },
}

/// A graph, ready for images.
#[derive(Debug)]
pub struct Graph {
    model: ModelProto,
    tensors: HashMap<String, Tensor>,
    parts: GraphParts,
    output: String,
    side: usize,
    columns: usize,
}

impl Graph {
    /// Reads a graph and runs it once, so that whatever is missing is said before the first image. `output` names the value that is the
    /// embedding, where it is not the only output; `path` is where the bytes lie.
    ///
    /// # Errors
    /// Where the bytes are no ONNX file, numbers are missing, or the graph cannot be run to an embedding.
    pub fn open(bytes: Vec<u8>, path: Option<&Path>, output: Option<&str>) -> Result<Self, GraphError> {
        let mut parts = graph_parts(bytes, path)?;
        let mut model = ModelProto::decode(parts.bytes.clone()).map_err(|_| OnnxError::Format)?;
        parts.bytes.clear();
        let output = choose(&mut model, &parts, output)?;
        prepare::prepare(&mut model, &parts.small).map_err(GraphError::Operator)?;
        let tensors = std::mem::take(&mut parts.tensors);
        let side = parts.side.unwrap_or(INPUT_SIDE);
        let mut graph = Self { model, tensors, parts, output, side, columns: 0 };
        let zeros = Tensor::zeros((1, 3, side, side), candle_core::DType::F32, &Device::Cpu);
        let evaluator = |error: candle_core::Error| GraphError::Evaluator(first_line(&error.to_string()));
        let value = zeros.and_then(|zeros| graph.evaluate(&zeros)).map_err(evaluator)?;
        let row = graph.row(&value).map_err(evaluator)?;
        graph.columns = row
            .ok_or_else(|| GraphError::Shape { output: graph.output.clone(), shape: value.dims().to_vec() })?
            .elem_count();
        Ok(graph)
    }

    /// Numbers in a row.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Width and height of the images that it takes, in pixels.
    #[must_use]
    pub const fn side(&self) -> usize {
        self.side
    }

    /// The name of the value that is the embedding.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }

    /// The SHA-256 of the file, and of those beside it that hold its numbers.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.parts.sha256
    }

    /// The output for one image [1, 3, H, W].
    fn evaluate(&self, image: &Tensor) -> CandleResult<Tensor> {
        let image = match self.parts.layout {
            Layout::ChannelsFirst => image.contiguous()?,
            Layout::ChannelsLast => image.permute((0, 2, 3, 1))?.contiguous()?,
        };
        // Tensors share their numbers: nothing is copied.
        let mut values = self.tensors.clone();
        values.insert(self.parts.image.clone(), image);
        // The evaluator takes a graph at its word: an input too few ends it.
        let evaluated = catch_unwind(AssertUnwindSafe(|| candle_onnx::simple_eval(&self.model, values)));
        let mut outputs = match evaluated {
            Ok(outputs) => outputs?,
            Err(_) => bail!("a node has other inputs than its operator"),
        };
        match outputs.remove(&self.output) {
            Some(output) => Ok(output),
            None => bail!("no node makes '{}'", self.output),
        }
    }

    /// An output of one image as a row `[1, D]`; none where it is no embedding.
    fn row(&self, output: &Tensor) -> CandleResult<Option<Tensor>> {
        let output = output.to_dtype(candle_core::DType::F32)?;
        let over = if self.parts.layout == Layout::ChannelsFirst { (2, 3) } else { (1, 2) };
        Ok(match output.dims() {
            [1, _] => Some(output),
            [1, _, _, _] => Some(output.mean(over)?),
            _ => None,
        })
    }
}

impl Engine for Graph {
    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn run(&self, images: &Tensor) -> CandleResult<Tensor> {
        // An image a thread, so that no image can touch another one's bits.
        let row = |image: usize| match self.row(&self.evaluate(&images.narrow(0, image, 1)?)?)? {
            Some(row) => Ok(row),
            None => bail!("'{}' is no embedding", self.output),
        };
        let rows: CandleResult<Vec<Tensor>> = (0..images.dim(0)?).into_par_iter().map(row).collect();
        Tensor::cat(&rows?, 0)
    }
}

/// Makes the value that is the embedding the graph's only output.
fn choose(model: &mut ModelProto, parts: &GraphParts, asked: Option<&str>) -> Result<String, GraphError> {
    let error = |reason: String| GraphError::Output { reason, outputs: parts.outputs.join(", ") };
    let name = match (asked, &parts.outputs[..]) {
        (None, [only]) => only.clone(),
        (None, outputs) => return Err(error(format!("the graph has {} outputs", outputs.len()))),
        (Some(asked), _) => asked.to_owned(),
    };
    let Some(graph) = &mut model.graph else { return Err(OnnxError::Format.into()) };
    let Some(last) = graph.node.iter().position(|node| node.output.contains(&name)) else {
        return Err(error(format!("no node of the graph makes '{name}'")));
    };
    // What comes after is not needed, and need not be known.
    graph.node.truncate(last + 1);
    graph.output = vec![ValueInfoProto { name: name.clone(), ..ValueInfoProto::default() }];
    graph.initializer.clear();
    graph.input.retain(|input| input.name == parts.image);
    Ok(name)
}

/// Without what follows: candle adds a backtrace, candle-onnx all of a node.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    crate::printable::shortened(line)
}
