//! The frozen part of the network, run by the fastest engine, and what it hands over.
//!
//! ```text
//! images [B, 3, 299, 299] ─▶ an engine a group ─▶ [B, C, H, W] each ─▶ channels last, one group after the other: records [B, R]
//!                                                                        R numbers of an image: group 1 (H, W, C) ▪▪▪▪ group 2 ▪▪
//! ```
//!
//! What crosses the border has one size of map nearly everywhere; a cut inside a block that makes maps smaller has two. A [`Trunk`] is an
//! [`Engine`] itself, so that it stands in the pipeline where the whole network stands otherwise. Several devices have a trunk each.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use crate::engine::trainable::channels_last;
use crate::engine::{Engine, EngineChoice, Precision, Several};
use crate::inception::{Border, Network, ShapeError};
use crate::weights::Weights;

/// How the numbers of one image that cross the border lie in its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Height, width and channels of each group.
    groups: Vec<[usize; 3]>,
}

impl Record {
    /// Of images of `side` x `side` pixels.
    ///
    /// # Errors
    /// Where the images are too small for the network.
    pub fn new(network: &Network, border: &Border, side: usize) -> std::result::Result<Self, ShapeError> {
        let shapes = network.shapes([side, side])?;
        let groups = border.groups().iter().map(|group| {
            let [_, height, width] = group.nodes.first().map_or([0; 3], |&node| shapes[node]);
            [height, width, group.channels]
        });
        Ok(Self { groups: groups.collect() })
    }

    /// R.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.iter().map(|group| group.iter().product::<usize>()).sum()
    }

    /// Whether nothing crosses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records [B, R] as the tensors that a [`Trainable`](crate::engine::trainable::Trainable) takes, a group each: [B, H, W, C].
    ///
    /// # Errors
    /// Those of candle.
    pub fn tensors(&self, records: Vec<f32>, device: &Device) -> Result<Vec<Tensor>> {
        let (batch, len) = (records.len() / self.len().max(1), self.len());
        if let [[height, width, channels]] = self.groups[..] {
            return Ok(vec![Tensor::from_vec(records, (batch, height, width, channels), device)?]);
        }
        let mut first = 0;
        let mut tensors = Vec::with_capacity(self.groups.len());
        for &[height, width, channels] in &self.groups {
            let here = height * width * channels;
            let numbers: Vec<f32> =
                records.chunks_exact(len).flat_map(|record| &record[first..first + here]).copied().collect();
            tensors.push(Tensor::from_vec(numbers, (batch, height, width, channels), device)?);
            first += here;
        }
        Ok(tensors)
    }
}

/// The frozen part, on one device.
pub struct Trunk {
    /// One a group; none where the image itself crosses.
    engines: Vec<Option<Arc<dyn Engine>>>,
    device: Device,
}

impl Trunk {
    /// Prepares the frozen part of a network on each of these devices, one or more.
    ///
    /// # Errors
    /// Those of [`EngineChoice::open`].
    pub fn open(
        network: &Network,
        border: &Border,
        weights: &Weights,
        engine: EngineChoice,
        devices: &[Device],
        precision: Precision,
    ) -> Result<Arc<dyn Engine>> {
        let on = |device: &Device| -> Result<Arc<dyn Engine>> {
            let open = |trunk: Network| {
                let is_image = trunk.nodes().len() == 1;
                let open = || engine.open(trunk, weights, std::slice::from_ref(device), precision);
                if is_image { Ok(None) } else { open().map(Some) }
            };
            let engines = border.trunks(network).into_iter().map(open).collect::<Result<_>>()?;
            Ok(Arc::new(Self { engines, device: device.clone() }))
        };
        match devices {
            [device] => on(device),
            several => Ok(Arc::new(Several::new(several.iter().map(on).collect::<Result<_>>()?)?)),
        }
    }
}

impl Engine for Trunk {
    fn device(&self) -> &Device {
        &self.device
    }

    /// Maps images `[batch, 3, height, width]` to records `[batch, R]`.
    fn run(&self, images: &Tensor) -> Result<Tensor> {
        let records = self.engines.iter().map(|engine| {
            let maps = engine.as_ref().map_or_else(|| Ok(images.clone()), |engine| engine.run(images))?;
            channels_last(&maps)?.flatten_from(1)
        });
        let records = records.collect::<Result<Vec<_>>>()?;
        match records.as_slice() {
            [one] => Ok(one.clone()),
            several => Tensor::cat(several, 1),
        }
    }
}
