//! The bytes of a pickle, taken from the front. Nothing is copied.

use super::PickleError;

/// What is left of a pickle.
pub(super) struct Stream<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Stream<'a> {
    pub(super) fn bytes(&mut self, len: u64) -> Result<&'a [u8], PickleError> {
        let len = usize::try_from(len).map_err(|_| PickleError::CutOff)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(PickleError::CutOff)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(PickleError::CutOff)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, PickleError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, PickleError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, PickleError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, PickleError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn text(&mut self, len: u64) -> Result<&'a str, PickleError> {
        utf8(self.bytes(len)?)
    }

    /// Up to the end of the line, which is passed.
    pub(super) fn line(&mut self) -> Result<&'a str, PickleError> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or(PickleError::CutOff)?;
        let line = self.bytes(end as u64)?;
        self.u8()?;
        utf8(line)
    }

    /// An integer of this many bytes, in two's complement; none where it is longer than 64 bits.
    pub(super) fn integer(&mut self, len: u64) -> Result<Option<i64>, PickleError> {
        let bytes = self.bytes(len)?;
        if bytes.len() > 8 {
            return Ok(None);
        }
        let sign = if bytes.last().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 };
        let mut wide = [sign; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        Ok(Some(i64::from_le_bytes(wide)))
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, PickleError> {
    str::from_utf8(bytes).map_err(|_| PickleError::Damaged("a text is no UTF-8"))
}
