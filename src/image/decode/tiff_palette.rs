//! TIFF palettes, which the tiff crate refuses: the picture is read as a grey one whose greys are numbers of colours.

use std::io::Cursor;

use ::image::{Rgb, RgbImage};
use ::tiff::decoder::Decoder;
use ::tiff::tags::Tag;

/// TIFF 6.0, section 5: `PhotometricInterpretation` of palettes, and of grey with black as zero.
const PALETTE: u32 = 3;
const GREY: u8 = 1;

/// The colours of a picture, by number.
pub(super) struct Palette(Vec<[u8; 3]>);

impl Palette {
    /// The palette of the first picture, if it has one.
    pub(super) fn of(tiff: &mut Decoder<Cursor<&[u8]>>) -> Option<Self> {
        if tiff.find_tag_unsigned::<u32>(Tag::PhotometricInterpretation).ok()?? != PALETTE {
            return None;
        }
        // All the reds, then the greens, then the blues, 16 bits each; writers differ in the lower eight.
        let map: Vec<u16> = tiff.find_tag_unsigned_vec(Tag::ColorMap).ok()??;
        let count = map.len() / 3;
        let byte = |channel: usize, color: usize| (map[channel * count + color] >> 8) as u8;
        Some(Self((0..count).map(|color| [0, 1, 2].map(|channel| byte(channel, color))).collect()))
    }

    /// Puts colours in the place of greys, which were scaled from the palette's size to 0..=255. Numbers beyond the
    /// palette are black.
    pub(super) fn apply(&self, greys: &RgbImage) -> RgbImage {
        let step = 255 / self.0.len().saturating_sub(1).clamp(1, 255);
        let color = |grey: u8| self.0.get(usize::from(grey) / step).copied().unwrap_or_default();
        RgbImage::from_fn(greys.width(), greys.height(), |x, y| Rgb(color(greys.get_pixel(x, y)[0])))
    }
}

/// The file with its first picture declared grey; `None` where its directory cannot be found.
pub(super) fn declared_grey(bytes: &[u8]) -> Option<Vec<u8>> {
    let big_endian = bytes.starts_with(b"MM");
    let number = |at: usize, len: usize| -> Option<usize> {
        let digits = bytes.get(at..at.checked_add(len)?)?;
        let fold = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        let value = if big_endian { digits.iter().fold(0, fold) } else { digits.iter().rev().fold(0, fold) };
        usize::try_from(value).ok()
    };
    let is_big_tiff = number(2, 2)? == 43;
    let (directory, count_len, entry_len) = if is_big_tiff { (number(8, 8)?, 8, 20) } else { (number(4, 4)?, 2, 12) };
    let entries = (0..number(directory, count_len)?).map(|entry| directory + count_len + entry * entry_len);
    let entry = entries
        .take_while(|entry| entry + entry_len <= bytes.len())
        .find(|&entry| number(entry, 2) == Some(usize::from(Tag::PhotometricInterpretation.to_u16())))?;
    // A SHORT: the two bytes at the front of the value field, in the file's byte order.
    let value = entry + entry_len - if is_big_tiff { 8 } else { 4 };
    let mut grey = bytes.to_vec();
    grey[value..value + 2].copy_from_slice(&if big_endian { [0, GREY] } else { [GREY, 0] });
    Some(grey)
}
