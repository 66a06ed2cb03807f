//! safetensors: a JSON header, then the tensors.

use std::collections::BTreeMap;

use safetensors::Dtype;

use super::{Bytes, Checkpoint, Container, FormatError, Number, StoredTensor, damaged};
use crate::tensor_file::parse_header;

/// Looks through a safetensors file; what its header promises has to be there, to the byte.
pub(super) fn open<'a>(bytes: &Bytes<'a>) -> Result<Checkpoint<'a>, FormatError> {
    let wrong = |reason: &str| damaged(Container::Safetensors, reason);
    let (len, rest) = bytes.split_first_chunk().ok_or_else(|| wrong("it is cut off"))?;
    let header_len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
    let header = rest.get(..header_len).ok_or_else(|| wrong("its header is cut off"))?;
    let (metadata, header) =
        parse_header(header, bytes.len() as u64).ok_or_else(|| wrong("its header is not what it should be"))?;
    let data = 8 + header_len;
    if header.data_len() != bytes.len() - data {
        return Err(wrong("its tensors are not as long as its header says"));
    }
    let mut tensors = BTreeMap::new();
    for (name, info) in header.tensors() {
        let (start, end) = info.data_offsets;
        let place = bytes.part(data + start..data + end).ok_or_else(|| wrong("it is cut off"))?;
        // One of more axes than the network's tensors have is none of them.
        if let Some(tensor) = StoredTensor::in_order(number(info.dtype), info.shape.clone(), place) {
            tensors.insert(name, tensor);
        }
    }
    Ok(Checkpoint { container: Container::Safetensors, tensors, metadata })
}

const fn number(dtype: Dtype) -> Number {
    match dtype {
        Dtype::F16 => Number::F16,
        Dtype::BF16 => Number::BF16,
        Dtype::F32 => Number::F32,
        Dtype::F64 => Number::F64,
        Dtype::I64 => Number::Other("I64"),
        Dtype::I32 => Number::Other("I32"),
        Dtype::I16 => Number::Other("I16"),
        Dtype::I8 => Number::Other("I8"),
        Dtype::U8 => Number::Other("U8"),
        Dtype::BOOL => Number::Other("BOOL"),
        _ => Number::Other("of a type that is not read"),
    }
}
