//! What a runner of any graph needs beside its nodes: the image it takes, its outputs, and its tensors as candle's.

use std::collections::HashMap;
use std::path::Path;

use candle_core::Tensor;
use prost::bytes::Bytes;

use super::external::ExternalFiles;
use super::numbers::Stored;
use super::proto::{ValueInfoProto, data_type};
use super::{Layout, OnnxError, decode, recognise, trace};

/// Integers that may say along which axes or to which shape; more are never needed.
const FEW: usize = 64;

/// A graph's surroundings.
#[derive(Debug)]
pub(crate) struct GraphParts {
    /// The file.
    pub(crate) bytes: Bytes,
    /// The name of the input that is an image.
    pub(crate) image: String,
    /// In which order its axes are.
    pub(crate) layout: Layout,
    /// Its height and width, where they are fixed.
    pub(crate) side: Option<usize>,
    /// The names of the outputs.
    pub(crate) outputs: Vec<String>,
    /// By name.
    pub(crate) tensors: HashMap<String, Tensor>,
    /// Those of few integers.
    pub(crate) small: HashMap<String, Vec<i64>>,
    /// As in [`Recognised`](super::Recognised).
    pub(crate) sha256: String,
}

/// Reads a graph of any network.
///
/// # Errors
/// Where the bytes are no ONNX file, numbers cannot be had, or it takes no float32 image of equal sides.
pub(crate) fn graph_parts(bytes: Vec<u8>, path: Option<&Path>) -> Result<GraphParts, OnnxError> {
    let bytes = Bytes::from(bytes);
    let model = decode(bytes.clone())?;
    let graph = model.graph.as_ref().ok_or(OnnxError::Format)?;
    let mut beside = ExternalFiles::beside(path);
    let (mut tensors, mut small) = (HashMap::new(), HashMap::new());
    for tensor in &graph.initializer {
        let stored = Stored::new(tensor, &mut beside)?;
        let unread =
            |error: candle_core::Error| OnnxError::Tensor { name: tensor.name.clone(), reason: error.to_string() };
        if let Some(numbers) = stored.small().filter(|numbers| numbers.values.len() <= FEW) {
            small.insert(tensor.name.clone(), numbers.integers());
        }
        tensors.insert(tensor.name.clone(), stored.tensor().map_err(unread)?);
    }
    let image = graph.input.iter().find(|input| !tensors.contains_key(&input.name)).ok_or(OnnxError::NoImage)?;
    let layout = trace::layout(image).filter(|_| is_float(image)).ok_or(OnnxError::NoImage)?;
    let side = side(image, layout)?;
    let outputs = graph.output.iter().map(|output| output.name.clone()).collect();
    let image = image.name.clone();
    let files: Vec<Bytes> = std::iter::once(bytes.clone()).chain(beside.read()).collect();
    Ok(GraphParts { bytes, image, layout, side, outputs, tensors, small, sha256: recognise::sha256(&files) })
}

fn is_float(input: &ValueInfoProto) -> bool {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    tensor.is_some_and(|tensor| tensor.elem_type == data_type::FLOAT)
}

/// Height and width; none where they are left open.
fn side(input: &ValueInfoProto, layout: Layout) -> Result<Option<usize>, OnnxError> {
    /// Images are decoded before they are made this small: a graph does not say how much memory that takes.
    const SIDES: std::ops::RangeInclusive<usize> = 16..=1024;
    let first = if layout == Layout::ChannelsFirst { 2 } else { 1 };
    let shape = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()?.shape.as_ref());
    let dim = |at: usize| shape.and_then(|shape| shape.dim.get(at)?.dim_value).filter(|&dim| dim > 0);
    match (dim(first), dim(first + 1)) {
        (None, None) => Ok(None),
        (Some(height), Some(width)) if height == width => match usize::try_from(height) {
            Ok(side) if SIDES.contains(&side) => Ok(Some(side)),
            _ => Err(OnnxError::NoImage),
        },
        _ => Err(OnnxError::NoImage),
    }
}
