//! JPEG, held to be whole.
//!
//! JPEG decoders were made to show whatever arrived, and pad what did not with grey. A grey sky is poison in a training
//! set, so here a cut-off file is an error. The proof is cheap: no Huffman code of a JPEG consists of ones only (ITU-T
//! T.81, C.2), so a run of ones is put behind the picture data. A whole picture never reads it; one that lacks data
//! does, and the decoder stops. What is harmless still decodes: a missing end marker, anything after it, padding.

use ::image::RgbImage;
use ::image::metadata::Orientation;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{DecodeError, DecodeOptions, check_size, turn};
use crate::image::sniff::Format;

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<RgbImage, DecodeError> {
    let outline = Outline::of(bytes);
    if let Some(reason) = outline.unsupported() {
        return Err(DecodeError::Unsupported(reason.to_owned()));
    }
    let lenient = DecoderOptions::default()
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .set_strict_mode(false)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let guarded = outline.guarded(bytes);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&guarded), lenient);

    decoder.decode_headers().map_err(|error| outline.explain(&error))?;
    let (width, height) = decoder.info().map_or((0, 0), |info| (info.width.into(), info.height.into()));
    check_size((width, height), options)?;
    if outline.is_cut_off() {
        return Err(DecodeError::Truncated(Format::Jpeg));
    }
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));

    decoder.set_options(lenient.set_strict_mode(true));
    let mut picture = RgbImage::new(width, height);
    let incomplete = |_| outline.explain(&"the picture data is incomplete or corrupt");
    decoder.decode_into(&mut picture).map_err(incomplete)?;
    Ok(turn(picture, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// What the markers of a file tell without decoding anything.
#[derive(Debug, Default)]
struct Outline {
    /// Where the picture data ends: at the end marker, or where the bytes run out.
    end: usize,
    /// Whether the end marker is there.
    has_end_marker: bool,
    frame: Frame,
    /// Colour components that the scans carry, all scans together.
    scanned: usize,
}

/// What the frame header announces.
#[derive(Debug, Default)]
struct Frame {
    /// The second byte of the marker, which tells the coding process (0xc0 to 0xcf).
    process: u8,
    /// Bits a sample.
    precision: u8,
    /// Colour components.
    components: usize,
}

impl Outline {
    /// Walks from marker to marker.
    fn of(bytes: &[u8]) -> Self {
        let mut outline = Self { end: bytes.len(), ..Self::default() };
        let next_marker = |from: usize| {
            let distance = bytes.get(from..)?.iter().position(|&byte| byte == 0xff)?;
            Some(from + distance)
        };
        let mut from = 2;
        while let Some(at) = next_marker(from) {
            from = match bytes.get(at + 1) {
                Some(0xff) => at + 1,
                // Not markers but a stuffed 0xff, and those that stand alone: TEM, the restarts, SOI.
                Some(0x00 | 0x01 | 0xd0..=0xd8) => at + 2,
                None | Some(0xd9) => {
                    outline.end = at;
                    outline.has_end_marker = at + 1 < bytes.len();
                    break;
                }
                Some(&code) => at + 2 + outline.note(code, &bytes[at + 2..]),
            };
        }
        outline
    }

    /// Takes note of the segment that `content` begins with, and returns its length.
    fn note(&mut self, code: u8, content: &[u8]) -> usize {
        match (code, content) {
            (0xc4 | 0xc8 | 0xcc, _) => {} // tables, not frames
            (0xc0..=0xcf, [_, _, precision, _, _, _, _, components, ..]) => {
                self.frame = Frame { process: code, precision: *precision, components: usize::from(*components) };
            }
            (0xda, [_, _, components, ..]) => self.scanned += usize::from(*components),
            _ => {}
        }
        content.first_chunk().map_or(content.len(), |length| usize::from(u16::from_be_bytes(*length)))
    }

    /// What no decoder here reads, by name.
    fn unsupported(&self) -> Option<&'static str> {
        match self.frame {
            Frame { process: 0xc9 | 0xca | 0xcd | 0xce, .. } => Some("JPEG with arithmetic coding"),
            Frame { process: 0xc3 | 0xc7 | 0xcb | 0xcf, .. } => Some("lossless JPEG"),
            Frame { process: 0xc5 | 0xc6, .. } => Some("hierarchical JPEG"),
            Frame { precision: 9.., .. } => Some("JPEG with more than eight bits a sample"),
            Frame { components: 2 | 5.., .. } => Some("JPEG with a number of components other than 1, 3 or 4"),
            _ => None,
        }
    }

    /// Whether the outline alone shows that something is missing: a component that no scan carries, or the end of a
    /// progressive file, where any number of refinements may have followed.
    fn is_cut_off(&self) -> bool {
        let progressive = self.frame.process == 0xc2;
        self.scanned < self.frame.components || (progressive && !self.has_end_marker)
    }

    /// The file up to the end of its picture data, then a run of ones that no whole picture reads, then an end marker.
    fn guarded(&self, bytes: &[u8]) -> Vec<u8> {
        const ONES: [u8; 2] = [0xff, 0x00]; // eight bits: a zero is stuffed behind every 0xff
        const END: [u8; 2] = [0xff, 0xd9];
        [&bytes[..self.end], ONES.repeat(16).as_slice(), &END].concat()
    }

    /// A decoder's complaint, in the light of the outline.
    fn explain(&self, error: &impl ToString) -> DecodeError {
        if self.has_end_marker {
            DecodeError::malformed(Format::Jpeg, error)
        } else {
            DecodeError::Truncated(Format::Jpeg)
        }
    }
}
