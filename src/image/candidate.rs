//! Which files of a folder are worth decoding.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Kind, SNIFF_BYTES, has_image_extension, sniff};

/// Whether a file is, or claims to be, an image: by its name, or else by its first bytes.
///
/// A name that claims an image makes a candidate even where the content is something else, so that it is rejected loudly
/// and not lost in silence; and only files with other names are opened.
#[must_use]
pub fn is_candidate(path: &Path) -> bool {
    has_image_extension(path) || head(path).is_ok_and(|head| !matches!(sniff(&head), Kind::NotAnImage))
}

fn head(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(SNIFF_BYTES);
    File::open(path)?.take(SNIFF_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}
