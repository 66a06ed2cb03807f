//! Bytes to pixels: what is between a file on disk and the numbers a network sees.
//!
//! The walk has four steps, a file each:
//!
//! 1. [`sniff`](mod@sniff) looks at the first bytes and says what kind of file this is. The name of a file is never
//!    believed.
//! 2. [`decode`](mod@decode) turns the bytes into the RGB picture that a person would see in a viewer: turned the way
//!    its EXIF orientation says, sixteen bits scaled to eight, palettes looked up, ink turned into light, the first
//!    frame of an animation, transparency laid over a background. A file that is cut off or damaged is an error that
//!    says so, never a half-grey picture.
//! 3. [`resize`](mod@resize) brings a picture to another size exactly as Pillow does, byte for byte;
//!    [`resize_float`](mod@resize_float) as Pillow does it in floats; [`interpolate`](mod@interpolate) as TensorFlow's and
//!    PyTorch's plain bilinear resize do.
//! 4. [`preprocess`](mod@preprocess) names the recipes that the known Inception-v3 checkpoints were trained or scored
//!    with, and applies one: RGB picture in, 299 x 299 [`Pixels`] out.
//!
//! [`augment`](mod@augment) stands between the second step and the third where a network is trained, and nowhere else.
//!
//! ```no_run
//! use headstock::image::{DecodeOptions, Preset, decode};
//!
//! let bytes = std::fs::read("cat.jpg")?;
//! let picture = decode(&bytes, &DecodeOptions::default())?;
//! let pixels = Preset::Tf.preprocess().apply(&picture);
//! assert_eq!(pixels.side, 299);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod augment;
pub mod axis;
pub mod background;
mod candidate;
mod color;
pub mod decode;
pub mod interpolate;
pub mod preprocess;
pub mod resize;
pub mod resize_float;
pub mod sniff;
mod taps;

pub use augment::{Augmentation, UnknownAugmentation, augment};
pub use background::{BackgroundError, parse_background};
pub use candidate::is_candidate;
pub use decode::{DecodeError, DecodeOptions, decode};
pub use preprocess::{Normalise, Pixels, Preprocess, Preset, Resize, Values};
pub use sniff::{Format, Kind, SNIFF_BYTES, has_image_extension, sniff};
