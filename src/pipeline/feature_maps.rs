//! The last feature maps beside the features, from one run of the network: for explanations.

use candle_core::{Device, Result, Tensor, bail};
use ndarray::{ArrayView3, ArrayView4};

use super::Batch;
use crate::engine::global_average;
use crate::inception::{FEATURES, Grid, Network, Variant};

/// The last feature maps of a batch: [B, C, H, W], B being the images that could be read.
#[derive(Clone, Debug)]
pub struct FeatureMaps {
    maps: Vec<f32>,
    shape: [usize; 4],
}

impl FeatureMaps {
    /// The node that gives them.
    const NODE: &'static str = "Mixed_7c";

    /// The network up to the maps, for the engine behind [`Embed`](super::Embed), and where the maps' places lie in its input.
    #[must_use]
    pub fn network(variant: Variant) -> Option<(Network, Grid)> {
        let network = Network::new(variant).until(Self::NODE)?;
        let grid = network.grid();
        Some((network, grid))
    }

    /// Takes the maps out of a batch that such a network gave, and leaves their means: what the whole network would have
    /// given. On the CPU it is that to the bit, as the mean is the same operation on the same numbers.
    ///
    /// # Errors
    /// Where the rows are no square maps; those of candle.
    pub fn take(batch: &mut Batch) -> Result<Self> {
        let images = batch.candidates - batch.rejected.len();
        let maps = std::mem::take(&mut batch.rows);
        let places = maps.len() / (images * FEATURES).max(1);
        let side = places.isqrt();
        let shape = [images, FEATURES, side, side];
        if maps.len() != shape.iter().product::<usize>() {
            bail!("{} numbers of {images} images are no square maps", maps.len());
        }
        if images > 0 {
            let maps = Tensor::from_slice(&maps, &shape, &Device::Cpu)?;
            batch.rows = global_average(&maps)?.flatten_all()?.to_vec1()?;
        }
        Ok(Self { maps, shape })
    }

    /// The maps [C, H, W] of each image, in the order of the rows.
    pub fn images(&self) -> impl Iterator<Item = ArrayView3<'_, f32>> {
        let maps = ArrayView4::from_shape(self.shape, &self.maps).ok();
        maps.into_iter()
            .flat_map(|maps| (0..self.shape[0]).map(move |image| maps.index_axis_move(ndarray::Axis(0), image)))
    }
}
