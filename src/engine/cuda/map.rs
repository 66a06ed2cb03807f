//! Activations on the card: channels last, images one after the other, a pixel's channels a run of numbers.

use std::fmt;

use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

/// Some channels of some images' activations. It is an address with a shape, no more: who follows it knows that the memory is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    /// Where the first channel of the first pixel is.
    pub address: CUdeviceptr,
    /// What lies there.
    pub shape: Shape,
}

/// The shape of some channels of some images' activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Images.
    pub images: usize,
    /// `[height, width]`.
    pub size: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Numbers from one pixel to the next: `channels`, or more where others' lie between.
    pub stride: usize,
}

impl Shape {
    /// The same with nothing between its pixels.
    #[must_use]
    pub const fn packed(self) -> Self {
        Self { stride: self.channels, ..self }
    }

    /// Whether nothing lies between its pixels.
    pub const fn is_packed(self) -> bool {
        self.stride == self.channels
    }

    /// Pixels of an image.
    pub const fn pixels(self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Numbers, those between its pixels not counted.
    pub const fn len(self) -> usize {
        self.images * self.pixels() * self.channels
    }

    /// `[images, channels, height, width]`.
    pub fn dims(self) -> [i64; 4] {
        [self.images, self.channels, self.size[0], self.size[1]].map(|len| len as i64)
    }

    /// Numbers from one to the next along each of [`Self::dims`].
    pub fn strides(self) -> [i64; 4] {
        let row = self.size[1] * self.stride;
        [self.size[0] * row, 1, row, self.stride].map(|len| len as i64)
    }
}

impl fmt::Display for Shape {
    /// `8x35x35x64`, or `8x35x35x64/256` where pixels are further apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, size: [height, width], channels, stride } = self;
        write!(f, "{images}x{height}x{width}x{channels}")?;
        if self.is_packed() { Ok(()) } else { write!(f, "/{stride}") }
    }
}
