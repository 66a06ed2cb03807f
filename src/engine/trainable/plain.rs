//! The oracle: node by node on stock candle tensors, differentiated by candle.
//!
//! It is meant to be read and to be right, on any device and in float32 or float64; in float64 it is what the gradients of others
//! are held to.

use candle_core::{DType, Device, Result, Tensor, Var, bail};

use super::{BatchNorm, Parameter, Pass, Trainable, TrainableError, operations};
use crate::inception::{Border, Convolution, FreezePoint, Network, NodeId, Op};
use crate::weights::{ConvolutionWeights, Weights};

/// The nodes past a border, their tensors, and a device.
pub struct Plain {
    network: Network,
    border: Border,
    batch_norm: BatchNorm,
    /// By node; `None` for nodes before the border and for those without weights.
    convolutions: Vec<Option<Layer>>,
    /// By node, the last node that reads it: after that its activations are let go.
    last_readers: Vec<NodeId>,
    parameters: Vec<Parameter>,
    /// By parameter.
    trained: Vec<Trained>,
    statistics: Vec<Parameter>,
    /// The features of the last pass to learn from, with the graph behind them.
    last: Option<Tensor>,
    device: Device,
    dtype: DType,
}

/// A convolution with its batch norm. Tensors that are trained are those of variables, and change with them.
struct Layer {
    shape: Convolution,
    /// `[out, in, height, width]`.
    kernel: Tensor,
    gamma: Option<Tensor>,
    beta: Tensor,
    /// Mean and variance.
    running: [Tensor; 2],
    /// Whether the batch's statistics take the place of the running ones while training, and with which momentum.
    follows: Option<f64>,
}

struct Trained {
    variable: Var,
    /// The sum since a rule last set it to zero.
    gradient: Option<Tensor>,
}

impl Plain {
    /// Prepares the part of a network past a freeze point. Arithmetic is in `dtype`, float32 or float64, and so are features;
    /// the flat vectors are float32 either way.
    ///
    /// # Errors
    /// Where the network has no such freeze point or the weights are of another variant; those of candle.
    pub fn new(
        network: &Network,
        weights: &Weights,
        freeze: &FreezePoint,
        batch_norm: BatchNorm,
        device: &Device,
        dtype: DType,
    ) -> std::result::Result<Self, TrainableError> {
        if weights.variant() != network.variant() {
            return Err(TrainableError::Variant { network: network.variant(), weights: weights.variant() });
        }
        let mut plain = Self {
            border: Border::new(network, freeze)?,
            batch_norm,
            convolutions: Vec::new(),
            last_readers: (0..network.nodes().len()).collect(),
            parameters: Vec::new(),
            trained: Vec::new(),
            statistics: Vec::new(),
            last: None,
            device: device.clone(),
            dtype,
            network: network.clone(),
        };
        plain.convolutions.resize_with(network.nodes().len(), || None);
        for node in plain.border.past().to_vec() {
            let description = &network.nodes()[node];
            description.inputs.iter().for_each(|&input| plain.last_readers[input] = node);
            if let Op::Convolution(shape) = description.op {
                let Some(numbers) = weights.convolution(&description.name) else {
                    return Err(candle_core::Error::Msg(format!("{} has no weights", description.name)).into());
                };
                plain.convolutions[node] = Some(plain.layer(node, &description.name, shape, numbers)?);
            }
        }
        Ok(plain)
    }

    fn layer(&mut self, node: NodeId, name: &str, shape: Convolution, numbers: &ConvolutionWeights) -> Result<Layer> {
        let [kernel, batch_norm] = [self.border.trains_kernel(node), self.border.trains_batch_norm(node)];
        let follows = match self.batch_norm {
            BatchNorm::Train { momentum } if batch_norm => Some(momentum),
            _ => None,
        };
        let running = [self.tensor(&numbers.mean)?, self.tensor(&numbers.variance)?];
        if follows.is_some() {
            for part in ["running_mean", "running_var"] {
                append(&mut self.statistics, format!("{name}.bn.{part}"), numbers.mean.dims());
            }
        }
        let gamma = numbers.gamma.as_ref().filter(|_| shape.gamma);
        Ok(Layer {
            shape,
            kernel: self.parameter(kernel, format!("{name}.conv.weight"), &numbers.kernel)?,
            gamma: gamma.map(|gamma| self.parameter(batch_norm, format!("{name}.bn.weight"), gamma)).transpose()?,
            beta: self.parameter(batch_norm, format!("{name}.bn.bias"), &numbers.beta)?,
            running,
            follows,
        })
    }

    /// The tensor on the device; where it is trained, that of a new variable.
    fn parameter(&mut self, is_trained: bool, name: String, numbers: &Tensor) -> Result<Tensor> {
        let tensor = self.tensor(numbers)?;
        if !is_trained {
            return Ok(tensor);
        }
        append(&mut self.parameters, name, numbers.dims());
        let variable = Var::from_tensor(&tensor)?;
        let tensor = variable.as_tensor().clone();
        self.trained.push(Trained { variable, gradient: None });
        Ok(tensor)
    }

    fn tensor(&self, numbers: &Tensor) -> Result<Tensor> {
        numbers.to_device(&self.device)?.to_dtype(self.dtype)
    }

    /// The results of the nodes that cross, by node.
    fn crossing(&self, maps: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
        let groups = self.border.groups();
        if maps.len() != groups.len() {
            bail!("{} groups of maps cross the border, these are {}", groups.len(), maps.len());
        }
        let mut results = vec![None; self.network.nodes().len()];
        for (group, maps) in groups.iter().zip(maps) {
            let channels = maps.dims4()?.3;
            if channels != group.channels {
                bail!("maps of {} channels cross the border, these have {channels}", group.channels);
            }
            let maps = maps.to_dtype(self.dtype)?;
            for &node in &group.nodes {
                if let Some((_, place)) = self.border.place(node) {
                    results[node] = Some(maps.narrow(3, place.start, place.len())?);
                }
            }
        }
        Ok(results)
    }

    fn compute(&mut self, node: NodeId, inputs: &[&Tensor], pass: Pass) -> Result<Tensor> {
        match (self.network.nodes()[node].op, &mut self.convolutions[node]) {
            (Op::Convolution(_), Some(layer)) => layer.compute(inputs[0], pass),
            (Op::MaxPool(window), _) => operations::max_pool(inputs[0], &window),
            (Op::AveragePool { window, counts_padding }, _) => {
                operations::average_pool(inputs[0], &window, counts_padding)
            }
            (Op::Concat, _) => Tensor::cat(inputs, 3),
            (Op::GlobalAverage, _) => operations::global_average(inputs[0]),
            (Op::Input | Op::Convolution(_), _) => bail!("{} is not past the border", self.network.nodes()[node].name),
        }
    }
}

impl Layer {
    fn compute(&mut self, maps: &Tensor, pass: Pass) -> Result<Tensor> {
        // A detached tensor leaves no graph behind.
        let of_pass = |tensor: &Tensor| if pass == Pass::Train { tensor.clone() } else { tensor.detach() };
        let convolved = operations::convolution(maps, &of_pass(&self.kernel), &self.shape.window)?;
        let (gamma, beta) = (self.gamma.as_ref().map(of_pass), of_pass(&self.beta));
        let normalised = match self.follows.filter(|_| pass == Pass::Train) {
            None => {
                let [mean, variance] = &self.running;
                operations::batch_norm(&convolved, [mean, variance], gamma.as_ref(), &beta)?
            }
            Some(momentum) => {
                let [mean, variance] = operations::batch_statistics(&convolved)?;
                self.follow([&mean, &variance], momentum, convolved.elem_count() / self.shape.out_channels)?;
                operations::batch_norm(&convolved, [&mean, &variance], gamma.as_ref(), &beta)?
            }
        };
        operations::relu(&normalised)
    }

    /// Moves the running statistics towards those of a batch of so many places.
    fn follow(&mut self, [mean, variance]: [&Tensor; 2], momentum: f64, places: usize) -> Result<()> {
        if places < 2 {
            bail!("batch norm needs more than one place to train on: one has no variance");
        }
        let unbiased = (variance.detach() * (places as f64 / (places - 1) as f64))?;
        for (running, batch) in self.running.iter_mut().zip([mean.detach(), unbiased]) {
            *running = ((&*running * (1.0 - momentum))? + (batch * momentum)?)?;
        }
        Ok(())
    }
}

impl Trainable for Plain {
    fn border(&self) -> &Border {
        &self.border
    }

    fn features(&mut self, maps: &[Tensor], pass: Pass) -> Result<Tensor> {
        let mut results = self.crossing(maps)?;
        for node in self.border.past().to_vec() {
            let inputs = self.network.nodes()[node].inputs.clone();
            let tensors: Vec<Tensor> = inputs.iter().filter_map(|&input| results[input].clone()).collect();
            results[node] = Some(self.compute(node, &tensors.iter().collect::<Vec<_>>(), pass)?);
            for &input in inputs.iter().filter(|&&input| self.last_readers[input] == node) {
                results[input] = None;
            }
        }
        let Some(features) = results.pop().flatten() else { bail!("a network without nodes") };
        // Where all is frozen they have crossed as maps of one place.
        let features = if features.rank() == 4 { operations::global_average(&features)? } else { features };
        let detached = features.detach();
        if pass == Pass::Train {
            self.last = Some(features);
        }
        Ok(detached)
    }

    fn backward(&mut self, by_features: &Tensor) -> Result<()> {
        let Some(features) = self.last.take() else { bail!("there is no pass to go back through") };
        // The gradient of this sum by the features is `by_features`.
        let gradients = (features * by_features.to_dtype(self.dtype)?)?.sum_all()?.backward()?;
        for trained in &mut self.trained {
            let Some(new) = gradients.get(&trained.variable) else { continue };
            trained.gradient = Some(match &trained.gradient {
                Some(sum) => (sum + new)?,
                None => new.clone(),
            });
        }
        Ok(())
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn update(&mut self, rule: &mut dyn FnMut(&mut [f32], &mut [f32])) -> Result<()> {
        let length = self.parameters.last().map_or(0, |last| last.range.end);
        let (mut values, mut gradients) = (vec![0.0; length], vec![0.0; length]);
        for (parameter, trained) in self.parameters.iter().zip(&self.trained) {
            values[parameter.range.clone()].copy_from_slice(&numbers(&trained.variable)?);
            if let Some(gradient) = &trained.gradient {
                gradients[parameter.range.clone()].copy_from_slice(&numbers(gradient)?);
            }
        }
        rule(&mut values, &mut gradients);
        for (parameter, trained) in self.parameters.iter().zip(&mut self.trained) {
            let tensor = |numbers: &[f32]| {
                Tensor::from_slice(numbers, parameter.shape.as_slice(), &self.device)?.to_dtype(self.dtype)
            };
            trained.variable.set(&tensor(&values[parameter.range.clone()])?)?;
            let gradient = &gradients[parameter.range.clone()];
            let is_zero = gradient.iter().all(|&number| number == 0.0);
            trained.gradient = if is_zero { None } else { Some(tensor(gradient)?) };
        }
        Ok(())
    }

    fn update_statistics(&mut self, rule: &mut dyn FnMut(&mut [f32])) -> Result<()> {
        let followers = self.convolutions.iter_mut().flatten().filter(|layer| layer.follows.is_some());
        let running: Vec<&mut Tensor> = followers.flat_map(|layer| &mut layer.running).collect();
        let mut values = vec![0.0; self.statistics.last().map_or(0, |last| last.range.end)];
        for (statistic, tensor) in self.statistics.iter().zip(&running) {
            values[statistic.range.clone()].copy_from_slice(&numbers(tensor)?);
        }
        rule(&mut values);
        for (statistic, tensor) in self.statistics.iter().zip(running) {
            let numbers = &values[statistic.range.clone()];
            *tensor = Tensor::from_slice(numbers, numbers.len(), &self.device)?.to_dtype(self.dtype)?;
        }
        Ok(())
    }

    fn statistics(&self) -> &[Parameter] {
        &self.statistics
    }

    fn device(&self) -> &Device {
        &self.device
    }
}

/// Lays a tensor behind those that are there.
fn append(parameters: &mut Vec<Parameter>, name: String, shape: &[usize]) {
    let begin = parameters.last().map_or(0, |last| last.range.end);
    let length: usize = shape.iter().product();
    parameters.push(Parameter { name, shape: shape.to_vec(), range: begin..begin + length });
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}
