//! The header of one of NumPy's arrays (`.npy`, NEP 1), read and written: which type, which shape.

use std::io::{self, Read, Write};

use crate::tensor_file::{Fault, fault};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The longest header that is believed; NumPy's own for two dimensions is 118 bytes long.
const HEADER_LIMIT: usize = 4096;

/// Type and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NpyHeader {
    /// `<f8`, say.
    pub(super) descr: String,
    /// Whether the first axis varies fastest.
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

impl NpyHeader {
    /// Reads up to the first number, and how many bytes that took.
    pub(super) fn read(file: &mut impl Read, name: &str) -> Result<(Self, usize), Fault> {
        let none = || fault(format!("`{name}` in it is no array of NumPy's"));
        let mut start = [0; 8];
        file.read_exact(&mut start).map_err(|_| none())?;
        let (magic, [major, _]) = start.split_at(6) else { return Err(none()) };
        let len_bytes = match major {
            _ if magic != MAGIC => return Err(none()),
            1 => 2,
            2 | 3 => 4,
            _ => return Err(none()),
        };
        let mut len = [0; 4];
        file.read_exact(&mut len[..len_bytes]).map_err(|_| none())?;
        let len = u32::from_le_bytes(len) as usize;
        if len > HEADER_LIMIT {
            return Err(none());
        }
        let mut text = vec![0; len];
        file.read_exact(&mut text).map_err(|_| none())?;
        let header = str::from_utf8(&text).ok().and_then(parse).ok_or_else(none)?;
        Ok((header, start.len() + len_bytes + len))
    }

    /// Writes it so that the numbers behind it begin at a multiple of 64, as NumPy does.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let order = if self.fortran_order { "True" } else { "False" };
        let lengths: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        // A tuple of one has a comma.
        let shape = lengths.join(", ") + if lengths.len() == 1 { "," } else { "" };
        let mut text = format!("{{'descr': '{}', 'fortran_order': {order}, 'shape': ({shape}), }}", self.descr);
        let before = MAGIC.len() + 4;
        let padded = (before + text.len() + 1).next_multiple_of(64) - before;
        text.push_str(&" ".repeat(padded - text.len() - 1));
        text.push('\n');
        out.write_all(MAGIC)?;
        out.write_all(&[1, 0])?;
        out.write_all(&(text.len() as u16).to_le_bytes())?;
        out.write_all(text.as_bytes())
    }
}

/// `{'descr': '<f8', 'fortran_order': False, 'shape': (2048, 2048), }`, its entries in any order.
fn parse(text: &str) -> Option<NpyHeader> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, value) = rest.split_once(':')?;
        let value = value.trim_start();
        let end = match value.chars().next()? {
            '(' => value.find(')')? + 1,
            quote @ ('\'' | '"') => value[1..].find(quote)? + 2,
            _ => value.find(',').unwrap_or(value.len()),
        };
        let (value, behind) = value.split_at(end);
        match unquoted(key.trim())? {
            "descr" => descr = Some(unquoted(value)?.to_owned()),
            "fortran_order" => fortran_order = Some(matches!(value.trim(), "True")),
            "shape" => {
                let lengths = value.strip_prefix('(')?.strip_suffix(')')?.split(',').map(str::trim);
                let lengths = lengths.filter(|length| !length.is_empty());
                shape = Some(lengths.map(|length| length.parse().ok()).collect::<Option<_>>()?);
            }
            _ => return None,
        }
        let behind = behind.trim_start();
        rest = behind.strip_prefix(',').unwrap_or(behind).trim_start();
    }
    Some(NpyHeader { descr: descr?, fortran_order: fortran_order?, shape: shape? })
}

fn unquoted(text: &str) -> Option<&str> {
    let quoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    quoted('\'').or_else(|| quoted('"'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use super::*;

    #[test]
    fn headers_of_any_layout_are_read_and_others_are_refused() {
        let header = |descr: &str, fortran_order, shape: &[usize]| {
            Some(NpyHeader { descr: descr.to_owned(), fortran_order, shape: shape.to_vec() })
        };
        let cases = [
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n", header("<f8", false, &[3, 4])),
            ("{\"shape\":(7,),\"descr\":\"<f4\",\"fortran_order\":True}", header("<f4", true, &[7])),
            ("{'descr': '|u1', 'fortran_order': False, 'shape': (), }", header("|u1", false, &[])),
            ("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,), }", None),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (-3,), }", None),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }", None),
            ("{'descr': '<f8', 'fortran_order': False, }", None),
            ("{'descr': '<f8", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_header_comes_back_and_is_a_multiple_of_64_bytes_long() {
        for shape in [vec![2048], vec![2048, 2048], vec![]] {
            let header = NpyHeader { descr: "<f8".to_owned(), fortran_order: false, shape };
            let mut bytes = Vec::new();
            header.write(&mut bytes).unwrap();
            assert_eq!(bytes.len() % 64, 0);
            assert_eq!(NpyHeader::read(&mut bytes.as_slice(), "mu").unwrap(), (header, bytes.len()));
        }
    }
}
