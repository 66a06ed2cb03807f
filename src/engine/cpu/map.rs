//! Activations in memory: channels last, images one after the other.

/// Some channels of some images' activations. It is a pointer with a shape, no more: who follows it knows that the memory is
/// there and nobody else's.
#[derive(Clone, Copy, Debug)]
pub struct Map {
    /// The first channel of the first pixel.
    pub data: *mut f32,
    /// Images.
    pub images: usize,
    /// `[height, width]`.
    pub size: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Numbers from one pixel to the next: `channels`, or more where others lie between,
    pub stride: usize,
    /// from one row of pixels to the next,
    pub row: usize,
    /// and from one image to the next.
    pub image: usize,
}

// SAFETY: Map gives no access by itself; whoever follows the pointer answers for it.
#[expect(unsafe_code, reason = "pointers are not Send, and maps travel to the threads that share a layer")]
unsafe impl Send for Map {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "as above")]
unsafe impl Sync for Map {}

impl Map {
    /// Pixels that lie one after the other, a stride apart.
    #[must_use]
    pub const fn dense(data: *mut f32, images: usize, size: [usize; 2], channels: usize, stride: usize) -> Self {
        let row = size[1] * stride;
        Self { data, images, size, channels, stride, row, image: size[0] * row }
    }

    /// Whether pixels lie one after the other, a stride apart.
    #[must_use]
    pub const fn is_dense(&self) -> bool {
        self.row == self.size[1] * self.stride && self.image == self.size[0] * self.row
    }

    /// Every so-manieth pixel along both axes, from one on.
    #[must_use]
    pub const fn every(&self, step: usize, [top, left]: [usize; 2]) -> Self {
        let [height, width] = self.size;
        Self {
            data: self.data.wrapping_add(top * self.row + left * self.stride),
            size: [height.saturating_sub(top).div_ceil(step), width.saturating_sub(left).div_ceil(step)],
            stride: self.stride * step,
            row: self.row * step,
            ..*self
        }
    }

    /// Pixels of an image.
    #[must_use]
    pub const fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Where pixel (y, x) of an image begins.
    #[must_use]
    pub const fn at(&self, image: usize, y: usize, x: usize) -> *mut f32 {
        self.data.wrapping_add(image * self.image + y * self.row + x * self.stride)
    }

    /// Where the pixel of this position among all of all images begins, and its image, y and x.
    #[must_use]
    pub const fn position(&self, pixel: usize) -> [usize; 3] {
        let (image, pixel) = (pixel / self.pixels(), pixel % self.pixels());
        [image, pixel / self.size[1], pixel % self.size[1]]
    }

    /// Where the tap at (y, x) begins, counted from the corner of the padding, or `None` in the padding.
    #[must_use]
    pub fn tap(&self, image: usize, y: usize, x: usize, padding: [usize; 2]) -> Option<*mut f32> {
        let y = y.checked_sub(padding[0]).filter(|&y| y < self.size[0])?;
        let x = x.checked_sub(padding[1]).filter(|&x| x < self.size[1])?;
        Some(self.at(image, y, x))
    }
}
