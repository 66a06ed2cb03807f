//! Pictures as they might have been taken: from a little nearer, mirrored, in another light.
//!
//! ```text
//! picture ─▶ crop: a part of it ─▶ flip: left and right ─▶ color: brightness, contrast, saturation ─▶ picture
//! ```
//!
//! The crop is that of torchvision's `RandomResizedCrop`, but of 0.6 to 1 of the area instead of 0.08 to 1: that one is made for a
//! network that sees a million pictures ninety times, and a detail that tells two classes apart is soon cut off. Its sides' ratio to
//! each other changes by up to 4/3. The colours are those of `ColorJitter(0.2, 0.2, 0.2)`, in this order instead of a random one.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use ::image::{RgbImage, imageops};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The part of a picture's area that a crop has.
const AREA: std::ops::RangeInclusive<f64> = 0.6..=1.0;
/// The most that a crop changes the ratio of the sides.
const RATIO: f64 = 4.0 / 3.0;
/// Crops that are tried until one lies in the picture.
const TRIES: usize = 10;
/// How much the light may change, up and down.
const LIGHT: f32 = 0.2;
/// How much red, green and blue count in what the eye calls light (torchvision's numbers, of ITU-R 601).
const LUMA: [f32; 3] = [0.2989, 0.587, 0.114];

/// One way of changing a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Augmentation {
    /// A part of the picture.
    Crop,
    /// Mirrored, half of the time.
    Flip,
    /// Another light.
    Color,
}

/// A name that is no augmentation's.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no augmentation: it is one of crop, flip, color")]
pub struct UnknownAugmentation(String);

impl FromStr for Augmentation {
    type Err = UnknownAugmentation;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "crop" => Ok(Self::Crop),
            "flip" => Ok(Self::Flip),
            "color" => Ok(Self::Color),
            _ => Err(UnknownAugmentation(name.to_owned())),
        }
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crop => "crop",
            Self::Flip => "flip",
            Self::Color => "color",
        })
    }
}

/// Changes a picture by each of `augmentations`, at random. Each takes its random numbers whether it is wanted or not: a
/// flip is the same flip with and without colours.
#[must_use]
pub fn augment(picture: &RgbImage, augmentations: &BTreeSet<Augmentation>, rng: &mut ChaCha8Rng) -> RgbImage {
    let crop = Crop::random(picture.width(), picture.height(), rng);
    let flip = rng.random::<f32>() < 0.5;
    let mut factor = || 1.0 + LIGHT * (2.0 * rng.random::<f32>() - 1.0);
    let (brightness, contrast, saturation) = (factor(), factor(), factor());

    let wants = |augmentation| augmentations.contains(&augmentation);
    let mut picture = if wants(Augmentation::Crop) { crop.of(picture) } else { picture.clone() };
    if wants(Augmentation::Flip) && flip {
        imageops::flip_horizontal_in_place(&mut picture);
    }
    if wants(Augmentation::Color) {
        adjust_brightness(&mut picture, brightness);
        adjust_contrast(&mut picture, contrast);
        adjust_saturation(&mut picture, saturation);
    }
    picture
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Crop {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

impl Crop {
    /// A part of so much area and of such sides that it lies in the picture; all of it where none was found.
    fn random(width: u32, height: u32, rng: &mut ChaCha8Rng) -> Self {
        let (w, h) = (f64::from(width), f64::from(height));
        let mut crop = Self { left: 0, top: 0, width, height };
        let mut found = false;
        for _ in 0..TRIES {
            let area = AREA.start() + (AREA.end() - AREA.start()) * rng.random::<f64>();
            // Evenly between a ratio and its inverse.
            let ratio = RATIO.powf(2.0 * rng.random::<f64>() - 1.0);
            let (x, y) = (rng.random::<f64>(), rng.random::<f64>());
            let sides = [w * (area * ratio).sqrt(), h * (area / ratio).sqrt()].map(f64::round);
            if !found && (1.0..=w).contains(&sides[0]) && (1.0..=h).contains(&sides[1]) {
                found = true;
                let [width, height] = sides;
                let place = |room: f64, at: f64| ((room + 1.0) * at).floor().min(room) as u32;
                crop = Self {
                    left: place(w - width, x),
                    top: place(h - height, y),
                    width: width as u32,
                    height: height as u32,
                };
            }
        }
        crop
    }

    fn of(self, picture: &RgbImage) -> RgbImage {
        imageops::crop_imm(picture, self.left, self.top, self.width, self.height).to_image()
    }
}

/// All colours times a factor: `torchvision.transforms.functional.adjust_brightness`, to the byte.
pub fn adjust_brightness(picture: &mut RgbImage, factor: f32) {
    each_color(picture, |color, _| factor * color);
}

/// All colours away from, or towards, the picture's mean light: `adjust_contrast`.
pub fn adjust_contrast(picture: &mut RgbImage, factor: f32) {
    let sum: u64 = picture.pixels().map(|pixel| u64::from(light(pixel.0))).sum();
    let count = u64::from(picture.width()) * u64::from(picture.height());
    let mean = (sum as f64 / count.max(1) as f64) as f32;
    each_color(picture, |color, _| factor * color + (1.0 - factor) * mean);
}

/// All colours away from, or towards, the grey of their own pixel: `adjust_saturation`.
pub fn adjust_saturation(picture: &mut RgbImage, factor: f32) {
    each_color(picture, |color, grey| factor * color + (1.0 - factor) * f32::from(grey));
}

/// The light of a pixel, cut off to a byte as in torchvision's `rgb_to_grayscale`.
fn light(pixel: [u8; 3]) -> u8 {
    let [r, g, b] = pixel.map(f32::from);
    (LUMA[0] * r + LUMA[1] * g + LUMA[2] * b) as u8
}

/// Changes every colour by a function of itself and of the pixel's light. What leaves 0..=255 is held there, and
/// fractions are cut off, as in torchvision.
fn each_color(picture: &mut RgbImage, change: impl Fn(f32, u8) -> f32) {
    for pixel in picture.pixels_mut() {
        let grey = light(pixel.0);
        pixel.0 = pixel.0.map(|color| change(f32::from(color), grey).clamp(0.0, 255.0) as u8);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(40, 30, |x, y| ::image::Rgb([x as u8 * 5, y as u8 * 7, (x * y) as u8]))
    }

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    fn only(augmentation: Augmentation) -> BTreeSet<Augmentation> {
        [augmentation].into()
    }

    #[test]
    fn crops_lie_in_the_picture_and_have_the_area_and_the_ratio_that_are_promised() {
        let (mut left, mut top) = (BTreeSet::new(), BTreeSet::new());
        for (width, height) in [(400, 300), (300, 400), (1000, 100), (1, 1), (1, 50)] {
            for seed in 0..300 {
                let crop = Crop::random(width, height, &mut rng(seed));
                assert!(crop.width >= 1 && crop.left + crop.width <= width);
                assert!(crop.height >= 1 && crop.top + crop.height <= height);
                if width.min(height) >= 100 {
                    let area = f64::from(crop.width * crop.height) / f64::from(width * height);
                    let ratio = f64::from(crop.width * height) / f64::from(crop.height * width);
                    assert!((0.59..=1.0).contains(&area), "{area}");
                    assert!((0.73..=1.37).contains(&ratio), "{ratio}");
                    left.insert(crop.left);
                    top.insert(crop.top);
                }
            }
        }
        assert!(left.len() > 50 && top.len() > 50 && left.contains(&0));
    }

    #[test]
    fn a_flip_mirrors_half_of_the_pictures_and_leaves_the_others() {
        let picture = picture();
        let flipped = imageops::flip_horizontal(&picture);
        let count = (0..1000)
            .filter(|&seed| {
                let view = augment(&picture, &only(Augmentation::Flip), &mut rng(seed));
                assert!(view == picture || view == flipped);
                view == flipped
            })
            .count();
        // Five standard deviations.
        assert!((420..=580).contains(&count), "{count}");
    }

    #[test]
    fn what_is_not_wanted_is_not_done_and_what_is_does_not_depend_on_it() {
        let picture = picture();
        assert_eq!(augment(&picture, &BTreeSet::new(), &mut rng(1)), picture);
        let all = BTreeSet::from([Augmentation::Crop, Augmentation::Flip, Augmentation::Color]);
        for seed in 0..20 {
            let crop = augment(&picture, &only(Augmentation::Crop), &mut rng(seed));
            assert_eq!(augment(&picture, &all, &mut rng(seed)).dimensions(), crop.dimensions());
            assert_eq!(augment(&picture, &all, &mut rng(seed)), augment(&picture, &all, &mut rng(seed)));
        }
    }

    #[test]
    fn a_factor_of_one_changes_nothing_and_one_of_zero_leaves_black_grey_or_no_colour() {
        for adjust in [adjust_brightness, adjust_contrast, adjust_saturation] {
            let mut same = picture();
            adjust(&mut same, 1.0);
            assert_eq!(same, picture());
        }
        let with = |adjust: fn(&mut RgbImage, f32)| {
            let mut changed = picture();
            adjust(&mut changed, 0.0);
            changed
        };
        assert!(with(adjust_brightness).iter().all(|&byte| byte == 0));
        let grey = with(adjust_contrast);
        assert!(grey.iter().all(|byte| *byte == grey.as_raw()[0]));
        assert!(with(adjust_saturation).pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]));
    }
}
