//! The last step of the network, which others take too where they stop before it.

use candle_core::{DType, Result, Tensor};

/// The mean of each channel: `[batch, channels, height, width]` float32 to `[batch, channels]`.
///
/// On the CPU it is summed in float64 in the order of the places, so that whoever takes the mean of the last feature maps has what
/// the whole network would have given, to the bit.
///
/// # Errors
/// Those of candle.
pub fn global_average(maps: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = maps.dims4()?;
    if !maps.device().is_cpu() {
        return maps.flatten_from(2)?.mean(2);
    }
    let numbers = maps.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let places = height * width;
    let mean = |map: &[f32]| (map.iter().map(|&number| f64::from(number)).sum::<f64>() / places as f64) as f32;
    let means: Vec<f32> = numbers.chunks_exact(places.max(1)).map(mean).collect();
    Tensor::from_vec(means, (batch, channels), maps.device())
}
