//! TIFF: many ways of storing samples, brought to bytes first and to colours after.

use std::io::{self, Cursor};

use ::image::metadata::Orientation;
use ::image::{GrayAlphaImage, GrayImage, RgbImage, RgbaImage};
use ::tiff::decoder::{Decoder, DecodingResult, Limits};
use ::tiff::tags::Tag;
use ::tiff::{ColorType, TiffError};

use super::tiff_palette::{Palette, declared_grey};
use super::{DecodeError, DecodeOptions, check_size, limits, turn};
use crate::image::color::{cmyk_to_rgb, flatten, lay_over_premultiplied, ycbcr_to_rgb};
use crate::image::sniff::Format;

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<RgbImage, DecodeError> {
    let mut tiff = Decoder::new(Cursor::new(bytes)).map_err(explain)?;
    let (width, height) = tiff.dimensions().map_err(explain)?;
    check_size((width, height), options)?;
    if let Some(palette) = Palette::of(&mut tiff) {
        let grey = declared_grey(bytes).ok_or(DecodeError::Truncated(Format::Tiff))?;
        return Ok(palette.apply(&decode(&grey, options)?));
    }
    tiff = tiff.with_limits(memory(options));
    let colors = tiff.colortype().map_err(explain)?;
    let orientation = tag(&mut tiff, Tag::Orientation).and_then(Orientation::from_exif);
    let premultiplied = tag(&mut tiff, Tag::ExtraSamples) == Some(1);
    if chunks_reach_beyond(&mut tiff, bytes.len() as u64)? {
        return Err(DecodeError::Truncated(Format::Tiff));
    }

    let mut samples = DecodingResult::U8(Vec::new());
    let layout = tiff.read_image_to_buffer(&mut samples).map_err(explain)?;
    if samples.as_buffer(0).byte_len() < layout.complete_len {
        return Err(explain(TiffError::LimitsExceeded));
    }
    let samples = match (samples, colors.bit_depth()) {
        (DecodingResult::U8(packed), depth @ (1 | 2 | 4)) if colors.num_samples() == 1 => {
            unpack(&packed, depth, width as usize)
        }
        (samples, 8 | 16 | 32 | 64) => to_bytes(samples),
        _ => return Err(unsupported(colors)),
    };
    let samples = if layout.planes > 1 { interleave(&samples, layout.planes) } else { samples };

    let picture = match colors {
        ColorType::Gray(_) => {
            GrayImage::from_raw(width, height, samples).map(|grey| flatten(grey.into(), options.background))
        }
        ColorType::GrayA(_) | ColorType::Multiband { num_samples: 2, .. } => {
            GrayAlphaImage::from_raw(width, height, samples).map(|grey| flatten(grey.into(), options.background))
        }
        ColorType::RGB(_) => RgbImage::from_raw(width, height, samples),
        ColorType::RGBA(_) if premultiplied => {
            RgbaImage::from_raw(width, height, samples).map(|rgba| lay_over_premultiplied(&rgba, options.background))
        }
        ColorType::RGBA(_) => {
            RgbaImage::from_raw(width, height, samples).map(|rgba| flatten(rgba.into(), options.background))
        }
        ColorType::CMYK(_) => RgbImage::from_raw(width, height, by_pixel(&samples, cmyk_to_rgb)),
        ColorType::YCbCr(_) => RgbImage::from_raw(width, height, by_pixel(&samples, ycbcr_to_rgb)),
        _ => return Err(unsupported(colors)),
    };
    let picture = picture.ok_or(DecodeError::Truncated(Format::Tiff))?;
    Ok(turn(picture, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// The first number of a tag, if it is there and small.
fn tag(tiff: &mut Decoder<Cursor<&[u8]>>, tag: Tag) -> Option<u8> {
    let values: Vec<u16> = tiff.find_tag_unsigned_vec(tag).ok()??;
    u8::try_from(*values.first()?).ok()
}

/// Whether a strip or tile of JPEG data ends behind the end of the file: that decoder would not notice.
fn chunks_reach_beyond(tiff: &mut Decoder<Cursor<&[u8]>>, length: u64) -> Result<bool, DecodeError> {
    const JPEG: u8 = 7;
    if tag(tiff, Tag::Compression) != Some(JPEG) {
        return Ok(false);
    }
    let mut numbers = |strips, tiles| -> Result<Vec<u64>, DecodeError> {
        let strips = tiff.find_tag_unsigned_vec(strips).map_err(explain)?;
        Ok(strips.or(tiff.find_tag_unsigned_vec(tiles).map_err(explain)?).unwrap_or_default())
    };
    let offsets = numbers(Tag::StripOffsets, Tag::TileOffsets)?;
    let lengths = numbers(Tag::StripByteCounts, Tag::TileByteCounts)?;
    Ok(offsets.iter().zip(lengths).any(|(offset, chunk)| offset.saturating_add(chunk) > length))
}

fn memory(options: &DecodeOptions) -> Limits {
    let bytes = limits(options).max_alloc.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = bytes;
    limits.intermediate_buffer_size = bytes;
    limits
}

/// Rows of samples of one, two or four bits (each row begins with a byte of its own) to a byte a sample, 0..=255.
fn unpack(packed: &[u8], depth: u8, width: usize) -> Vec<u8> {
    let largest = (1_u8 << depth) - 1;
    let per_byte = 8 / usize::from(depth);
    let sample = |row: &[u8], x: usize| {
        let shift = 8 - usize::from(depth) * (x % per_byte + 1);
        ((row[x / per_byte] >> shift) & largest) * (255 / largest)
    };
    let rows = packed.chunks_exact(width.div_ceil(per_byte));
    rows.flat_map(|row| (0..width).map(move |x| sample(row, x))).collect()
}

/// A byte a sample. Eight and sixteen bits without sign are scaled from the whole of their range, all other numbers from
/// what the picture uses, see [`stretch`].
fn to_bytes(samples: DecodingResult) -> Vec<u8> {
    match samples {
        DecodingResult::U8(values) => values,
        DecodingResult::U16(values) => values.into_iter().map(|value| ((u32::from(value) + 128) / 257) as u8).collect(),
        DecodingResult::U32(values) => stretch(values, f64::from),
        DecodingResult::U64(values) => stretch(values, |value| value as f64),
        DecodingResult::F16(values) => stretch(values, f64::from),
        DecodingResult::F32(values) => stretch(values, f64::from),
        DecodingResult::F64(values) => stretch(values, |value| value),
        DecodingResult::I8(values) => stretch(values, f64::from),
        DecodingResult::I16(values) => stretch(values, f64::from),
        DecodingResult::I32(values) => stretch(values, f64::from),
        DecodingResult::I64(values) => stretch(values, |value| value as f64),
    }
}

/// Numbers without a natural white. Those that stay within 0..=1 are taken as black to white, others are stretched from
/// the smallest to the largest, as scientific viewers do. What is not a number is black.
fn stretch<T: Copy>(values: Vec<T>, to_f64: impl Fn(T) -> f64) -> Vec<u8> {
    let finite = values.iter().map(|&value| to_f64(value)).filter(|value| value.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = if low >= 0.0 && high <= 1.0 { (0.0, 1.0) } else { (low, high) };
    let scale = 255.0 / (high - low);
    values.into_iter().map(|value| ((to_f64(value) - low) * scale).round() as u8).collect()
}

/// Planes that lie one after the other, brought together pixel by pixel.
fn interleave(planes: &[u8], count: usize) -> Vec<u8> {
    let pixels = planes.len() / count;
    (0..pixels).flat_map(|pixel| (0..count).map(move |plane| planes[plane * pixels + pixel])).collect()
}

fn by_pixel<const N: usize>(samples: &[u8], to_rgb: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    samples.as_chunks::<N>().0.iter().flat_map(|&pixel| to_rgb(pixel)).collect()
}

fn unsupported(colors: ColorType) -> DecodeError {
    DecodeError::Unsupported(format!("this kind of TIFF ({colors:?})"))
}

fn explain(error: TiffError) -> DecodeError {
    match error {
        TiffError::UnsupportedError(what) => DecodeError::Unsupported(format!("this kind of TIFF ({what})")),
        TiffError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated(Format::Tiff)
        }
        error => DecodeError::malformed(Format::Tiff, &error),
    }
}
