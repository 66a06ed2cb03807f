//! NumPy's array format, version 1.0 (NEP 1).

use std::io::{self, Read, Write};

use super::Table;

pub(super) fn write(table: &Table<'_>, rows: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    let (count, columns) = (table.images.len(), table.columns);
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, {columns}), }}");
    // Magic, length and header fill whole blocks of 64 bytes, the last byte being a line's end.
    let before = MAGIC.len() + size_of::<u16>();
    let padded = (before + header.len() + 1).next_multiple_of(64) - before;
    header.push_str(&" ".repeat(padded - header.len() - 1));
    header.push('\n');
    out.write_all(MAGIC)?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    table.copy_rows(rows, out)
}
