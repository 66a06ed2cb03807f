//! `headstock.embeddings/1`, written.

use std::io::{self, Read, Write};

use ::safetensors::Dtype;

use super::{FORMAT, Table};
use crate::dataset::Candidate;
use crate::tensor_file::{Entry, write_header};

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
    let count = table.images.len();
    let paths: Vec<&str> = table.images.iter().map(|image| image.path.as_str()).collect();
    let provenance = table.provenance;
    let metadata = [
        ("classes", serde_json::to_string(table.classes)?),
        ("format", FORMAT.to_owned()),
        ("images", table.root.to_owned()),
        ("paths", serde_json::to_string(&paths)?),
        ("preprocess", provenance.preprocess.clone()),
        ("variant", provenance.variant.clone()),
        ("version", provenance.version.clone()),
        ("weights", provenance.weights.clone()),
    ];
    let labels = table.labels().map(|_| Entry { name: "labels", dtype: Dtype::I64, shape: vec![count] });
    let embeddings = Entry { name: "embeddings", dtype: Dtype::F32, shape: vec![count, table.columns] };
    let tensors: Vec<Entry<'_>> = labels.into_iter().chain([embeddings]).collect();
    write_header(&metadata, &tensors, out)?;
    if let Some(labels) = table.labels() {
        labels.into_iter().try_for_each(|label| out.write_all(&label.to_le_bytes()))?;
    }
    table.copy_rows(rows, out)
}
