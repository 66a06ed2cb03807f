//! Pixels to the tensor that goes into the network.

use candle_core::{DType, Device, Result, Tensor, bail};
use rayon::prelude::*;

use crate::image::{Normalise, Pixels, Values};

/// Normalises a batch: pixels, all of one kind, to `[batch, 3, side, side]` float32. The result is a view of channels-last
/// memory.
///
/// On the CPU in one pass, an image a thread; elsewhere on the device, so that only the pixels cross to it, bytes where they
/// are bytes. The numbers are the same.
///
/// # Errors
/// Where the images differ in size or number type, or there are none; those of candle.
pub fn network_input(images: &[Pixels], normalise: &Normalise, device: &Device) -> Result<Tensor> {
    let side = require_alike(images)?.side;
    let shape = (images.len(), side, side, 3);
    let of_image = side * side * 3;
    let input = match (&images[0].values, device) {
        (Values::U8(_), Device::Cpu) => {
            let table = normalise.table();
            let input = |byte: u8, color: usize| table[color][usize::from(byte)];
            Tensor::from_vec(normalised(images, bytes, of_image, input)?, shape, device)?
        }
        (Values::F32(_), Device::Cpu) => {
            let input = |value, color| normalise.input(value, color);
            Tensor::from_vec(normalised(images, floats, of_image, input)?, shape, device)?
        }
        (Values::U8(_), _) => on_device(&Tensor::from_vec(stack(images, bytes)?, shape, device)?, normalise)?,
        (Values::F32(_), _) => on_device(&Tensor::from_vec(stack(images, floats)?, shape, device)?, normalise)?,
    };
    input.permute((0, 3, 1, 2))
}

/// Refuses images that are no batch: of different sizes or number types, or none, or with too few or too many values. Gives the first.
///
/// # Errors
/// As above.
pub fn require_alike(images: &[Pixels]) -> Result<&Pixels> {
    let Some(first) = images.first() else { bail!("a batch without images") };
    let expected = first.side * first.side * 3;
    for image in images {
        if image.side != first.side {
            bail!("a batch of images of different sizes");
        }
        let values = match (&image.values, &first.values) {
            (Values::U8(bytes), Values::U8(_)) => bytes.len(),
            (Values::F32(floats), Values::F32(_)) => floats.len(),
            _ => bail!("a batch of bytes and floats mixed"),
        };
        if values != expected {
            bail!("an image of {values} values, not {expected}");
        }
    }
    Ok(first)
}

fn on_device(pixels: &Tensor, normalise: &Normalise) -> Result<Tensor> {
    let divide = Tensor::new(&normalise.divide, pixels.device())?;
    let subtract = Tensor::new(&normalise.subtract, pixels.device())?;
    pixels.to_dtype(DType::F32)?.broadcast_div(&divide)?.broadcast_sub(&subtract)
}

/// All images, one after the other, as the network takes them.
fn normalised<T: Copy + Sync>(
    images: &[Pixels],
    values: impl Fn(&Values) -> Option<&[T]> + Sync,
    of_image: usize,
    input: impl Fn(T, usize) -> f32 + Sync,
) -> Result<Vec<f32>> {
    let mut all = vec![0.0; images.len() * of_image];
    all.par_chunks_exact_mut(of_image.max(1)).zip(images).try_for_each(|(numbers, image)| {
        let Some(values) = values(&image.values) else { bail!("a batch of bytes and floats mixed") };
        for (numbers, values) in numbers.as_chunks_mut::<3>().0.iter_mut().zip(values.as_chunks::<3>().0) {
            for color in 0..3 {
                numbers[color] = input(values[color], color);
            }
        }
        Ok(())
    })?;
    Ok(all)
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use super::*;
    use crate::image::Preset;

    #[test]
    fn the_cpus_one_pass_gives_the_bits_that_a_devices_operations_give() {
        for preset in Preset::ALL {
            let normalise = preset.preprocess().normalise;
            let byte = |seed: usize| (0..5 * 5 * 3).map(|i| (i * 37 + seed * 101) as u8).collect::<Vec<_>>();
            let float = |seed| byte(seed).into_iter().map(|byte| f32::from(byte) * 0.997).collect();
            let images = |values: &dyn Fn(usize) -> Values| [1, 2].map(|seed| Pixels { side: 5, values: values(seed) });
            let bits = |tensor: Tensor| -> Vec<u32> {
                tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
            };
            let cpu = |images: &[Pixels]| bits(network_input(images, &normalise, &Device::Cpu).unwrap());
            let device = |tensor: Tensor| bits(on_device(&tensor, &normalise).unwrap().permute((0, 3, 1, 2)).unwrap());

            let of_bytes = images(&|seed| Values::U8(byte(seed)));
            let stacked = Tensor::from_vec(stack(&of_bytes, bytes).unwrap(), (2, 5, 5, 3), &Device::Cpu).unwrap();
            assert_eq!(cpu(&of_bytes), device(stacked), "{preset}");
            let of_floats = images(&|seed| Values::F32(float(seed)));
            let stacked = Tensor::from_vec(stack(&of_floats, floats).unwrap(), (2, 5, 5, 3), &Device::Cpu).unwrap();
            assert_eq!(cpu(&of_floats), device(stacked), "{preset}");

            let mixed = [of_bytes[0].clone(), of_floats[1].clone()];
            assert!(network_input(&mixed, &normalise, &Device::Cpu).is_err());
            let short = [Pixels { side: 5, values: Values::U8(vec![0; 5 * 5 * 3 - 1]) }];
            assert!(network_input(&short, &normalise, &Device::Cpu).is_err());
        }
    }
}
