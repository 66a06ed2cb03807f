//! Every way of storing colour, brought to eight-bit RGB as a person would see it.

use ::image::{DynamicImage, RgbImage, RgbaImage};

/// A decoded picture as RGB: sixteen bits scaled to eight, grey copied to all channels, transparency laid over
/// `background`.
pub(super) fn flatten(picture: DynamicImage, background: [u8; 3]) -> RgbImage {
    if picture.color().has_alpha() { lay_over(&picture.into_rgba8(), background) } else { picture.into_rgb8() }
}

/// A picture with straight alpha, laid over a colour. Values are mixed as they are stored (sRGB), as browsers, viewers
/// and Pillow's `alpha_composite` do.
pub(super) fn lay_over(picture: &RgbaImage, background: [u8; 3]) -> RgbImage {
    let mut rgb = RgbImage::new(picture.width(), picture.height());
    for (rgb, rgba) in rgb.pixels_mut().zip(picture.pixels()) {
        let [color @ .., alpha] = rgba.0;
        rgb.0 = std::array::from_fn(|channel| mix(color[channel], background[channel], alpha));
    }
    rgb
}

/// A picture whose colours are already multiplied by their alpha, laid over a colour.
pub(super) fn lay_over_premultiplied(picture: &RgbaImage, background: [u8; 3]) -> RgbImage {
    let mut rgb = RgbImage::new(picture.width(), picture.height());
    for (rgb, rgba) in rgb.pixels_mut().zip(picture.pixels()) {
        let [color @ .., alpha] = rgba.0;
        rgb.0 = std::array::from_fn(|channel| color[channel].saturating_add(mix(0, background[channel], alpha)));
    }
    rgb
}

/// Ink to light: cyan, magenta, yellow and black, 255 all ink, without a colour profile.
pub(super) fn cmyk_to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|ink| mix(0, 255 - black, ink))
}

/// Full-range BT.601, as JPEG has it.
pub(super) fn ycbcr_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let [y, cb, cr] = [f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0];
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|value| value.round() as u8)
}

/// `alpha` parts of `over` and 255 - `alpha` parts of `under`, rounded.
fn mix(over: u8, under: u8, alpha: u8) -> u8 {
    let [over, under, alpha] = [over, under, alpha].map(u32::from);
    ((over * alpha + under * (255 - alpha) + 127) / 255) as u8
}
