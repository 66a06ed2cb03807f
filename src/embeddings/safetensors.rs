//! `headstock.embeddings/1`.
//!
//! The header is written here and not by the safetensors crate, because that one keeps metadata in a hash map: the same
//! rows would give other bytes at every run.

use std::io::{self, Read, Write};

use serde_json::{Map, Value, json};

use super::{FORMAT, Table};
use crate::dataset::Candidate;

/// The longest header, in bytes, that the safetensors libraries read.
pub const HEADER_LIMIT: usize = 100_000_000;

/// A length, in bytes, that the header of these images does not exceed.
#[must_use]
pub fn header_len_at_most(classes: &[String], images: &[Candidate]) -> usize {
    // A path stands in a JSON array within a JSON string: quotes become two bytes, a control character at most seven.
    let escaped = |text: &str| {
        let one = |byte: u8| {
            if byte < 0x20 {
                7
            } else if matches!(byte, b'"' | b'\\') {
                4
            } else {
                1
            }
        };
        text.bytes().map(one).sum::<usize>() + 5
    };
    let paths = images.iter().map(|image| escaped(&image.path)).sum::<usize>();
    paths + classes.iter().map(|class| escaped(class)).sum::<usize>() + 4096
}

pub(super) fn write(table: &Table<'_>, rows: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
    let header = header(table)?;
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    if let Some(labels) = table.labels() {
        labels.into_iter().try_for_each(|label| out.write_all(&label.to_le_bytes()))?;
    }
    table.copy_rows(rows, out)
}

/// JSON, filled up with spaces so that the tensors behind it are aligned to eight bytes. Labels stand first, as the
/// crate would sort them: wider numbers before narrower ones.
fn header(table: &Table<'_>) -> io::Result<Vec<u8>> {
    let count = table.images.len();
    let paths: Vec<&str> = table.images.iter().map(|image| image.path.as_str()).collect();
    let provenance = table.provenance;
    let mut header = Map::new();
    header.insert(
        "__metadata__".to_owned(),
        json!({
            "classes": serde_json::to_string(table.classes)?,
            "format": FORMAT,
            "paths": serde_json::to_string(&paths)?,
            "preprocess": provenance.preprocess,
            "variant": provenance.variant,
            "version": provenance.version,
            "weights": provenance.weights,
        }),
    );
    let mut end = 0;
    let mut tensor = |dtype: &str, shape: Vec<usize>, bytes: usize| -> Value {
        let start = end;
        end += bytes;
        json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] })
    };
    if table.labels().is_some() {
        header.insert("labels".to_owned(), tensor("I64", vec![count], count * size_of::<i64>()));
    }
    let bytes = count * table.columns * size_of::<f32>();
    header.insert("embeddings".to_owned(), tensor("F32", vec![count, table.columns], bytes));

    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() > HEADER_LIMIT {
        return Err(io::Error::other("the paths do not fit the header of one safetensors file: use --shard-rows"));
    }
    Ok(header)
}
