//! ONNX: graphs of Inception-v3, recognised by what they compute and not by their names.
//!
//! ```text
//! bytes ─▶ room: measured ─▶ proto: messages ─▶ trace: steps, free of layout ─▶ recognise: held to the description, from the last
//!                               ▲                                                │        concatenation back to the image
//!              external: numbers beside the graph                                ├▶ input      what the graph takes for an image
//!                                                                                ├▶ unit       convolution and batch norm, as trained
//!                                                                                ▼
//!                                                                            Recognised ─▶ Weights, by torchvision's names
//! ```
//!
//! What is recognised runs on the engines here, at their speed. Exporters write the same network in many ways: both of `torch.onnx`'s,
//! tf2onnx, Keras'. So nothing depends on how nodes are called, where a batch norm went, or in which layout maps lie. The
//! description in [`inception`](crate::inception) says what must be there, and a graph that departs from it is told where.
//!
//! Source of the format: `onnx/onnx.proto3` and `docs/Operators.md` of the ONNX project.

mod external;
mod input;
mod numbers;
#[cfg(feature = "onnx")]
mod parts;
pub(crate) mod proto;
mod recognise;
mod room;
mod trace;
mod unit;

#[cfg(feature = "onnx")]
pub(crate) use parts::{GraphParts, graph_parts};
pub use recognise::{Classifier, Recognised};
#[cfg(feature = "onnx")]
pub(crate) use trace::Layout;

use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;

use crate::printable::shortened;
use external::ExternalFiles;
use proto::{ModelProto, NodeProto};

/// Why a graph cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The bytes are none of an ONNX file, or not all of them.
    #[error("not a whole ONNX file")]
    Format,
    /// It uses functions of its own.
    #[error(
        "its graph is built of functions of its own ({0}), which are not read: export it with torch 2.5 or later, or with dynamo=False"
    )]
    Functions(String),
    /// No input is an image.
    #[error("its graph has no input that is a batch of images of three channels")]
    NoImage,
    /// A tensor is not what it should be.
    #[error("its tensor {name} cannot be read: {reason}")]
    Tensor {
        /// Its name.
        name: String,
        /// One line.
        reason: String,
    },
    /// Numbers lie in a file that cannot be had.
    #[error(
        "its numbers lie in another file, {location}, which cannot be read: {reason}. Put that file beside it, or export it \
         as one file (torch.onnx.export(..., external_data=False))"
    )]
    External {
        /// What the graph calls the file.
        location: String,
        /// One line.
        reason: String,
    },
    /// The graph is of another network.
    #[error("its graph is no Inception-v3: {departure}. {}", ANY_BACKBONE)]
    Departure {
        /// Where it departs, and from what.
        departure: String,
    },
    /// The image is brought into a range that no preprocessing here knows.
    #[error(
        "its graph begins with {0}, which fits no known range of its input (0 to 255, 0 to 1, -1 to 1, or ImageNet's mean \
         and deviation): export the network without it"
    )]
    Range(String),
}

/// What the metadata of an export of ours says under `format`.
pub(crate) const FORMAT: &str = "headstock.onnx/1";

/// The key of its preprocessing there.
pub(crate) const PREPROCESS: &str = "preprocess";

/// What is left to who has another network.
const ANY_BACKBONE: &str = if cfg!(feature = "onnx") {
    "Any other backbone is run as it is where --preprocess says what images become"
} else {
    "Any other backbone is run by a binary that was built with --features onnx, with --preprocess"
};

/// Whether a file is one of ONNX: by its first field, the version, and by what the next one is; by name if the bytes leave it open.
#[must_use]
pub fn is_onnx(bytes: &[u8], path: Option<&Path>) -> bool {
    let is_named = || path.and_then(Path::extension).is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
    // `ir_version` is a small number; what follows is the producer's name, the graph, or the operators' versions.
    let begins = matches!(bytes, [0x08, 1..=0x7f, 0x12 | 0x1a | 0x22 | 0x3a | 0x42 | 0x72, ..]);
    // The length of a header, and JSON: safetensors, of whatever name.
    let is_safetensors = matches!(bytes, [_, _, _, _, 0, 0, 0, 0, b'{', ..]);
    !is_safetensors && (begins || is_named())
}

/// Reads a graph of Inception-v3. `path` is where the bytes lie: beside it the graph may have its numbers.
///
/// # Errors
/// Where the bytes are no ONNX file, its numbers cannot be had, or it is another network.
pub fn recognise(bytes: Vec<u8>, path: Option<&Path>) -> Result<Recognised, OnnxError> {
    let bytes = Bytes::from(bytes);
    let model = decode(bytes.clone())?;
    let mut beside = ExternalFiles::beside(path);
    let recognised = recognise::recognise(&model, &mut beside)?;
    let files: Vec<Bytes> = std::iter::once(bytes).chain(beside.read()).collect();
    Ok(Recognised { sha256: recognise::sha256(&files), ..recognised })
}

/// The messages of a file, once it is known that they take no more memory than its length bears out.
fn decode(bytes: Bytes) -> Result<ModelProto, OnnxError> {
    if !room::fits(&bytes) {
        return Err(OnnxError::Format);
    }
    let model = ModelProto::decode(bytes).map_err(|_| OnnxError::Format)?;
    match model.functions.first() {
        Some(function) => Err(OnnxError::Functions(shortened(&function.name))),
        None if model.graph.is_none() => Err(OnnxError::Format),
        None => Ok(model),
    }
}

/// How a person finds a node: by its name in a viewer, or by what it makes.
fn named(node: &NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name };
    format!("{} '{}'", shortened(&node.op_type), shortened(name))
}
