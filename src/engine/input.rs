//! Pixels to the tensor that goes into the network.

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::image::{Normalise, Pixels, Values};

/// Normalises a batch on the device: pixels, all of one kind, to `[batch, 3, side, side]` float32.
///
/// Only the pixels cross to the device, bytes where they are bytes. The result is a view of channels-last memory.
///
/// # Errors
/// Where the images differ in size or number type, or there are none; those of candle.
pub fn network_input(images: &[Pixels], normalise: &Normalise, device: &Device) -> Result<Tensor> {
    let Some(side) = images.first().map(|image| image.side) else { bail!("a batch without images") };
    if images.iter().any(|image| image.side != side) {
        bail!("a batch of images of different sizes");
    }
    let shape = (images.len(), side, side, 3);
    let pixels = match images[0].values {
        Values::U8(_) => Tensor::from_vec(stack(images, bytes)?, shape, device)?,
        Values::F32(_) => Tensor::from_vec(stack(images, floats)?, shape, device)?,
    };
    let divide = Tensor::new(&normalise.divide, device)?;
    let subtract = Tensor::new(&normalise.subtract, device)?;
    pixels.to_dtype(DType::F32)?.broadcast_div(&divide)?.broadcast_sub(&subtract)?.permute((0, 3, 1, 2))
}

fn stack<T: Copy>(images: &[Pixels], values: impl Fn(&Values) -> Option<&[T]>) -> Result<Vec<T>> {
    let mut all = Vec::with_capacity(images.len() * images[0].side * images[0].side * 3);
    for image in images {
        match values(&image.values) {
            Some(values) => all.extend_from_slice(values),
            None => bail!("a batch of bytes and floats mixed"),
        }
    }
    Ok(all)
}

fn bytes(values: &Values) -> Option<&[u8]> {
    match values {
        Values::U8(bytes) => Some(bytes),
        Values::F32(_) => None,
    }
}

fn floats(values: &Values) -> Option<&[f32]> {
    match values {
        Values::F32(floats) => Some(floats),
        Values::U8(_) => None,
    }
}
