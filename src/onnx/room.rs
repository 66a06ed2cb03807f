//! What a file of messages would take in memory, told from its bytes before any is decoded: an empty node is two bytes in the
//! file and a few hundred as a value.
//!
//! Protobuf is a row of fields: a key (number and wire type), then a varint, eight bytes, four bytes, or a length and so many bytes. A
//! field of bytes may be a message itself; which ones are is said here, as `proto` has it.

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::proto::AttributeProto;

/// What may be taken whatever the file's length: a small graph of a few hundred nodes swells too.
const SMALL: u64 = 3 << 20;

/// Bytes of the widest message that comes in numbers, in a vector grown to twice its length.
const MESSAGE: u64 = 2 * size_of::<AttributeProto>() as u64;

/// Bytes of a string or a number in a grown vector.
const STRING: u64 = 2 * size_of::<String>() as u64;
const NUMBER: u64 = 16;

/// The messages that are decoded.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    /// Of strings and numbers only.
    Leaf,
}

/// What the bytes of a field are.
enum Bytes {
    Message(Kind),
    /// Numbers one after the other, of one byte and more.
    Packed,
    /// Text, numbers as they are, or what is passed over.
    Plain,
}

impl Kind {
    fn field(self, number: u32) -> Bytes {
        match (self, number) {
            (Self::Model, 7) => Bytes::Message(Self::Graph),
            (Self::Graph, 1) => Bytes::Message(Self::Node),
            (Self::Graph | Self::Attribute, 5) => Bytes::Message(Self::Tensor),
            (Self::Graph, 11 | 12) => Bytes::Message(Self::ValueInfo),
            (Self::Node, 5) => Bytes::Message(Self::Attribute),
            (Self::ValueInfo, 2) => Bytes::Message(Self::Type),
            (Self::Type, 1) => Bytes::Message(Self::TensorType),
            (Self::TensorType, 2) => Bytes::Message(Self::Shape),
            (Self::Model, 8 | 14 | 25) | (Self::Tensor, 13) | (Self::Shape, 1) => Bytes::Message(Self::Leaf),
            (Self::Attribute, 8) | (Self::Tensor, 1 | 5 | 7) => Bytes::Packed,
            _ => Bytes::Plain,
        }
    }
}

/// Whether the bytes are fields from the first to the last, and all that they become is not much larger than the file.
pub(super) fn fits(file: &[u8]) -> bool {
    let len = file.len() as u64;
    let mut taken = 0;
    measure(file, Kind::Model, &mut taken, len.saturating_mul(2).saturating_add(SMALL)).is_some()
}

/// Adds up what a message takes; none where its bytes are no fields or it is too much. Messages lie at most as deep in each other as
/// [`Kind`] has them.
fn measure(mut message: &[u8], kind: Kind, taken: &mut u64, most: u64) -> Option<()> {
    while message.has_remaining() {
        let (number, wire_type) = decode_key(&mut message).ok()?;
        match wire_type {
            WireType::LengthDelimited => {
                let len = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
                let (bytes, rest) = message.split_at_checked(len)?;
                message = rest;
                match kind.field(number) {
                    Bytes::Message(inner) => {
                        *taken += MESSAGE;
                        measure(bytes, inner, taken, most)?;
                    }
                    Bytes::Packed => *taken += NUMBER * len as u64,
                    Bytes::Plain => *taken += STRING + len as u64,
                }
            }
            WireType::StartGroup | WireType::EndGroup => return None,
            _ => {
                skip_field(wire_type, number, &mut message, DecodeContext::default()).ok()?;
                *taken += NUMBER;
            }
        }
        if *taken > most {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use prost::Message;

    use super::*;
    use crate::onnx::proto::{GraphProto, ModelProto, NodeProto};

    fn of_nodes(count: usize) -> Vec<u8> {
        let graph = GraphProto { node: vec![NodeProto::default(); count], ..GraphProto::default() };
        ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec()
    }

    #[test]
    fn a_small_graph_fits_and_a_swarm_of_empty_nodes_does_not() {
        assert!(fits(&of_nodes(100)));
        assert!(!fits(&of_nodes(1_000_000)));
    }

    #[test]
    fn what_is_no_row_of_fields_does_not_fit() {
        for bytes in [&b"\x3a\xff\xff\xff\xff\x0f"[..], b"\x08", b"\x0b\x0c", b"<html>", b"\xff\xff"] {
            assert!(!fits(bytes), "{bytes:?}");
        }
        assert!(fits(b""));
    }
}
