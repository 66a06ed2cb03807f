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
    /// Numbers from one pixel to the next: `channels`, or more where others lie between.
    pub stride: usize,
}

// SAFETY: Map gives no access by itself; whoever follows the pointer answers for it.
#[expect(unsafe_code, reason = "pointers are not Send, and maps travel to the threads that share a layer")]
unsafe impl Send for Map {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "as above")]
unsafe impl Sync for Map {}

impl Map {
    /// Pixels of an image.
    #[must_use]
    pub const fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Where pixel (y, x) of an image begins.
    #[must_use]
    pub const fn at(&self, image: usize, y: usize, x: usize) -> *mut f32 {
        self.data.wrapping_add((image * self.pixels() + y * self.size[1] + x) * self.stride)
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
