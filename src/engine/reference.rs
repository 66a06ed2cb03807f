//! The oracle: each node of the description, one after the other, on stock candle tensors.
//!
//! It is meant to be read and to be right. What candle lacks (padding that differs by axis, padded pools) is put together
//! from what it has, by identities.

use candle_core::{Device, Result, Tensor, bail};
use rayon::prelude::*;

use super::{Engine, global_average, require_same_variant, weights_of};
use crate::inception::{Network, Node, NodeId, Op, Window};
use crate::weights::Weights;

/// A network, its folded weights, and a device.
pub struct Reference {
    network: Network,
    /// By node, the kernel and the bias `[1, out, 1, 1]`; `None` for nodes that have no weights.
    convolutions: Vec<Option<[Tensor; 2]>>,
    /// By node, the last node that reads it: after that its activations are let go.
    last_readers: Vec<NodeId>,
    device: Device,
}

impl Reference {
    /// Folds the batch norms and puts the weights on the device.
    ///
    /// # Errors
    /// Where the weights are of another variant than the network; those of candle.
    pub fn new(network: Network, weights: &Weights, device: &Device) -> Result<Self> {
        require_same_variant(&network, weights)?;
        let convolutions = network.nodes().iter().map(|node| fold(node, weights, device)).collect::<Result<_>>()?;
        let mut last_readers: Vec<NodeId> = (0..network.nodes().len()).collect();
        for (id, node) in network.nodes().iter().enumerate() {
            node.inputs.iter().for_each(|&input| last_readers[input] = id);
        }
        Ok(Self { network, convolutions, last_readers, device: device.clone() })
    }

    fn run_batch(&self, images: &Tensor) -> Result<Tensor> {
        let mut results: Vec<Option<Tensor>> = vec![None; self.network.nodes().len()];
        for (id, node) in self.network.nodes().iter().enumerate() {
            let inputs: Vec<&Tensor> = node.inputs.iter().filter_map(|&input| results[input].as_ref()).collect();
            let result = match (&node.op, &self.convolutions[id]) {
                (Op::Input, _) => images.clone(),
                (Op::Convolution(convolution), Some(weights)) => convolve(inputs[0], weights, &convolution.window)?,
                (Op::Convolution(_), None) => bail!("{} has no weights", node.name),
                (Op::MaxPool(window), _) => max_pool(inputs[0], window)?,
                (Op::AveragePool { window, counts_padding }, _) => average_pool(inputs[0], window, *counts_padding)?,
                (Op::Concat, _) => Tensor::cat(&inputs, 1)?,
                (Op::GlobalAverage, _) => global_average(inputs[0])?,
            };
            results[id] = Some(result);
            for &input in node.inputs.iter().filter(|&&input| self.last_readers[input] == id) {
                results[input] = None;
            }
        }
        match results.pop().flatten() {
            Some(result) => Ok(result),
            None => bail!("a network without nodes"),
        }
    }
}

impl Engine for Reference {
    fn device(&self) -> &Device {
        &self.device
    }

    fn run(&self, images: &Tensor) -> Result<Tensor> {
        if !self.device.is_cpu() {
            return self.run_batch(images);
        }
        // candle's CPU convolutions change layouts on one thread, so an image a thread is faster than a batch an
        // operation; and no image can touch another one's bits.
        let each = (0..images.dim(0)?).into_par_iter().map(|image| self.run_batch(&images.narrow(0, image, 1)?));
        Tensor::cat(&each.collect::<Result<Vec<_>>>()?, 0)
    }
}

fn fold(node: &Node, weights: &Weights, device: &Device) -> Result<Option<[Tensor; 2]>> {
    let Op::Convolution(shape) = node.op else { return Ok(None) };
    Ok(Some(weights_of(node, weights)?.folded()?.tensors(&shape.kernel_shape(), device)?))
}

/// candle pads both axes alike; where they differ, zeros are put around the input.
fn convolve(input: &Tensor, [kernel, bias]: &[Tensor; 2], window: &Window) -> Result<Tensor> {
    let [vertical, horizontal] = window.padding;
    let result = if vertical == horizontal {
        input.conv2d(kernel, vertical, window.stride, 1, 1)?
    } else {
        pad_with_zeros(input, window)?.conv2d(kernel, 0, window.stride, 1, 1)?
    };
    result.broadcast_add(bias)?.relu()
}

/// Padding by repeating the border changes no maximum: what is repeated is in the window already.
fn max_pool(input: &Tensor, window: &Window) -> Result<Tensor> {
    let [vertical, horizontal] = window.padding;
    let padded = input.pad_with_same(2, vertical, vertical)?.pad_with_same(3, horizontal, horizontal)?;
    padded.max_pool2d_with_stride((window.kernel[0], window.kernel[1]), (window.stride, window.stride))
}

/// The mean without its padding is the mean with it, divided by the mean of ones with it.
fn average_pool(input: &Tensor, window: &Window, counts_padding: bool) -> Result<Tensor> {
    let mean = |tensor: &Tensor| {
        let kernel = (window.kernel[0], window.kernel[1]);
        pad_with_zeros(tensor, window)?.avg_pool2d_with_stride(kernel, (window.stride, window.stride))
    };
    if counts_padding {
        return mean(input);
    }
    let (_, _, height, width) = input.dims4()?;
    let ones = Tensor::ones((1, 1, height, width), input.dtype(), input.device())?;
    mean(input)?.broadcast_div(&mean(&ones)?)
}

fn pad_with_zeros(input: &Tensor, window: &Window) -> Result<Tensor> {
    let [vertical, horizontal] = window.padding;
    input.pad_with_zeros(2, vertical, vertical)?.pad_with_zeros(3, horizontal, horizontal)
}
