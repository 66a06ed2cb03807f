"""Writes tests/images: one small picture for every way of storing one, what a person would see in each, and broken ones.

    python scripts/golden_images.py        # needs numpy, pillow, tifffile, imagecodecs

- tests/images/<name>               the file
- tests/images/expected/<name>.png  the RGB that a person would see, made by Pillow or from the source array: turned by
                                    its EXIF orientation, sixteen bits scaled to eight, transparency over white
- tests/images/broken/<name>        one file for each way of being broken

The pictures are computed, so every run writes the same pictures (the bytes of compressed files may change with the
versions of the encoders).
"""

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageOps

IMAGES = Path(__file__).resolve().parent.parent / "tests" / "images"
WIDTH, HEIGHT = 61, 43  # odd, so that no block size of any format divides it


# --- the picture -----------------------------------------------------------------------------------------------------


def scene(width=WIDTH, height=HEIGHT):
    """Soft colour ramps with a few hard edges, RGB, as float64 in 0..1."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / (width - 1), y / (height - 1)
    rgb = np.stack([u, v, 0.5 + 0.5 * np.sin(4.0 * u + 3.0 * v)], axis=-1)
    rgb[(x - 0.3 * width) ** 2 + (y - 0.4 * height) ** 2 < (0.2 * height) ** 2] = [0.95, 0.1, 0.15]
    rgb[(u > 0.7) & (v > 0.6)] = [0.1, 0.2, 0.9]
    rgb[(u > 0.8) & (v < 0.2)] = [1.0, 1.0, 1.0]
    return rgb


def alpha_ramp():
    """From transparent to opaque, with both ends reached, as float64 in 0..1."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.clip((x + y) / (WIDTH + HEIGHT) * 1.6 - 0.3, 0.0, 1.0)


def u8(values):
    return np.round(np.asarray(values) * 255).astype(np.uint8)


def u16(values):
    return np.round(np.asarray(values) * 65535).astype(np.uint16)


def to_8_bits(values):
    """The nearest of 256 levels to each of 65536."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def as_rgb(grey):
    return np.repeat(grey[..., None], 3, axis=-1)


RGB = u8(scene())
GREY = np.asarray(Image.fromarray(RGB).convert("L"))
ALPHA = u8(alpha_ramp())
RGBA = np.dstack([RGB, ALPHA])
INVERTED = 255 - RGB


def over_white(image):
    """What Pillow shows of a picture on a white page."""
    image = ImageOps.exif_transpose(image)
    if image.mode in ("P", "PA", "LA", "RGBA") or "transparency" in image.info:
        page = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(page, image.convert("RGBA"))
    return image.convert("RGB")


# --- writing ---------------------------------------------------------------------------------------------------------


def write(name, data, expected=None):
    """Stores a file beside what a person would see in it: `expected` (RGB array), or else what Pillow makes of it."""
    (IMAGES / name).write_bytes(data)
    if expected is None:
        expected = over_white(Image.open(io.BytesIO(data)))
    else:
        expected = Image.fromarray(np.ascontiguousarray(expected))
    assert expected.mode == "RGB"
    expected.save(IMAGES / "expected" / f"{name}.png", optimize=True)


def encode(pixels, format, mode=None, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.ascontiguousarray(pixels), mode)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def stored_for(orientation, pixels):
    """The pixels as a camera stores them, so that the orientation tag turns them upright again."""
    undo = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }
    return np.ascontiguousarray(undo[orientation](pixels))


# --- JPEG ------------------------------------------------------------------------------------------------------------


def segments(jpeg):
    """Positions (start, end) and codes of the marker segments before the picture data."""
    at = 2
    while jpeg[at + 1] != 0xDA:
        length = struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
        yield at, at + 2 + length, jpeg[at + 1]
        at += 2 + length


def segment(code, content):
    return bytes([0xFF, code]) + struct.pack(">H", len(content) + 2) + content


def without_segment(jpeg, code):
    start, end = next((start, end) for start, end, found in segments(jpeg) if found == code)
    return jpeg[:start] + jpeg[end:]


def patched(data, offset, replacement):
    return data[:offset] + replacement + data[offset + len(replacement) :]


def frame_header(jpeg):
    """Where the frame header's content begins: precision, height, width, components."""
    return next(start + 4 for start, _, code in segments(jpeg) if code in (0xC0, 0xC1, 0xC2))


def jpegs():
    plain = encode(RGB, "JPEG", quality=90)
    write("rgb_420.jpg", plain)
    write("rgb_422.jpg", encode(RGB, "JPEG", quality=90, subsampling=1))
    write("rgb_444.jpg", encode(RGB, "JPEG", quality=90, subsampling=0))
    for name in ("440", "411"):
        write(f"rgb_{name}.jpg", imagecodecs.jpeg8_encode(RGB, level=90, subsampling=name))
    write("low_quality.jpg", encode(RGB, "JPEG", quality=20))
    write("progressive.jpg", encode(RGB, "JPEG", quality=90, progressive=True))
    write("progressive_444.jpg", encode(RGB, "JPEG", quality=90, progressive=True, subsampling=0))
    write("restart.jpg", encode(RGB, "JPEG", quality=90, restart_marker_blocks=2))
    write("progressive_restart.jpg", encode(RGB, "JPEG", quality=90, progressive=True, restart_marker_rows=1))
    write("optimised.jpg", encode(RGB, "JPEG", quality=90, optimize=True))
    write("grey.jpg", encode(GREY, "JPEG", quality=90))
    write("grey_progressive.jpg", encode(GREY, "JPEG", quality=90, progressive=True))
    write("stored_as_rgb.jpg", encode(RGB, "JPEG", quality=90, keep_rgb=True))
    write("UPPER.JPG", plain)
    write("no_extension", plain)
    write("one_pixel.jpg", encode(RGB[:1, :1], "JPEG", quality=90))
    for orientation in range(1, 9):
        stored = stored_for(orientation, RGB)
        data = encode(stored, "JPEG", quality=90, subsampling=0, exif=exif(orientation))
        write(f"orientation_{orientation}.jpg", data)

    # Ink. Pillow writes what Adobe writes: inverted, with the APP14 segment. Without it the samples are the same.
    black = INVERTED.min(axis=-1) // 2
    cmyk = np.dstack([INVERTED - black[..., None], black])
    adobe = encode(cmyk, "JPEG", mode="CMYK", quality=95)
    write("cmyk_adobe.jpg", adobe)
    write("cmyk.jpg", without_segment(adobe, 0xEE))
    # YCCK: the inverted inks as Y Cb Cr, and an APP14 segment that says so (its last byte).
    light = Image.fromarray(255 - cmyk[..., :3]).convert("YCbCr")
    ycck = encode(np.dstack([255 - np.asarray(light), black]), "JPEG", mode="CMYK", quality=95)
    _, end, _ = next(found for found in segments(ycck) if found[2] == 0xEE)
    write("ycck.jpg", patched(ycck, end - 1, b"\x02"))

    # Harmless oddities, all of which show the same picture.
    upright = np.asarray(Image.open(io.BytesIO(plain)).convert("RGB"))
    after_soi = lambda extra: plain[:2] + extra + plain[2:]
    write("missing_eoi.jpg", plain[:-2], upright)
    write("half_eoi.jpg", plain[:-1], upright)
    write("junk_after_eoi.jpg", plain + b"junk \xff\xd8\xff junk" * 9, upright)
    write("two_pictures.jpg", plain + encode(INVERTED, "JPEG"), upright)
    write("zero_padding_for_eoi.jpg", plain[:-2] + bytes(300), upright)
    odd = segment(0xE5, b"odd") + segment(0xFE, b"a comment") + segment(0xED, b"Photoshop 3.0\0") + segment(0xE1, b"\0")
    write("odd_segments.jpg", after_soi(odd), upright)
    write("fill_bytes.jpg", after_soi(b"\xff\xff\xff" + segment(0xFE, b"fill")), upright)
    write("stray_bytes_between_segments.jpg", after_soi(segment(0xFE, b"x") + bytes(7)), upright)
    write("damaged_exif.jpg", after_soi(segment(0xE1, b"Exif\0\0MM\0\x2a\xff\xff\xff\xff\0\1")), upright)


# --- PNG, written by hand: Pillow can't write most of these -----------------------------------------------------------


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def rows(samples, depth):
    """Unfiltered scanlines of [height, width, channels] samples."""
    if 0 in samples.shape:
        return b""
    flat = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        packed = [row.astype(">u2").tobytes() for row in flat]
    else:
        bits = np.unpackbits(flat.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
        packed = [np.packbits(row.reshape(-1)).tobytes() for row in bits]
    return b"".join(b"\0" + row for row in packed)


def png(samples, color, depth=8, interlaced=False, before_data=b""):
    """A PNG file. `color`: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha."""
    samples = samples if samples.ndim == 3 else samples[..., None]
    height, width = samples.shape[:2]
    if interlaced:
        data = b"".join(rows(samples[y::dy, x::dx], depth) for x, y, dx, dy in ADAM7)
    else:
        data = rows(samples, depth)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    parts = [chunk(b"IHDR", header), before_data, chunk(b"IDAT", zlib.compress(data, 9)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def blend_over_white(rgb, alpha):
    rgb, alpha = rgb.astype(np.uint32), alpha.astype(np.uint32)[..., None]
    return ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def pngs():
    write("rgb.png", png(RGB, 2), RGB)
    write("interlaced.png", png(RGB, 2, interlaced=True), RGB)
    write("grey.png", png(GREY, 0), as_rgb(GREY))
    for depth, name in ((1, "one_bit.png"), (2, "two_bits.png"), (4, "four_bits.png")):
        levels = GREY >> (8 - depth)
        write(name, png(levels, 0, depth), as_rgb(levels * (255 // (2**depth - 1))))
    write("rgba.png", png(RGBA, 6))
    write("la.png", png(np.dstack([GREY, ALPHA]), 4))

    rgb16, alpha16 = u16(scene()), u16(alpha_ramp())
    grey16 = u16(scene().mean(axis=-1))
    write("grey16.png", png(grey16, 0, 16), as_rgb(to_8_bits(grey16)))
    write("grey16_interlaced.png", png(grey16, 0, 16, interlaced=True), as_rgb(to_8_bits(grey16)))
    write("rgb16.png", png(rgb16, 2, 16), to_8_bits(rgb16))
    over = blend_over_white(to_8_bits(rgb16), to_8_bits(alpha16))
    write("rgba16.png", png(np.dstack([rgb16, alpha16]), 6, 16), over)
    over = blend_over_white(as_rgb(to_8_bits(grey16)), to_8_bits(alpha16))
    write("la16.png", png(np.dstack([grey16, alpha16]), 4, 16), over)

    few = Image.fromarray(RGB).quantize(16)
    index, palette = np.asarray(few), np.asarray(few.getpalette(), np.uint8)[: 16 * 3]
    plte = chunk(b"PLTE", palette.tobytes())
    colors = palette.reshape(-1, 3)
    write("palette.png", png(index, 3, 8, before_data=plte), colors[index])
    write("palette_four_bits.png", png(index, 3, 4, before_data=plte), colors[index])
    opacity = np.linspace(0, 255, 12).astype(np.uint8)  # the last four colours are opaque by omission
    full = np.concatenate([opacity, np.full(4, 255, np.uint8)])
    data = png(index, 3, 8, before_data=plte + chunk(b"tRNS", opacity.tobytes()))
    write("palette_alpha.png", data, blend_over_white(colors[index], full[index]))
    key = RGB[2, 2]
    trns = chunk(b"tRNS", struct.pack(">HHH", *map(int, key)))
    keyed = np.where((RGB == key).all(axis=-1, keepdims=True), 255, RGB).astype(np.uint8)
    write("color_key.png", png(RGB, 2, before_data=trns), keyed)
    turned = stored_for(6, RGB)
    write("orientation_6.png", png(turned, 2, before_data=chunk(b"eXIf", exif(6).tobytes()[6:])), RGB)
    write("png_named.jpg", png(RGB, 2), RGB)
    write("gif_named.png", encode(Image.fromarray(RGB).quantize(32), "GIF"))
    write("one_row.png", png(RGB[:1], 2), RGB[:1])
    write("one_column.png", png(RGB[:, :1], 2), RGB[:, :1])
    # An unknown chunk, text, and bytes behind the end are nobody's business.
    extra = chunk(b"prVt", b"private") + chunk(b"tEXt", b"Comment\0hello")
    write("extra_chunks.png", png(RGB, 2, before_data=extra) + b"junk", RGB)


# --- GIF, WebP, BMP --------------------------------------------------------------------------------------------------


def gifs():
    first, second = (Image.fromarray(pixels).quantize(32) for pixels in (RGB, INVERTED))
    write("plain.gif", encode(first, "GIF", interlace=0))
    write("interlaced.gif", encode(first, "GIF", interlace=1))
    write("animated.gif", encode(first, "GIF", save_all=True, append_images=[second], duration=100))
    transparent = Image.fromarray(RGBA).quantize(32)
    write("transparent.gif", encode(transparent, "GIF"))
    # The first frame covers only a part of the screen; the rest of the screen is transparent.
    small = encode(first, "GIF", interlace=0)
    small = patched(small, 6, struct.pack("<HH", WIDTH + 9, HEIGHT + 5))
    palette_size = 3 * 2 ** ((small[10] & 7) + 1)
    descriptor = small.index(b"\x2c", 13 + palette_size)
    small = patched(small, descriptor + 1, struct.pack("<HH", 6, 2))
    page = np.full((HEIGHT + 5, WIDTH + 9, 3), 255, np.uint8)
    page[2 : 2 + HEIGHT, 6 : 6 + WIDTH] = np.asarray(first.convert("RGB"))
    write("small_frame.gif", small, page)


def webps():
    write("lossy.webp", encode(RGB, "WEBP", quality=85))
    write("lossless.webp", encode(RGB, "WEBP", lossless=True))
    write("alpha.webp", encode(RGBA, "WEBP", lossless=True, exact=True))
    write("alpha_lossy.webp", encode(RGBA, "WEBP", quality=85))
    frames = [Image.fromarray(pixels) for pixels in (RGB, INVERTED)]
    write("animated.webp", encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    write("orientation_8.webp", encode(stored_for(8, RGB), "WEBP", lossless=True, exif=exif(8)), RGB)
    write("webp_named.png", encode(RGB, "WEBP", lossless=True), RGB)


def bmp_header(width, height, bits, compression, size, colors=0):
    offset = 14 + 40 + colors * 4
    head = b"BM" + struct.pack("<IHHI", offset + size, 0, 0, offset)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, size, 2835, 2835, colors, 0)


def bmps():
    write("rgb.bmp", encode(RGB, "BMP"), RGB)
    write("grey.bmp", encode(GREY, "BMP"), as_rgb(GREY))
    palette = Image.fromarray(RGB).quantize(64)
    write("palette.bmp", encode(palette, "BMP"))
    write("one_bit.bmp", encode(Image.fromarray(GREY).convert("1"), "BMP"))
    # 32 bits: the fourth byte of a plain header means nothing, whatever it holds.
    bgrx = np.dstack([RGB[..., ::-1], np.zeros_like(ALPHA)])
    data = bgrx[::-1].tobytes()
    write("rgbx_32.bmp", bmp_header(WIDTH, HEIGHT, 32, 0, len(data)) + data, RGB)
    data = bgrx.tobytes()
    write("top_down.bmp", bmp_header(WIDTH, -HEIGHT, 32, 0, len(data)) + data, RGB)
    # Runs of at most 255 equal pixels, an end of line a row, an end of picture.
    index, colors = np.asarray(palette), np.asarray(palette.getpalette(), np.uint8).reshape(-1, 3)[:64]
    data = b""
    for row in index[::-1]:
        edges = np.flatnonzero(np.diff(row, prepend=-1, append=-1))
        data += b"".join(bytes([end - start, row[start]]) for start, end in zip(edges, edges[1:])) + b"\0\0"
    data += b"\0\1"
    table = np.column_stack([colors[:, ::-1], np.zeros(64, np.uint8)]).tobytes()
    write("rle.bmp", bmp_header(WIDTH, HEIGHT, 8, 1, len(data), 64) + table + data, colors[index])


# --- TIFF ------------------------------------------------------------------------------------------------------------


def tiff(samples, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, metadata=None, **options)
    return buffer.getvalue()


def tiffs():
    write("plain.tif", tiff(RGB, photometric="rgb"), RGB)
    write("lzw.tif", tiff(RGB, photometric="rgb", compression="lzw"), RGB)
    write("lzw_predictor.tif", tiff(RGB, photometric="rgb", compression="lzw", predictor=True), RGB)
    write("deflate.tiff", tiff(RGB, photometric="rgb", compression="zlib"), RGB)
    write("packbits.tif", tiff(RGB, photometric="rgb", compression="packbits"), RGB)
    write("big_endian.tif", tiff(RGB, photometric="rgb", byteorder=">"), RGB)
    write("big.tif", tiff(RGB, photometric="rgb", bigtiff=True), RGB)
    write("strips.tif", tiff(RGB, photometric="rgb", rowsperstrip=7), RGB)
    write("tiles.tif", tiff(RGB, photometric="rgb", tile=(16, 32), compression="zlib"), RGB)
    write("planes.tif", tiff(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"), RGB)
    write("two_pages.tif", tiff(np.stack([RGB, INVERTED]), photometric="rgb"), RGB)
    write("grey.tif", tiff(GREY, photometric="minisblack"), as_rgb(GREY))
    write("grey_white_is_zero.tif", tiff(255 - GREY, photometric="miniswhite"), as_rgb(GREY))
    bits = GREY > 127
    write("one_bit.tif", encode(Image.fromarray(bits), "TIFF"), as_rgb(u8(bits)))
    write("fax.tif", encode(Image.fromarray(bits), "TIFF", compression="group4"), as_rgb(u8(bits)))
    grey16, rgb16 = u16(scene().mean(axis=-1)), u16(scene())
    write("grey16.tif", tiff(grey16, photometric="minisblack"), as_rgb(to_8_bits(grey16)))
    write("rgb16.tif", tiff(rgb16, photometric="rgb", byteorder=">", compression="zlib"), to_8_bits(rgb16))
    floats = scene().mean(axis=-1).astype(np.float32)
    write("float.tif", tiff(floats, photometric="minisblack"), as_rgb(u8(floats.astype(np.float64))))
    stretched = np.round((floats.astype(np.float64) - floats.min()) / (floats.max() - floats.min()) * 255)
    # Scaled by a power of two, so that the stretch meets the very same numbers.
    write("float_stretched.tif", tiff(floats * 1024, photometric="minisblack"), as_rgb(stretched.astype(np.uint8)))
    floats = scene().astype(np.float32)
    write("rgb_float.tif", tiff(floats, photometric="rgb"), u8(floats.astype(np.float64)))
    write("rgba.tif", tiff(RGBA, photometric="rgb", extrasamples=["unassalpha"]), blend_over_white(RGB, ALPHA))
    white_share = ((255 * (255 - ALPHA.astype(np.uint32)) + 127) // 255)[..., None]
    premultiplied = np.round(RGB * (ALPHA[..., None] / 255.0)).astype(np.uint8)
    over = np.minimum(premultiplied + white_share, 255).astype(np.uint8)
    data = tiff(np.dstack([premultiplied, ALPHA]), photometric="rgb", extrasamples=["assocalpha"])
    write("premultiplied.tif", data, over)
    grey_alpha = np.dstack([GREY, ALPHA])
    data = tiff(grey_alpha, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
    write("la.tif", data, blend_over_white(as_rgb(GREY), ALPHA))
    black = INVERTED.min(axis=-1) // 2
    write("cmyk.tif", tiff(np.dstack([INVERTED - black[..., None], black]), photometric="separated"))
    write("orientation_5.tif", tiff(stored_for(5, RGB), photometric="rgb", extratags=[(274, "H", 1, 5, True)]), RGB)
    write("jpeg_in_tiff.tif", encode(RGB, "TIFF", compression="jpeg", quality=90))
    write("palette.tif", encode(Image.fromarray(RGB).quantize(64), "TIFF"))


# --- broken ----------------------------------------------------------------------------------------------------------


def broken():
    def write_broken(name, data):
        (IMAGES / "broken" / name).write_bytes(data)

    whole = {
        "truncated.jpg": encode(RGB, "JPEG", quality=90),
        "truncated_progressive.jpg": encode(RGB, "JPEG", quality=90, progressive=True),
        "truncated.png": png(RGB, 2),
        "truncated.webp": encode(RGB, "WEBP", quality=85),
        "truncated_lossless.webp": encode(RGB, "WEBP", lossless=True),
        "truncated.gif": encode(Image.fromarray(RGB).quantize(32), "GIF"),
        "truncated.bmp": encode(RGB, "BMP"),
        "truncated.tif": tiff(RGB, photometric="rgb"),
        "truncated_lzw.tif": tiff(RGB, photometric="rgb", compression="lzw"),
    }
    for name, data in whole.items():
        write_broken(name, data[: int(len(data) * 0.7)])

    jpeg = whole["truncated.jpg"]
    # Some encoders close the file properly after having lost the end of the picture.
    write_broken("early_eoi.jpg", jpeg[: int(len(jpeg) * 0.8)] + b"\xff\xd9")
    write_broken("only_headers.jpg", jpeg[: jpeg.index(b"\xff\xda")])
    write_broken("wrong_magic.jpg", b"\x00\x00" + jpeg[2:])
    write_broken("empty.jpg", b"")
    write_broken("text.jpg", b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n")
    arithmetic = frame_header(jpeg) - 3
    write_broken("arithmetic.jpg", patched(jpeg, arithmetic, b"\xc9"))
    write_broken("half_header.png", whole["truncated.png"][:20])
    write_broken("unsupported.heic", struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(64))

    picture = whole["truncated.png"]
    data_at = picture.index(b"IDAT") + 4
    stream = bytearray(picture)
    stream[data_at + 40 : data_at + 60] = bytes(20)
    length = struct.unpack(">I", picture[data_at - 8 : data_at - 4])[0]
    crc = struct.pack(">I", zlib.crc32(bytes(stream[data_at - 4 : data_at + length])))
    write_broken("corrupt_deflate.png", patched(bytes(stream), data_at + length, crc))
    write_broken("wrong_checksum.png", patched(picture, data_at + 50, bytes([picture[data_at + 50] ^ 0xFF])))

    # Small files that claim to be huge.
    tiny = RGB[:4, :4]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    png_bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    write_broken("bomb.png", png_bomb)
    write_broken("bomb.gif", patched(encode(Image.fromarray(tiny).quantize(4), "GIF"), 6, b"\xff\xff\xff\xff"))
    write_broken("bomb.jpg", patched(jpeg, frame_header(jpeg) + 1, struct.pack(">HH", 65500, 65500)))
    lossless = encode(tiny, "WEBP", lossless=True)
    bits = struct.unpack("<I", lossless[21:25])[0] & ~0x0FFFFFFF | 16382 << 14 | 16382  # width - 1, height - 1
    write_broken("bomb.webp", patched(lossless, 21, struct.pack("<I", bits)))
    write_broken("bomb.bmp", bmp_header(60000, 60000, 24, 0, 0) + bytes(100))
    # Width, height, bits, compression, photometric, strip offset, samples, rows a strip, strip length.
    longs = {256: 60000, 257: 60000, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 60000, 279: 100}
    shorts = (258, 259, 262, 277)
    tags = [(tag, 3 if tag in shorts else 4, value) for tag, value in longs.items()]
    ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    write_broken("bomb.tif", b"II*\0" + struct.pack("<I", 8) + ifd + bytes(4))


if __name__ == "__main__":
    for folder in ("expected", "broken"):
        (IMAGES / folder).mkdir(parents=True, exist_ok=True)
    for make in (jpegs, pngs, gifs, webps, bmps, tiffs, broken):
        make()
    files = [path for path in IMAGES.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1024:.0f} KiB")
