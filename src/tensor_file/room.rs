//! What JSON would take in memory, told from its text before it is parsed: `0,` is two bytes in a file and a few dozen as
//! an element of a grown vector.

/// What may be taken whatever the file's length: small files of ours swell too.
const SMALL: u64 = 1 << 20;

/// Bytes that an element of a vector takes at most, the vector grown to twice its length. The widest of ours are the
/// metrics of a class.
const ELEMENT: u64 = 192;

/// Bytes that a byte of a string takes at most: it is unescaped into a buffer that doubles, and quoted in an error.
const STRING_BYTE: u64 = 16;

/// Bytes of a [`serde_json::Value`] in a grown vector, and of a map's smallest node.
const VALUE: u64 = 64;
const MAP: u64 = 704;

/// `serde_json` goes no deeper.
const DEEPEST: usize = 128;

/// How much a piece of JSON can swell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Extent {
    /// The most elements that one list or object has, at least.
    longest: u64,
    /// The length of the longest string, in bytes, as it stands in the text.
    string: u64,
    /// Lists and objects.
    maps: u64,
    /// All elements together.
    elements: u64,
}

impl Extent {
    /// Of a text that need not be JSON; none where it goes too deep to be parsed.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut extent = Self { elements: 1, ..Self::default() };
        let mut counts = [0; DEEPEST];
        let mut depth = 0;
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => extent.string = extent.string.max(pass_string(&mut bytes)),
                b'[' | b'{' => {
                    *counts.get_mut(depth)? = 1;
                    depth += 1;
                    extent.maps += 1;
                    extent.elements += 1;
                    extent.longest = extent.longest.max(1);
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' if depth > 0 => {
                    counts[depth - 1] += 1;
                    extent.elements += 1;
                    extent.longest = extent.longest.max(counts[depth - 1]);
                }
                _ => {}
            }
        }
        Some(extent)
    }

    /// Whether no vector of elements is larger than a file of this length.
    pub(super) fn lists_fit(self, file_len: u64) -> bool {
        self.longest.saturating_mul(ELEMENT) <= file_len.saturating_add(SMALL)
    }

    /// Whether no vector and no string is.
    pub(super) fn fits(self, file_len: u64) -> bool {
        self.lists_fit(file_len) && self.string.saturating_mul(STRING_BYTE) <= file_len.saturating_add(SMALL)
    }

    /// Whether all of it as [`serde_json::Value`]s, together, is not much larger.
    pub(super) fn fits_as_values(self, file_len: u64) -> bool {
        let all = (self.elements.saturating_mul(VALUE)).saturating_add(self.maps.saturating_mul(MAP));
        self.fits(file_len) && all <= file_len.saturating_add(4 * SMALL)
    }
}

/// Goes past a string, whose first quote has been read: its length.
fn pass_string(bytes: &mut std::str::Bytes<'_>) -> u64 {
    let mut len = 0;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => {
                bytes.next();
                len += 2;
            }
            _ => len += 1,
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_is_that_of_the_longest_list_and_string_wherever_they_are() {
        let text = r#"{"a": [[1, 2, 3], [4]], "b": "x,\",[y", "c": {}}"#;
        let extent = Extent { longest: 3, string: 7, maps: 5, elements: 1 + 5 + 5 };
        assert_eq!(Extent::of(text), Some(extent));
        assert_eq!(Extent::of("0"), Some(Extent { elements: 1, ..Extent::default() }));
    }

    #[test]
    fn text_that_goes_too_deep_or_is_no_json_has_an_extent_or_none_and_no_panic() {
        assert_eq!(Extent::of(&"[".repeat(129)), None);
        assert!(Extent::of(&"[".repeat(128)).is_some());
        for text in ["]]]}", "\"", "\"\\", ",,,", ""] {
            assert!(Extent::of(text).is_some(), "{text}");
        }
    }
}
