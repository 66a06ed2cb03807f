//! The header of a safetensors file, parsed and written.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::HEADER_LIMIT;
use super::room::Extent;

/// The metadata and the tensors, whose shapes, types and offsets agree, without an overlap or a gap. None where it is no
/// header of safetensors, or would take more memory than the file is long.
///
/// Not by the safetensors crate's own `Deserialize`, which holds all of the header as values of 32 bytes for a time: here a
/// tensor is parsed from its piece of the text.
pub(crate) fn parse(text: &[u8], file_len: u64) -> Option<(HashMap<String, String>, Metadata)> {
    let text = str::from_utf8(text).ok()?;
    if !Extent::of(text)?.lists_fit(file_len) {
        return None;
    }
    let mut metadata = HashMap::new();
    let mut tensors = Vec::new();
    for (name, value) in entries(text)? {
        if name.get() == "\"__metadata__\"" {
            let texts = entries(value.get())?.into_iter();
            metadata = texts.map(|(key, text)| Some((unescape(key)?, unescape(text)?))).collect::<Option<_>>()?;
        } else if Extent::of(value.get())?.fits(file_len) {
            let info: TensorInfo = serde_json::from_str(value.get()).ok()?;
            tensors.push((unescape(name)?, info));
        } else {
            return None;
        }
    }
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    Some((metadata, Metadata::new(None, tensors).ok()?))
}

/// The entries of a JSON object as they stand in the text.
fn entries(object: &str) -> Option<Vec<(&RawValue, &RawValue)>> {
    struct Entries<'a>(Vec<(&'a RawValue, &'a RawValue)>);

    impl<'de> Deserialize<'de> for Entries<'de> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(OfMap)
        }
    }

    struct OfMap;

    impl<'de> Visitor<'de> for OfMap {
        type Value = Entries<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(Entries(entries))
        }
    }

    // Anything else would be quoted in the error, at length.
    object.trim_start().starts_with('{').then_some(())?;
    serde_json::from_str(object).ok().map(|Entries(entries)| entries)
}

/// What a JSON string says, in one allocation no longer than it stands in the file. `serde_json` unescapes into a buffer
/// that doubles.
fn unescape(quoted: &RawValue) -> Option<String> {
    let mut rest = quoted.get().strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(rest.len());
    while let Some(place) = rest.find('\\') {
        let (plain, escape) = rest.split_at(place);
        // A letter, four hexadecimal digits, or a pair of surrogates.
        let (len, unescaped): (_, String) = [2, 6, 12].into_iter().find_map(|len| {
            let quoted = format!("\"{}\"", escape.get(..len)?);
            Some((len, serde_json::from_str(&quoted).ok()?))
        })?;
        text.push_str(plain);
        text.push_str(&unescaped);
        rest = &escape[len..];
    }
    text.push_str(rest);
    Some(text)
}

/// A tensor that is to be written: its name, type, shape.
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
}

/// Writes the length and the header, filled up with spaces so that the tensors behind it are aligned to eight bytes. The
/// bytes of the tensors follow in the order of `tensors`: wider numbers before narrower ones.
///
/// Not by the safetensors crate, because that one keeps metadata in a hash map: the same content would give other bytes at
/// every run.
pub(crate) fn write_header(metadata: &[(&str, String)], tensors: &[Entry<'_>], out: &mut impl Write) -> io::Result<()> {
    let mut header = Map::new();
    let metadata: Map<String, Value> = metadata.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    header.insert("__metadata__".to_owned(), Value::Object(metadata));
    let mut end = 0;
    for Entry { name, dtype, shape } in tensors {
        let start = end;
        end += shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let dtype = format!("{dtype:?}");
        header.insert((*name).to_owned(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }));
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() > HEADER_LIMIT {
        return Err(io::Error::other("the paths do not fit the header of one safetensors file"));
    }
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn escapes_of_every_kind_are_those_of_serde_json() {
        for json in
            [r#""""#, r#""plain ü""#, r#""\"\\\/\b\f\n\r\t""#, r#""\u0041\u00fcx\ud83d\ude00y\\u0041""#, r#""\\\\\"""#]
        {
            assert_eq!(unescape(raw(json)), Some(serde_json::from_str::<String>(json).unwrap()), "{json}");
        }
        for no_text in ["0", "[]", "null", r#""\ud83d""#, r#""\ud83dx\ude00""#] {
            assert_eq!(unescape(raw(no_text)), None, "{no_text}");
        }
    }

    proptest! {
        #[test]
        fn a_string_comes_back_from_its_json(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unescape(raw(&json)), Some(text));
        }
    }
}
