//! The bytes of a file, or a part of them, without a copy.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

/// Bytes that are shared, whoever holds them. A clone and a part are as cheap as a pointer.
#[derive(Clone, Debug)]
pub(crate) struct Bytes<'a> {
    owner: Owner<'a>,
    range: Range<usize>,
}

#[derive(Clone, Debug)]
enum Owner<'a> {
    Borrowed(&'a [u8]),
    Mapped(Arc<Mmap>),
    Inflated(Arc<Vec<u8>>),
}

impl Bytes<'static> {
    /// The whole of a file, mapped: a page of it is read when it is looked at.
    pub(crate) fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok((&[][..]).into());
        }
        // SAFETY: the bytes are read as plain numbers and checked as they are read; nothing is believed twice of what could have
        // changed in between but lengths of parts, which index a slice. Whoever cuts the file off while it is mapped ends this
        // process by a signal, as with any file that is mapped.
        #[expect(unsafe_code, reason = "a memory map")]
        let map = unsafe { Mmap::map(&file) }?;
        let range = 0..map.len();
        Ok(Self { owner: Owner::Mapped(Arc::new(map)), range })
    }

    /// What was inflated from a file.
    pub(super) fn inflated(bytes: Vec<u8>) -> Self {
        Self { range: 0..bytes.len(), owner: Owner::Inflated(Arc::new(bytes)) }
    }
}

impl Bytes<'_> {
    /// A part; none where it goes beyond these bytes.
    pub(super) fn part(&self, range: Range<usize>) -> Option<Self> {
        self.get(range.clone())?;
        let start = self.range.start;
        Some(Self { owner: self.owner.clone(), range: start + range.start..start + range.end })
    }

    /// The same bytes for one who may outlive the borrower: copied only where they were borrowed.
    pub(super) fn to_static(&self) -> Bytes<'static> {
        let owner = match &self.owner {
            Owner::Borrowed(_) => return Bytes::inflated(self.to_vec()),
            Owner::Mapped(map) => Owner::Mapped(Arc::clone(map)),
            Owner::Inflated(bytes) => Owner::Inflated(Arc::clone(bytes)),
        };
        Bytes { owner, range: self.range.clone() }
    }
}

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { owner: Owner::Borrowed(bytes), range: 0..bytes.len() }
    }
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all: &[u8] = match &self.owner {
            Owner::Borrowed(bytes) => bytes,
            Owner::Mapped(map) => map,
            Owner::Inflated(bytes) => bytes,
        };
        &all[self.range.clone()]
    }
}

impl AsRef<[u8]> for Bytes<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
