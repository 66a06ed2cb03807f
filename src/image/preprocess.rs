//! The recipes: what each known Inception-v3 expects between a picture and its first convolution.

use ::image::RgbImage;
use serde::{Deserialize, Serialize};

use super::axis::Axis;
use super::interpolate::{Centres, interpolate_axes};
use super::resize::{Kernel, resize_axes};
use super::resize_float::resize_axes_float;

/// A recipe by name. `FromStr`, `Display` and serde use the lower-case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// TensorFlow's of 2015: Pillow's antialiased bilinear squash, then `(x - 128) / 128`.
    Tf,
    /// `keras.utils.image_dataset_from_directory`: bilinear squash without antialias, not rounded, then `x / 127.5 - 1`.
    Keras,
    /// `Inception_V3_Weights.IMAGENET1K_V1.transforms()`: shorter side to 342, bilinear, centre crop.
    Torchvision,
    /// timm's: shorter side to 341, bicubic, centre crop.
    Timm,
    /// pytorch-fid's: as [`Preset::Keras`], the two being one recipe by two names.
    Fid,
    /// torch-fidelity's: TensorFlow 1's bilinear squash, whose pixels are off by half a pixel, then `(x - 128) / 128`.
    TorchFidelity,
    /// clean-fid's: Pillow's antialiased bicubic squash in floats, not rounded, cut to 0..=255, then `(x - 128) / 128`.
    CleanFid,
    /// Of most other networks that learnt ImageNet, torchvision's among them: as [`Preset::Torchvision`], then ImageNet's mean and
    /// deviation instead of -1 to 1.
    Imagenet,
    /// timm's of networks that were trained with ImageNet's mean and deviation, gluon's port among them: as [`Preset::Timm`] but for the range.
    TimmImagenet,
}

/// ImageNet's mean and standard deviation of values from 0 to 1, red, green, blue.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// The name is none of the presets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a preset: choose tf, keras, torchvision, timm, fid, torch-fidelity, clean-fid, imagenet or timm-imagenet"
)]
pub struct PresetError(String);

impl Preset {
    /// All presets, in the order they are documented in.
    pub const ALL: [Preset; 9] = [
        Preset::Tf,
        Preset::Keras,
        Preset::Torchvision,
        Preset::Timm,
        Preset::Fid,
        Preset::TorchFidelity,
        Preset::CleanFid,
        Preset::Imagenet,
        Preset::TimmImagenet,
    ];

    /// The lower-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Preset::Tf => "tf",
            Preset::Keras => "keras",
            Preset::Torchvision => "torchvision",
            Preset::Timm => "timm",
            Preset::Fid => "fid",
            Preset::TorchFidelity => "torch-fidelity",
            Preset::CleanFid => "clean-fid",
            Preset::Imagenet => "imagenet",
            Preset::TimmImagenet => "timm-imagenet",
        }
    }

    /// The recipe itself.
    #[must_use]
    pub fn preprocess(self) -> Preprocess {
        let (fit, filter, divide) = match self {
            Preset::Tf => (Fit::Squash, Filter::PillowBilinear, 128.0),
            Preset::Keras => (Fit::Squash, Filter::Interpolate, 127.5),
            Preset::Torchvision | Preset::Imagenet => (Fit::Crop { shorter: 342 }, Filter::PillowBilinear, 127.5),
            Preset::Timm | Preset::TimmImagenet => (Fit::Crop { shorter: 341 }, Filter::PillowBicubic, 127.5),
            Preset::Fid => (Fit::Squash, Filter::Interpolate, 127.5),
            Preset::TorchFidelity => (Fit::Squash, Filter::Tf1Bilinear, 128.0),
            Preset::CleanFid => (Fit::Squash, Filter::PillowBicubicFloat, 128.0),
        };
        let normalise = match self {
            Preset::Imagenet | Preset::TimmImagenet => Normalise {
                divide: IMAGENET_DEVIATION.map(|deviation| 255.0 * deviation),
                subtract: std::array::from_fn(|channel| IMAGENET_MEAN[channel] / IMAGENET_DEVIATION[channel]),
            },
            _ => Normalise { divide: [divide; 3], subtract: [1.0; 3] },
        };
        Preprocess { preset: self, resize: Resize { side: 299, fit, filter }, normalise }
    }
}

impl std::fmt::Display for Preset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Preset {
    type Err = PresetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |preset: &Preset| preset.name() == text;
        Preset::ALL.into_iter().find(named).ok_or_else(|| PresetError(text.to_owned()))
    }
}

/// From a picture to what the network sees: a resize, then a normalisation. Serialises to JSON with all that defines it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// The recipe this is, or was derived from.
    pub preset: Preset,
    /// How a picture of any size becomes `side` x `side`.
    pub resize: Resize,
    /// How a value 0..=255 becomes a network input.
    pub normalise: Normalise,
}

/// How a picture of any size becomes `side` x `side`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// Width and height of the result, in pixels.
    pub side: u32,
    /// What happens to the shape of the picture.
    pub fit: Fit,
    /// How the new pixels come from the old.
    pub filter: Filter,
}

/// What happens to the shape of a picture that is not square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Both sides are scaled to the target, each by its own factor.
    Squash,
    /// The shorter side is scaled to `shorter` pixels, the longer one in proportion, and the centre is cut out.
    Crop {
        /// Length of the shorter side before the cut, in pixels.
        shorter: u32,
    },
}

/// How the new pixels come from the old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// Pillow's `BILINEAR`: antialiased triangle, rounded to bytes.
    PillowBilinear,
    /// Pillow's `BICUBIC`: antialiased cubic with a = -0.5, rounded to bytes.
    PillowBicubic,
    /// The same in floats, not rounded, cut to 0..=255.
    PillowBicubicFloat,
    /// Bilinear between the four nearest pixels, half-pixel centres, no antialias, not rounded.
    Interpolate,
    /// The same with centres at whole numbers, as TensorFlow 1 had it (`half_pixel_centers=False`).
    Tf1Bilinear,
}

/// Network input = value / divide - subtract, each channel (R, G, B) with its own numbers, value in 0..=255.
///
/// Divide-then-subtract is how the libraries themselves compute it, so the results agree to the last bit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalise {
    /// Of each channel.
    pub divide: [f32; 3],
    /// Of each channel, after the division.
    pub subtract: [f32; 3],
}

impl Normalise {
    /// The network input for a value 0..=255 of a channel (0 red, 1 green, 2 blue).
    #[must_use]
    pub fn input(&self, value: f32, channel: usize) -> f32 {
        value / self.divide[channel] - self.subtract[channel]
    }

    /// The network inputs for all bytes, a table a channel.
    #[must_use]
    pub fn table(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|channel| std::array::from_fn(|value| self.input(value as f32, channel)))
    }

    /// The factors of value * scale + offset, the same function but for rounding in the last bit.
    #[must_use]
    pub fn scale(&self) -> [f32; 3] {
        self.divide.map(f32::recip)
    }

    /// The offsets of value * scale + offset.
    #[must_use]
    pub fn offset(&self) -> [f32; 3] {
        self.subtract.map(|subtract| -subtract)
    }
}

/// A picture as the network takes it: `side` x `side`, rows from the top, R G B interleaved (HWC), values in 0..=255.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    /// Width and height.
    pub side: usize,
    /// `side * side * 3` values.
    pub values: Values,
}

/// The numbers of [`Pixels`]: bytes where the recipe rounds to bytes, floats where it does not.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Bytes.
    U8(Vec<u8>),
    /// Floats, not rounded, in the range of bytes.
    F32(Vec<f32>),
}

impl Preprocess {
    /// The same recipe for a network that takes images of another size, in pixels. Where the centre is cut out, it is seven eighths of
    /// the shorter side, as the libraries have it for their networks of 224 pixels.
    #[must_use]
    pub fn with_side(mut self, side: u32) -> Self {
        if side != self.resize.side {
            self.resize.side = side;
            if let Fit::Crop { shorter } = &mut self.resize.fit {
                *shorter = (side * 8 + 3) / 7;
            }
        }
        self
    }

    /// Brings a picture to the network's size. The values stay in 0..=255; [`Normalise`] is for the network to apply.
    ///
    /// # Panics
    /// When the picture has no pixels, or when `shorter` of [`Fit::Crop`] is smaller than `side`.
    #[must_use]
    pub fn apply(&self, image: &RgbImage) -> Pixels {
        let (x, y) = self.axes(image.width(), image.height());
        let values = match self.resize.filter {
            Filter::PillowBilinear => Values::U8(resize_axes(image, &x, &y, Kernel::Bilinear)),
            Filter::PillowBicubic => Values::U8(resize_axes(image, &x, &y, Kernel::Bicubic)),
            Filter::PillowBicubicFloat => Values::F32(resize_axes_float(image, &x, &y, Kernel::Bicubic)),
            Filter::Interpolate => Values::F32(interpolate_axes(image, &x, &y, Centres::Halves)),
            Filter::Tf1Bilinear => Values::F32(interpolate_axes(image, &x, &y, Centres::Wholes)),
        };
        Pixels { side: self.resize.side as usize, values }
    }

    /// How the width and the height of a picture are scaled and cut: where what the network sees lies in the picture.
    ///
    /// # Panics
    /// As [`Preprocess::apply`].
    #[must_use]
    pub fn axes(&self, width: u32, height: u32) -> (Axis, Axis) {
        self.resize.fit.axes(width as usize, height as usize, self.resize.side as usize)
    }
}

impl Fit {
    /// Both axes of the resize of a `width` x `height` picture.
    fn axes(self, width: usize, height: usize, side: usize) -> (Axis, Axis) {
        match self {
            Fit::Squash => (Axis::whole(width, side), Axis::whole(height, side)),
            Fit::Crop { shorter } => {
                let shortest = width.min(height);
                // `int(shorter * length / shortest)` of torchvision's `Resize`; for the shorter side itself it is exact.
                let scaled = |length: usize| (shorter as usize * length) as f64 / shortest as f64;
                let axis = |length: usize| Axis::centre(length, scaled(length) as usize, side);
                (axis(width), axis(height))
            }
        }
    }
}
