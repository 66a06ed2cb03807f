//! Nodes that only constants go into: weights brought into another layout, a batch norm's arithmetic written out.

use std::rc::Rc;

use super::node::{Because, Node};
use super::{Trace, Value};
use crate::onnx::OnnxError;
use crate::onnx::external::ExternalFiles;
use crate::onnx::numbers::{MOST_AXES, Numbers, Stored, transposed};

/// Numbers that are known.
#[derive(Clone, Debug)]
pub(in crate::onnx) enum Constant {
    /// Few enough to compute with.
    Few(Rc<Numbers>),
    /// A large kernel: as it lies in the file, and the order in which its axes are to be read. Nothing is moved before it is known to be a
    /// part of the network.
    Many { shape: Rc<[usize]>, values: Rc<[f32]>, order: Rc<[usize]> },
}

impl Constant {
    pub(super) fn stored(stored: &Stored<'_>) -> Self {
        match stored.small() {
            Some(numbers) => Self::Few(Rc::new(numbers)),
            None => Self::Many {
                shape: stored.shape.clone().into(),
                values: stored.floats().into(),
                order: (0..stored.shape.len()).collect(),
            },
        }
    }

    pub(in crate::onnx) fn few(&self) -> Option<&Rc<Numbers>> {
        if let Self::Few(numbers) = self { Some(numbers) } else { None }
    }

    pub(in crate::onnx) fn shape(&self) -> Vec<usize> {
        match self {
            Self::Few(numbers) => numbers.shape.clone(),
            Self::Many { shape, order, .. } => order.iter().map(|&axis| shape[axis]).collect(),
        }
    }

    /// All numbers as float32.
    pub(in crate::onnx) fn floats(&self) -> Vec<f32> {
        match self {
            Self::Few(numbers) => numbers.values.iter().map(|&number| number as f32).collect(),
            Self::Many { shape, values, order } => match transposed(shape, values, order) {
                Some((_, values)) if !order.is_sorted() => values,
                _ => values.to_vec(),
            },
        }
    }

    fn turned(&self, by: &[usize]) -> Option<Self> {
        match self {
            Self::Few(numbers) => {
                let (shape, values) = transposed(&numbers.shape, &numbers.values, by)?;
                Some(Self::Few(Rc::new(Numbers { shape, values })))
            }
            Self::Many { shape, values, order } => {
                let order: Option<Rc<[usize]>> = by.iter().map(|&axis| order.get(axis).copied()).collect();
                let is_order = by.len() == shape.len() && (0..by.len()).all(|axis| by.contains(&axis));
                let (shape, values) = (Rc::clone(shape), Rc::clone(values));
                is_order.then_some(Self::Many { shape, values, order: order? })
            }
        }
    }

    fn reshaped(&self, to: Vec<usize>) -> Option<Self> {
        let count = to.iter().try_fold(1_usize, |count, &dim| count.checked_mul(dim))?;
        match self {
            Self::Few(numbers) if numbers.values.len() == count => {
                Some(Self::Few(Rc::new(Numbers { shape: to, values: numbers.values.clone() })))
            }
            Self::Many { values, order, .. } if values.len() == count && order.is_sorted() => {
                Some(Self::Many { order: (0..to.len()).collect(), shape: to.into(), values: Rc::clone(values) })
            }
            _ => None,
        }
    }
}

impl<'a> Trace<'a> {
    /// What a node gives that no map goes into.
    pub(super) fn constant(
        &mut self,
        node: &Node<'a>,
        inputs: &[Option<Value>],
        beside: &mut ExternalFiles,
    ) -> Result<Result<Value, Because>, OnnxError> {
        if node.proto.op_type == "Constant" {
            return written_out(node, beside);
        }
        if inputs.iter().flatten().any(|input| matches!(input, Value::Shape)) {
            return Ok(Ok(Value::Shape));
        }
        let value = self.computed(node, inputs).ok_or("it is not followed on constants");
        Ok(value.map(Value::Constant))
    }

    fn computed(&mut self, node: &Node<'_>, inputs: &[Option<Value>]) -> Option<Constant> {
        let of = |at: usize| match inputs.get(at) {
            Some(Some(Value::Constant(constant))) => Some(constant),
            _ => None,
        };
        let x = of(0)?;
        let both = |f: fn(f64, f64) -> f64| x.few()?.zip(of(1)?.few()?, f).map(|y| Constant::Few(Rc::new(y)));
        let each = |f: fn(f64) -> f64| Some(Constant::Few(Rc::new(x.few()?.map(f))));
        let y = match node.proto.op_type.as_str() {
            "Identity" | "Cast" | "Dropout" => return Some(x.clone()),
            "Add" => both(|a, b| a + b),
            "Sub" => both(|a, b| a - b),
            "Mul" => both(|a, b| a * b),
            "Div" => both(|a, b| a / b),
            "Pow" => both(f64::powf),
            "Sqrt" => each(f64::sqrt),
            "Reciprocal" => each(f64::recip),
            "Neg" => each(|x| -x),
            "Transpose" => {
                let reversed = || (0..x.shape().len() as i64).rev().collect();
                let order: Vec<i64> = node.ints("perm").map_or_else(reversed, <[i64]>::to_vec);
                let order: Option<Vec<usize>> = order.into_iter().map(|axis| usize::try_from(axis).ok()).collect();
                x.turned(&order?)
            }
            "Reshape" => x.reshaped(target(&x.shape(), &of(1)?.few()?.integers())?),
            "Unsqueeze" | "Squeeze" => {
                let axes = node.ints_or_input("axes", inputs, 1);
                x.reshaped(if node.proto.op_type == "Squeeze" {
                    squeezed(&x.shape(), axes.as_deref())
                } else {
                    unsqueezed(&x.shape(), &axes?)?
                })
            }
            _ => None,
        }?;
        // Whatever is computed is counted; kernels are only looked at in another order.
        self.computable = self.computable.checked_sub(y.few().map_or(0, |few| few.values.len()))?;
        Some(y)
    }
}

/// `Constant`: a tensor, or numbers as attributes.
fn written_out(node: &Node<'_>, beside: &mut ExternalFiles) -> Result<Result<Value, Because>, OnnxError> {
    let few = |numbers: Numbers| Ok(Ok(Value::Constant(Constant::Few(Rc::new(numbers)))));
    if let Some(tensor) = node.attribute("value").and_then(|attribute| attribute.t.as_deref()) {
        return Ok(Ok(Value::Constant(Constant::stored(&Stored::new(tensor, beside)?))));
    }
    for attribute in &node.proto.attribute {
        match attribute.name.as_str() {
            "value_float" => return few(Numbers::scalar(f64::from(attribute.f))),
            "value_int" => return few(Numbers::scalar(attribute.i as f64)),
            "value_floats" => return few(Numbers::row(attribute.floats.iter().map(|&x| f64::from(x)).collect())),
            "value_ints" => return few(Numbers::row(attribute.ints.iter().map(|&x| x as f64).collect())),
            _ => {}
        }
    }
    Ok(Err("it is a constant that is no tensor"))
}

/// The shape that `Reshape` makes of another.
fn target(shape: &[usize], to: &[i64]) -> Option<Vec<usize>> {
    let count: usize = shape.iter().product();
    let dim = |(at, &dim): (usize, &i64)| match dim {
        0 => shape.get(at).copied(),
        -1 => Some(1),
        dim => usize::try_from(dim).ok(),
    };
    let mut to_shape: Vec<usize> = to.iter().enumerate().map(dim).collect::<Option<_>>()?;
    if let Some(open) = to.iter().position(|&dim| dim == -1) {
        let rest = to_shape.iter().try_fold(1_usize, |count, &dim| count.checked_mul(dim))?;
        to_shape[open] = count.checked_div(rest)?;
    }
    (to_shape.len() <= MOST_AXES).then_some(to_shape)
}

fn squeezed(shape: &[usize], axes: Option<&[i64]>) -> Vec<usize> {
    let rank = shape.len() as i64;
    let goes =
        |at: usize| axes.map_or(shape[at] == 1, |axes| axes.iter().any(|axis| axis.rem_euclid(rank) == at as i64));
    (0..shape.len()).filter(|&at| !goes(at)).map(|at| shape[at]).collect()
}

fn unsqueezed(shape: &[usize], axes: &[i64]) -> Option<Vec<usize>> {
    let rank = shape.len() + axes.len();
    if rank > MOST_AXES {
        return None;
    }
    let is_new = |at: usize| axes.iter().any(|axis| axis.rem_euclid(rank as i64) == at as i64);
    let mut old = shape.iter().copied();
    (0..rank).map(|at| if is_new(at) { Some(1) } else { old.next() }).collect()
}
