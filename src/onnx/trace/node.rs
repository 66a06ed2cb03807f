//! Attributes of a node, and what moved from attributes to inputs as operators aged.

use super::{Constant, Value};
use crate::inception::Window;
use crate::onnx::proto::{AttributeProto, NodeProto};

/// A node and its position in the graph.
pub(super) struct Node<'a> {
    pub(super) proto: &'a NodeProto,
    pub(super) position: usize,
}

/// Why a node is not followed.
pub(super) type Because = &'static str;

impl Node<'_> {
    pub(super) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn int(&self, name: &str, otherwise: i64) -> i64 {
        self.attribute(name).map_or(otherwise, |attribute| attribute.i)
    }

    pub(super) fn float(&self, name: &str, otherwise: f32) -> f32 {
        self.attribute(name).map_or(otherwise, |attribute| attribute.f)
    }

    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| &attribute.ints[..])
    }

    /// Integers that are an attribute in older operator sets and input `at` in newer ones.
    pub(super) fn ints_or_input(&self, name: &str, inputs: &[Option<Value>], at: usize) -> Option<Vec<i64>> {
        match (self.ints(name), inputs.get(at)) {
            (Some(ints), _) => Some(ints.to_vec()),
            (None, Some(Some(Value::Constant(constant)))) => Some(constant.few()?.integers()),
            _ => None,
        }
    }

    /// Likewise a number.
    pub(super) fn float_or_input(
        &self,
        name: &str,
        inputs: &[Option<Value>],
        at: usize,
    ) -> Result<Option<f64>, Because> {
        if let Some(attribute) = self.attribute(name) {
            return Ok(Some(f64::from(attribute.f)));
        }
        match inputs.get(at) {
            None | Some(None) => Ok(None),
            Some(Some(Value::Constant(constant))) => {
                let single = constant.few().and_then(|numbers| numbers.single());
                single.map(Some).ok_or("one of its bounds is no number")
            }
            Some(Some(_)) => Err("one of its bounds is not constant"),
        }
    }

    /// The window of a convolution or a pool. `kernel` is `[height, width]`.
    pub(super) fn window(&self, kernel: [usize; 2]) -> Result<Window, Because> {
        if self.ints("dilations").is_some_and(|dilations| dilations.iter().any(|&dilation| dilation != 1)) {
            return Err("its window is dilated");
        }
        if self.int("ceil_mode", 0) != 0 {
            return Err("its last windows may reach past the map (ceil_mode)");
        }
        let stride = match self.ints("strides") {
            None => 1,
            Some(&[vertical, horizontal]) if vertical == horizontal => {
                usize::try_from(vertical).ok().filter(|&stride| stride > 0).ok_or("its stride is none")?
            }
            Some(_) => return Err("its strides differ"),
        };
        let auto_pad = self.attribute("auto_pad").map_or(&b""[..], |attribute| &attribute.s);
        let padding = match (auto_pad, self.ints("pads")) {
            (b"VALID", _) | (b"" | b"NOTSET", None) => [0, 0],
            // Of odd kernels at stride 1, as much on either side.
            (b"SAME_UPPER" | b"SAME_LOWER", _) if stride == 1 && kernel.iter().all(|side| side % 2 == 1) => {
                kernel.map(|side| side / 2)
            }
            (b"" | b"NOTSET", Some(pads)) => symmetric(pads)?,
            _ => return Err("how it pads is not known"),
        };
        Ok(Window { kernel, stride, padding })
    }

    /// `[height, width]` of a pool's window.
    pub(super) fn kernel_shape(&self) -> Result<[usize; 2], Because> {
        match self.ints("kernel_shape") {
            Some(&[height, width]) if height > 0 && width > 0 => Ok([height as usize, width as usize]),
            _ => Err("its window is not one of height and width"),
        }
    }
}

/// `[above and below, left and right]` of `[above, left, below, right]`.
fn symmetric(pads: &[i64]) -> Result<[usize; 2], Because> {
    match *pads {
        [above, left, below, right] if above == below && left == right && above >= 0 && left >= 0 => {
            Ok([above as usize, left as usize])
        }
        _ => Err("it pads one side more than the other"),
    }
}

/// The pads of a map, `[above and below, left and right]`, of those of all its axes: all beginnings, then all ends.
pub(super) fn of_axes(pads: &[i64], height: usize, width: usize, rank: usize) -> Result<[usize; 2], Because> {
    let is_free = |(at, &pad): (usize, &i64)| pad == 0 || at % rank == height || at % rank == width;
    if rank == 0 || pads.len() != 2 * rank || !pads.iter().enumerate().all(is_free) {
        return Err("it pads something else than height and width");
    }
    symmetric(&[pads[height], pads[width], pads[rank + height], pads[rank + width]])
}

/// The constant that an input is.
pub(super) fn constant(inputs: &[Option<Value>], at: usize) -> Result<&Constant, Because> {
    match inputs.get(at) {
        Some(Some(Value::Constant(constant))) => Ok(constant),
        _ => Err("its weights are not constant"),
    }
}
