//! The RGB picture that a person would see, from the bytes of a file.
//!
//! The order is the same for every format: what is it, how large does it say it is, only then decode; then colours to
//! eight-bit RGB, transparency over the background, and the turn that the EXIF orientation asks for. Colour profiles
//! are not applied, which is what the reference pipelines of the checkpoints do, too.

mod jpeg;
mod tiff;
mod tiff_palette;

use std::error::Error;
use std::io::{self, Cursor};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::image::codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageError, ImageResult, Limits, RgbImage};

use super::color::flatten;
use super::sniff::{Format, Kind, sniff};

/// How to turn files into pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// The colour, R G B, that transparent pictures are laid over. White unless told.
    pub background: [u8; 3],
    /// The most pixels (width times height) that a picture may have. Unless told 178,956,970, where Pillow calls a
    /// picture a decompression bomb.
    pub max_pixels: u64,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { background: [255; 3], max_pixels: 178_956_970 }
    }
}

/// Why a file gives no picture. Every message is one line, for a list of rejected files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The content is nothing that is known as a picture, whatever the name says.
    #[error("not an image (begins with {0})")]
    NotAnImage(String),
    /// A picture, but in a format or a variant of one that is not read.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The picture has, or claims to have, more pixels than [`DecodeOptions::max_pixels`]. Nothing was decoded.
    #[error("{width} x {height} pixels are more than the limit of {limit}")]
    TooLarge {
        /// Claimed width, in pixels.
        width: u32,
        /// Claimed height, in pixels.
        height: u32,
        /// The limit, in pixels.
        limit: u64,
    },
    /// The picture is not all there.
    #[error("the {0} is cut off: part of the picture is missing")]
    Truncated(Format),
    /// The content contradicts itself.
    #[error("the {format} is damaged: {reason}")]
    Malformed {
        /// What the file is.
        format: Format,
        /// What the decoder said.
        reason: String,
    },
    /// The decoder gave up in a way it should not. Other files are not touched by it.
    #[error("the {0} decoder crashed on this file")]
    DecoderPanicked(Format),
}

impl DecodeError {
    fn malformed(format: Format, reason: &impl ToString) -> Self {
        let words = reason.to_string().replace('"', "");
        let reason = words.split_whitespace().collect::<Vec<_>>().join(" ");
        Self::Malformed { format, reason }
    }

    fn from_image(format: Format, error: &ImageError) -> Self {
        match error {
            ImageError::Unsupported(what) => Self::Unsupported(format!("this kind of {format} ({what})")),
            ImageError::IoError(error) if ran_out_of_bytes(error) => Self::Truncated(format),
            _ if ran_out_of_bytes(error) => Self::Truncated(format),
            _ => Self::malformed(format, &error.source().unwrap_or(error)),
        }
    }
}

/// Whether the end of the file lies somewhere in the chain of causes.
fn ran_out_of_bytes(error: &(dyn Error + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof)
        || error.to_string() == "Unexpected End of File" // the gif crate has an error of its own for it
        || error.source().is_some_and(ran_out_of_bytes)
}

/// Decodes a file to the picture that a person would see.
///
/// # Errors
/// [`DecodeError`]: a file that is not a picture, not a supported one, larger than allowed, cut off or damaged. Decoders
/// that panic are caught, so no file can end the program (unless the program is built with `panic = "abort"`).
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<RgbImage, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let format = match sniff(bytes) {
        Kind::Supported(format) => format,
        Kind::Unsupported(name) => return Err(DecodeError::Unsupported(name.to_owned())),
        Kind::NotAnImage => return Err(DecodeError::NotAnImage(beginning(bytes))),
    };
    let picture = catch_unwind(AssertUnwindSafe(|| decode_as(format, bytes, options)));
    match picture.unwrap_or(Err(DecodeError::DecoderPanicked(format)))? {
        picture if picture.is_empty() => Err(DecodeError::malformed(format, &"it has no pixels")),
        picture => Ok(picture),
    }
}

/// The first bytes as a person can recognise them: text as text, anything else in hexadecimal.
fn beginning(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(12)];
    match std::str::from_utf8(head) {
        Ok(text) if !text.contains('\0') => format!("{text:?}"),
        _ => head.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    }
}

fn decode_as(format: Format, bytes: &[u8], options: &DecodeOptions) -> Result<RgbImage, DecodeError> {
    let cursor = Cursor::new(bytes);
    match format {
        Format::Jpeg => jpeg::decode(bytes, options),
        Format::Tiff => tiff::decode(bytes, options),
        Format::Png => read(format, PngDecoder::with_limits(cursor, limits(options)), options),
        Format::WebP if webp_is_cut_off(bytes) => Err(DecodeError::Truncated(format)),
        Format::WebP => read(format, WebPDecoder::new(cursor), options),
        Format::Gif => read(format, GifDecoder::new(cursor), options),
        Format::Bmp => read(format, BmpDecoder::new(cursor), options),
    }
}

/// The part that all decoders of the `image` crate share.
fn read(
    format: Format,
    decoder: ImageResult<impl ImageDecoder>,
    options: &DecodeOptions,
) -> Result<RgbImage, DecodeError> {
    let error = |error: ImageError| DecodeError::from_image(format, &error);
    let mut decoder = decoder.map_err(error)?;
    check_size(decoder.dimensions(), options)?;
    decoder.set_limits(limits(options)).map_err(error)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).map_err(error)?;
    Ok(turn(flatten(picture, options.background), orientation))
}

/// Refuses pictures with more pixels than allowed.
fn check_size((width, height): (u32, u32), options: &DecodeOptions) -> Result<(), DecodeError> {
    let limit = options.max_pixels;
    if u64::from(width) * u64::from(height) > limit {
        return Err(DecodeError::TooLarge { width, height, limit });
    }
    Ok(())
}

/// The memory that a decoder may take: the largest picture allowed, with four 16-bit channels, twice.
fn limits(options: &DecodeOptions) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(options.max_pixels.saturating_mul(16).max(1 << 20));
    limits
}

/// Turns and mirrors a picture from the way it is stored to the way it is meant to be seen.
fn turn(picture: RgbImage, orientation: Orientation) -> RgbImage {
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    picture.into_rgb8()
}

/// The RIFF header tells the length of what follows it.
fn webp_is_cut_off(bytes: &[u8]) -> bool {
    let length = bytes.get(4..8).and_then(|length| length.try_into().ok()).map(u32::from_le_bytes);
    length.is_none_or(|length| (bytes.len() as u64) < u64::from(length) + 8)
}
