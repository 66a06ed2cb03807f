//! Zip archives: PyTorch's, with a pickle and a member for each storage, and Keras', with an HDF5 file.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use super::{Bytes, Checkpoint, Container, FormatError, damaged, keras, torch};

/// All that is inflated of an archive, together, in multiples of its length. Pickles shrink to a tenth, weights hardly at all; both
/// libraries store them as they are.
const INFLATED: usize = 16;

/// What may be inflated whatever the length.
const SMALL: usize = 64 << 10;

/// Looks through an archive: which one it is shows by its members.
pub(super) fn open<'a>(bytes: &Bytes<'a>) -> Result<Checkpoint<'a>, FormatError> {
    let archive = Archive::open(bytes)?;
    if let Some(root) = archive.root_of("data.pkl") {
        torch::open_archive(&archive, &root)
    } else if let Some(weights) = archive.member(keras::WEIGHTS)? {
        keras::open(&weights)
    } else {
        Err(FormatError::Unknown)
    }
}

/// The members of an archive, by name.
pub(super) struct Archive<'a> {
    bytes: Bytes<'a>,
    list: RefCell<ZipArchive<Cursor<Bytes<'a>>>>,
    members: HashMap<String, Member>,
    /// Bytes that may still be inflated.
    room: Cell<usize>,
}

/// Where a member lies in the archive's list, and in the file.
struct Member {
    index: usize,
    start: usize,
    /// As it lies there.
    len: usize,
    /// As it was.
    inflated_len: usize,
    method: CompressionMethod,
}

impl<'a> Archive<'a> {
    fn open(bytes: &Bytes<'a>) -> Result<Self, FormatError> {
        let wrong = |error: zip::result::ZipError| damaged(Container::Torch, format!("as a zip archive: {error}"));
        let mut list = ZipArchive::new(Cursor::new(bytes.clone())).map_err(wrong)?;
        let mut members = HashMap::new();
        for index in 0..list.len() {
            let file = list.by_index_raw(index).map_err(wrong)?;
            let len = |len: u64| usize::try_from(len).unwrap_or(usize::MAX);
            let member = Member {
                index,
                start: file.data_start().map_or(usize::MAX, len),
                len: len(file.compressed_size()),
                inflated_len: len(file.size()),
                method: file.compression(),
            };
            if let Ok(name) = file.name()
                && !file.encrypted()
            {
                members.insert(name.into_owned(), member);
            }
        }
        let room = bytes.len().saturating_mul(INFLATED).saturating_add(SMALL);
        Ok(Self { bytes: bytes.clone(), list: list.into(), members, room: room.into() })
    }

    /// The folder, with its slash, of the uppermost member of this name.
    fn root_of(&self, name: &str) -> Option<String> {
        let root = |member: &String| {
            let root = member.strip_suffix(name)?;
            (root.is_empty() || root.ends_with('/')).then(|| root.to_owned())
        };
        self.members.keys().filter_map(root).min_by_key(String::len)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// The bytes of a member: a part of the archive, or inflated.
    pub(super) fn member(&self, name: &str) -> Result<Option<Bytes<'a>>, FormatError> {
        let Some(member) = self.members.get(name) else { return Ok(None) };
        let wrong = |reason: &str| damaged(Container::Torch, format!("its member {name}: {reason}"));
        let end = member.start.checked_add(member.len).ok_or_else(|| wrong("it is cut off"))?;
        let stored = self.bytes.part(member.start..end).ok_or_else(|| wrong("it is cut off"))?;
        match member.method {
            CompressionMethod::Stored => Ok(Some(stored)),
            CompressionMethod::Deflated => self.inflate(member).map(Some).map_err(|reason| wrong(&reason)),
            _ => Err(wrong("it is compressed in a way that is not read")),
        }
    }

    fn inflate(&self, member: &Member) -> Result<Bytes<'a>, String> {
        let room = self.room.get().checked_sub(member.inflated_len).ok_or("it would swell to many times the file")?;
        self.room.set(room);
        let mut list = self.list.borrow_mut();
        let file = list.by_index(member.index).map_err(|error| error.to_string())?;
        let mut inflated = Vec::new();
        file.take(member.inflated_len as u64).read_to_end(&mut inflated).map_err(|error| error.to_string())?;
        if inflated.len() < member.inflated_len {
            return Err("it is shorter than the archive says".to_owned());
        }
        Ok(Bytes::inflated(inflated))
    }
}
