//! Nodes that a map goes into.

use std::rc::Rc;

use super::node::{Because, Node, constant, of_axes};
use super::{Arithmetic, Axis, Constant, Op, StepId, Trace, Value};
use crate::onnx::numbers::Numbers;

type Axes = Rc<[Axis]>;

/// Averages over windows this wide are over the whole of the last map.
const LAST_SIDE: usize = 8;

impl Trace<'_> {
    /// What a node gives that a map goes into.
    pub(super) fn map(&mut self, node: &Node<'_>, output: usize, inputs: &[Option<Value>]) -> Result<Value, Because> {
        let op = node.proto.op_type.as_str();
        if op == "Shape" || op == "Size" {
            return Ok(Value::Shape);
        }
        if op == "Concat" {
            return self.concat(node, inputs);
        }
        let (x, axes, at) = single_map(inputs)?;
        if op == "Split" {
            return self.split(node, output, inputs, x, &axes);
        }
        if output > 0 {
            return Err("more than the first of its results is used");
        }
        let same = |step| Ok(Value::Map { step, axes: Rc::clone(&axes) });
        match op {
            "Identity" | "Cast" | "Dropout" => same(x),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node, inputs, x, &axes, at),
            "Relu" => same(self.push(node, Op::Relu, vec![x])),
            "Clip" | "Max" => {
                require_relu(node, inputs, at)?;
                same(self.push(node, Op::Relu, vec![x]))
            }
            "Softmax" => same(self.push(node, Op::Softmax, vec![x])),
            "Conv" => self.convolution(node, inputs, x, &axes),
            "BatchNormalization" => self.batch_norm(node, inputs, x, &axes),
            "MaxPool" | "AveragePool" => self.pool(node, x, &axes),
            "GlobalAveragePool" => {
                require_channels_first(&axes)?;
                same(self.push(node, Op::GlobalAverage, vec![x]))
            }
            "ReduceMean" => self.mean(node, inputs, x, &axes),
            "Transpose" => transposed(node, x, &axes),
            "Flatten" | "Reshape" | "Squeeze" => self.flattened(x, &axes),
            "Unsqueeze" => unsqueezed(node, inputs, x, &axes),
            "Gather" => self.gather(node, inputs, x, &axes),
            "Slice" => self.slice(node, inputs, x, &axes),
            "Pad" => self.pad(node, inputs, x, &axes),
            "Gemm" | "MatMul" => self.linear(node, inputs, x, &axes),
            _ => Err("it is no operator that this network has"),
        }
    }

    fn concat(&mut self, node: &Node<'_>, inputs: &[Option<Value>]) -> Result<Value, Because> {
        let mut steps = Vec::with_capacity(inputs.len().min(64));
        let mut shared: Option<&Axes> = None;
        for input in inputs.iter().flatten() {
            let Value::Map { step, axes } = input else { return Err("it puts a map and a constant together") };
            if shared.is_some_and(|shared| shared != axes) {
                return Err("it puts maps of different layouts together");
            }
            shared = Some(axes);
            steps.push(*step);
        }
        let axes = shared.ok_or("it puts nothing together")?;
        if axis_at(axes, node.int("axis", 1)) != Some(Axis::Channels) {
            return Err("it does not put channels together");
        }
        Ok(Value::Map { step: self.push(node, Op::Concat, steps), axes: Rc::clone(axes) })
    }

    fn convolution(
        &mut self,
        node: &Node<'_>,
        inputs: &[Option<Value>],
        x: StepId,
        axes: &Axes,
    ) -> Result<Value, Because> {
        require_channels_first(axes)?;
        let kernel = constant(inputs, 1)?;
        let [_, _, height, width] = kernel.shape()[..] else { return Err("its kernel has not four axes") };
        if node.int("group", 1) != 1 {
            return Err("its channels are in groups");
        }
        let window = node.window([height, width])?;
        let mut step = self.push(node, Op::Convolution { kernel: kernel.clone(), window }, vec![x]);
        if matches!(inputs.get(2), Some(Some(_))) {
            let by = row(constant(inputs, 2)?)?;
            step = self.push(node, Op::Arithmetic { operation: Arithmetic::Plus, by }, vec![step]);
        }
        Ok(Value::Map { step, axes: Rc::clone(axes) })
    }

    fn batch_norm(
        &mut self,
        node: &Node<'_>,
        inputs: &[Option<Value>],
        x: StepId,
        axes: &Axes,
    ) -> Result<Value, Because> {
        if axes.get(1) != Some(&Axis::Channels) {
            return Err("it normalises something else than channels");
        }
        if node.int("training_mode", 0) != 0 {
            return Err("it is for training: export the network in evaluation mode");
        }
        let part = |at: usize| row(constant(inputs, at)?);
        let (gamma, beta, mean, variance) = (part(1)?, part(2)?, part(3)?, part(4)?);
        let op = Op::BatchNorm { gamma, beta, mean, variance, epsilon: f64::from(node.float("epsilon", 1e-5)) };
        Ok(Value::Map { step: self.push(node, op, vec![x]), axes: Rc::clone(axes) })
    }

    /// With a constant of one number, or of one for each channel.
    fn arithmetic(
        &mut self,
        node: &Node<'_>,
        inputs: &[Option<Value>],
        x: StepId,
        axes: &Axes,
        at: usize,
    ) -> Result<Value, Because> {
        let operation = match (node.proto.op_type.as_str(), at) {
            ("Add", _) => Arithmetic::Plus,
            ("Mul", _) => Arithmetic::Times,
            ("Sub", 0) => Arithmetic::Minus,
            ("Sub", _) => Arithmetic::MinusFrom,
            (_, 0) => Arithmetic::Over,
            _ => return Err("it divides by a map"),
        };
        let by = match inputs.get(1 - at) {
            Some(Some(Value::Constant(constant))) => {
                constant.few().ok_or("its constant is larger than channels are")?
            }
            _ => return Err("what it computes with is not constant"),
        };
        let is_by_channel = || {
            let lengths = by.shape.iter().rev().zip(axes.iter().rev());
            by.shape.len() <= axes.len() && lengths.into_iter().all(|(&len, &axis)| len == 1 || axis == Axis::Channels)
        };
        if by.single().is_none() && !is_by_channel() {
            return Err("its constant differs along another axis than the channels");
        }
        let op = Op::Arithmetic { operation, by: Rc::clone(by) };
        Ok(Value::Map { step: self.push(node, op, vec![x]), axes: Rc::clone(axes) })
    }

    fn pool(&mut self, node: &Node<'_>, x: StepId, axes: &Axes) -> Result<Value, Because> {
        require_channels_first(axes)?;
        let window = node.window(node.kernel_shape()?)?;
        let is_whole = window.kernel == [LAST_SIDE; 2] && window.padding == [0, 0];
        let op = match node.proto.op_type.as_str() {
            "MaxPool" => Op::MaxPool(window),
            _ if is_whole => Op::GlobalAverage,
            _ => Op::AveragePool { window, counts_padding: node.int("count_include_pad", 0) != 0 },
        };
        Ok(Value::Map { step: self.push(node, op, vec![x]), axes: Rc::clone(axes) })
    }

    fn mean(&mut self, node: &Node<'_>, inputs: &[Option<Value>], x: StepId, axes: &Axes) -> Result<Value, Because> {
        let over = node.ints_or_input("axes", inputs, 1).ok_or("over which axes it is a mean is not constant")?;
        let is_over = |at: usize| over.iter().any(|&axis| position(axes, axis) == Some(at));
        let is_spatial = |axis: Axis| matches!(axis, Axis::Height | Axis::Width);
        if axes.len() != 4 || !axes.iter().enumerate().all(|(at, &axis)| is_over(at) == is_spatial(axis)) {
            return Err("it is no mean over height and width");
        }
        let step = self.push(node, Op::GlobalAverage, vec![x]);
        let keeps = node.int("keepdims", 1) != 0;
        let axes = if keeps { Rc::clone(axes) } else { [Axis::Batch, Axis::Channels].into() };
        Ok(Value::Map { step, axes })
    }

    /// Rows of what was averaged: nothing but the lengths of one is lost, however it is said.
    fn flattened(&mut self, x: StepId, axes: &Axes) -> Result<Value, Because> {
        let is_between = |step: StepId| matches!(self.steps[step].op, Op::Arithmetic { .. } | Op::Softmax);
        let mut steps = std::iter::successors(Some(x), |&step| self.steps[step].inputs.first().copied());
        // A bias and a softmax may be between, and no more.
        let averaged = steps.by_ref().take(4).find(|&step| !is_between(step));
        if !averaged.is_some_and(|step| matches!(self.steps[step].op, Op::GlobalAverage | Op::Linear { .. })) {
            return Err("it changes the shape of a map");
        }
        let flat: Axes = [Axis::Batch, Axis::Channels].into();
        Ok(Value::Map { step: x, axes: if axes.len() == 2 { Rc::clone(axes) } else { flat } })
    }

    /// One channel, its axis gone, or several.
    fn gather(&mut self, node: &Node<'_>, inputs: &[Option<Value>], x: StepId, axes: &Axes) -> Result<Value, Because> {
        let places = constant(inputs, 1)?.few().ok_or("it takes more channels than there are")?;
        if axis_at(axes, node.int("axis", 0)) != Some(Axis::Channels) {
            return Err("it takes something else than channels");
        }
        let step = self.channels(node, x, &places.integers())?;
        let without = || axes.iter().copied().filter(|&axis| axis != Axis::Channels).collect();
        Ok(Value::Map { step, axes: if places.shape.is_empty() { without() } else { Rc::clone(axes) } })
    }

    fn slice(&mut self, node: &Node<'_>, inputs: &[Option<Value>], x: StepId, axes: &Axes) -> Result<Value, Because> {
        let single = |name: &str, at: usize| node.ints_or_input(name, inputs, at).and_then(one);
        let (Some([start]), Some([end]), Some([along])) = (single("starts", 1), single("ends", 2), single("axes", 3))
        else {
            return Err("it cuts along several axes");
        };
        if axis_at(axes, along) != Some(Axis::Channels) || single("steps", 4).is_some_and(|[step]| step != 1) {
            return Err("it cuts something else than channels");
        }
        let from_start = |place: i64| if place < 0 { place.saturating_add(3).max(0) } else { place.min(3) };
        let places: Vec<i64> = (from_start(start)..from_start(end)).collect();
        let step = self.channels(node, x, &places)?;
        Ok(Value::Map { step, axes: Rc::clone(axes) })
    }

    /// Channel by channel.
    fn split(
        &mut self,
        node: &Node<'_>,
        output: usize,
        inputs: &[Option<Value>],
        x: StepId,
        axes: &Axes,
    ) -> Result<Value, Because> {
        let sizes = node.ints_or_input("split", inputs, 1);
        let is_single = sizes.is_none_or(|sizes| sizes.iter().all(|&size| size == 1));
        if axis_at(axes, node.int("axis", 0)) != Some(Axis::Channels) || !is_single || node.proto.output.len() != 3 {
            return Err("it splits something else than an image's channels");
        }
        let step = self.channels(node, x, &[output as i64])?;
        Ok(Value::Map { step, axes: Rc::clone(axes) })
    }

    /// Some channels of the image.
    fn channels(&mut self, node: &Node<'_>, x: StepId, places: &[i64]) -> Result<StepId, Because> {
        let place = |&place: &i64| usize::try_from(if place < 0 { place + 3 } else { place }).ok().filter(|&at| at < 3);
        let places: Option<Vec<usize>> = places.iter().map(place).collect();
        let places = places.filter(|places| (1..=3).contains(&places.len())).ok_or("an image has three channels")?;
        Ok(self.push(node, Op::Channels(places), vec![x]))
    }

    fn pad(&mut self, node: &Node<'_>, inputs: &[Option<Value>], x: StepId, axes: &Axes) -> Result<Value, Because> {
        let mode = node.attribute("mode").map_or(&b"constant"[..], |attribute| &attribute.s);
        if mode != b"constant" || node.float_or_input("value", inputs, 2)?.unwrap_or(0.0) != 0.0 {
            return Err("it pads with something else than zeros");
        }
        let pads = node.ints_or_input("pads", inputs, 1).ok_or("how much it pads is not constant")?;
        let at = |wanted: Axis| axes.iter().position(|&axis| axis == wanted);
        let (Some(height), Some(width)) = (at(Axis::Height), at(Axis::Width)) else { return Err("it pads rows") };
        let padding = of_axes(&pads, height, width, axes.len())?;
        Ok(Value::Map { step: self.push(node, Op::Pad(padding), vec![x]), axes: Rc::clone(axes) })
    }

    fn linear(&mut self, node: &Node<'_>, inputs: &[Option<Value>], x: StepId, axes: &Axes) -> Result<Value, Because> {
        if **axes != [Axis::Batch, Axis::Channels] {
            return Err("it multiplies something else than rows");
        }
        let weight = constant(inputs, 1)?.clone();
        if weight.shape().len() != 2 || !matches!(inputs.first(), Some(Some(Value::Map { .. }))) {
            return Err("it is no product of rows and a matrix");
        }
        let is_scaled = ["alpha", "beta"].iter().any(|name| (node.float(name, 1.0) - 1.0).abs() > 0.0);
        if is_scaled || node.int("transA", 0) != 0 {
            return Err("it is a product that is scaled or transposed");
        }
        let out_first = node.int("transB", 0) != 0;
        let mut step = self.push(node, Op::Linear { weight, out_first }, vec![x]);
        if matches!(inputs.get(2), Some(Some(_))) {
            let by = row(constant(inputs, 2)?)?;
            step = self.push(node, Op::Arithmetic { operation: Arithmetic::Plus, by }, vec![step]);
        }
        Ok(Value::Map { step, axes: Rc::clone(axes) })
    }
}

/// The only map among the inputs, and which input it is.
fn single_map(inputs: &[Option<Value>]) -> Result<(StepId, Axes, usize), Because> {
    let mut maps = inputs.iter().enumerate().filter_map(|(at, input)| match input {
        Some(Value::Map { step, axes }) => Some((*step, Rc::clone(axes), at)),
        _ => None,
    });
    match (maps.next(), maps.next()) {
        (Some(map), None) => Ok(map),
        _ => Err("it brings two maps together"),
    }
}

fn require_channels_first(axes: &Axes) -> Result<(), Because> {
    if **axes == [Axis::Batch, Axis::Channels, Axis::Height, Axis::Width] {
        return Ok(());
    }
    Err("its input is not of batch, channels, height, width")
}

/// Refuses what cuts off elsewhere than at zero.
fn require_relu(node: &Node<'_>, inputs: &[Option<Value>], at: usize) -> Result<(), Because> {
    let is_relu = if node.proto.op_type == "Max" {
        let other = inputs.get(1 - at.min(1)).and_then(Option::as_ref);
        matches!(other, Some(Value::Constant(constant)) if constant.few().and_then(|few| few.single()) == Some(0.0))
    } else {
        let most = node.float_or_input("max", inputs, 2)?;
        node.float_or_input("min", inputs, 1)? == Some(0.0) && most.is_none_or(|most| most >= f64::from(f32::MAX))
    };
    if is_relu { Ok(()) } else { Err("it cuts off elsewhere than at zero") }
}

fn transposed(node: &Node<'_>, x: StepId, axes: &Axes) -> Result<Value, Because> {
    let order = node.ints("perm").ok_or("it turns all axes round")?;
    let moved: Option<Axes> = order.iter().map(|&axis| axis_at(axes, axis)).collect();
    let moved = moved.filter(|moved| moved.len() == axes.len() && axes.iter().all(|axis| moved.contains(axis)));
    Ok(Value::Map { step: x, axes: moved.ok_or("its order is none of the axes")? })
}

/// The axis of a single channel, back again.
fn unsqueezed(node: &Node<'_>, inputs: &[Option<Value>], x: StepId, axes: &Axes) -> Result<Value, Because> {
    let added = node.ints_or_input("axes", inputs, 1).and_then(one).ok_or("it adds several axes")?;
    if axes.contains(&Axis::Channels) {
        return Err("it adds an axis to a whole map");
    }
    let at = usize::try_from(added[0].rem_euclid(axes.len() as i64 + 1)).unwrap_or(0);
    let mut with = axes.to_vec();
    with.insert(at, Axis::Channels);
    Ok(Value::Map { step: x, axes: with.into() })
}

fn one(ints: Vec<i64>) -> Option<[i64; 1]> {
    ints.try_into().ok()
}

/// The position that an axis means, counted from the end where it is negative.
fn position(axes: &Axes, number: i64) -> Option<usize> {
    let from_start = if number < 0 { number.checked_add(axes.len() as i64)? } else { number };
    usize::try_from(from_start).ok().filter(|&at| at < axes.len())
}

fn axis_at(axes: &Axes, number: i64) -> Option<Axis> {
    Some(axes[position(axes, number)?])
}

/// A vector, a number for each channel.
fn row(constant: &Constant) -> Result<Rc<Numbers>, Because> {
    constant.few().cloned().ok_or("its vector is longer than channels are")
}
