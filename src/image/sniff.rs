//! What kind of file is this? The content answers; the name only hints.

use std::path::Path;

/// A format that [`decode`](super::decode()) reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JPEG, JFIF, EXIF.
    Jpeg,
    /// PNG.
    Png,
    /// WebP, lossy and lossless.
    WebP,
    /// GIF, the first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// TIFF, of 32 and 64 bits, the first picture.
    Tiff,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::WebP => "WebP",
            Format::Gif => "GIF",
            Format::Bmp => "BMP",
            Format::Tiff => "TIFF",
        })
    }
}

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A picture in a format that [`decode`](super::decode()) reads.
    Supported(Format),
    /// A picture (or a near relation of one) in a format that it does not read, by name: `HEIC`, `AVIF`, `JPEG XL`, ...
    Unsupported(&'static str),
    /// Nothing that is known as a picture.
    NotAnImage,
}

/// How many of the leading bytes [`sniff`] wants. Fewer are fine where a file is shorter.
pub const SNIFF_BYTES: usize = 32;

/// Says what a file is from its first bytes (give it [`SNIFF_BYTES`], or the whole file).
#[must_use]
pub fn sniff(head: &[u8]) -> Kind {
    match head {
        [0xff, 0xd8, 0xff, ..] => Kind::Supported(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Kind::Supported(Format::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Kind::Supported(Format::WebP),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Kind::Supported(Format::Gif),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Kind::Supported(Format::Tiff),
        [b'I', b'I', 43, 0, ..] | [b'M', b'M', 0, 43, ..] => Kind::Supported(Format::Tiff),
        _ if is_bmp(head) => Kind::Supported(Format::Bmp),
        _ => unsupported(head).map_or(Kind::NotAnImage, Kind::Unsupported),
    }
}

/// `BM` begins many a text, so the size of the header that follows has to be one of those that exist.
fn is_bmp(head: &[u8]) -> bool {
    const HEADER_SIZES: [u32; 7] = [12, 16, 40, 52, 56, 108, 124];
    let header_size = head.get(14..18).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    head.starts_with(b"BM") && header_size.is_some_and(|size| HEADER_SIZES.contains(&size))
}

/// Formats that people keep in image folders and that are not read here.
fn unsupported(head: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 13] = [
        (&[0xff, 0x0a], "JPEG XL"),
        (&[0, 0, 0, 12, b'J', b'X', b'L', b' '], "JPEG XL"),
        (&[0, 0, 0, 12, b'j', b'P', b' ', b' '], "JPEG 2000"),
        (&[0xff, 0x4f, 0xff, 0x51], "JPEG 2000"),
        (b"8BPS", "PSD"),
        (b"\0\0\x01\0", "ICO"),
        (b"%PDF", "PDF"),
        (b"%!PS", "PostScript"),
        (&[0x76, 0x2f, 0x31, 0x01], "OpenEXR"),
        (b"#?RADIANCE", "Radiance HDR"),
        (b"qoif", "QOI"),
        (b"II\xbc\x01", "JPEG XR"),
        (b"DDS ", "DDS"),
    ];
    let by_magic = || MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name);
    iso_media(head).or_else(by_magic).or_else(|| netpbm(head)).or_else(|| svg(head))
}

/// HEIC and AVIF are boxes of the ISO base media format; the brand in the first box tells which.
fn iso_media(head: &[u8]) -> Option<&'static str> {
    let brand = (head.get(4..8)? == b"ftyp").then(|| head.get(8..12)).flatten()?;
    match brand {
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" => Some("HEIC"),
        b"avif" | b"avis" => Some("AVIF"),
        b"mif1" | b"msf1" if head.windows(4).skip(12).any(|brand| brand == b"avif") => Some("AVIF"),
        b"mif1" | b"msf1" => Some("HEIF"),
        b"crx " => Some("Canon raw (CR3)"),
        _ => Some("video (MP4 family)"),
    }
}

fn netpbm(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'P', b'1'..=b'7', b'\n' | b' ' | b'\t' | b'\r', ..] => Some("Netpbm"),
        _ => None,
    }
}

fn svg(head: &[u8]) -> Option<&'static str> {
    head.trim_ascii_start().starts_with(b"<svg").then_some("SVG")
}

/// Whether a file's name ends like that of a picture, in any case: the formats that are read, and the well-known ones
/// that are not (so that a folder of HEIC files is reported instead of looking empty).
#[must_use]
pub fn has_image_extension(path: &Path) -> bool {
    const EXTENSIONS: [&str; 39] = [
        "jpg", "jpeg", "jpe", "jfif", "jif", "png", "apng", "webp", "gif", "bmp", "dib", "tif", "tiff", // read
        "heic", "heif", "hif", "avif", "jxl", "jp2", "j2k", "jpf", "jpx", "jxr", "psd", "svg", "ico", // not read
        "exr", "hdr", "qoi", "dds", "tga", "pbm", "pgm", "ppm", "dng", "cr2", "cr3", "nef", "arw",
    ];
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}
