//! An operation graph, and the pieces that it is put together from: tensors, pointwise operations.

use candle_core::DType;
use candle_core::cuda_backend::cudarc::cudnn::sys::{cudnnDataType_t, cudnnPointwiseMode_t};

use super::descriptor::{Attribute, Descriptor, Kind};
use super::handle::Handle;
use crate::engine::cuda::error::Result;

/// Names of tensors, by which they are given their places in memory.
pub const INPUT: i64 = 1;
/// The weights.
pub const KERNEL: i64 = 2;
/// What is added to each channel.
pub const BIAS: i64 = 3;
/// What is written.
pub const OUTPUT: i64 = 4;
/// What the convolution gives and nobody writes down,
pub const SUMS: i64 = 5;
/// and that with the bias.
pub const BIASED: i64 = 6;

/// Bytes that every place in memory is a multiple of.
const ALIGNMENT: i64 = 16;

/// How a bias is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// In float32.
    Float32,
    /// As activations are.
    Rounded,
}

/// Operations, one after the other.
pub struct Graph {
    descriptor: Descriptor,
    bias: Option<Bias>,
    of_kernel: Option<DType>,
    /// What it is of.
    _parts: Vec<Descriptor>,
}

impl Graph {
    /// Puts operations together; `parts` is what they are of.
    pub fn new(
        handle: &Handle,
        bias: Option<Bias>,
        operations: Vec<Descriptor>,
        mut parts: Vec<Descriptor>,
    ) -> Result<Self> {
        let descriptor = Descriptor::new(Kind::CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)?
            .with_handle(Attribute::CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle)?
            .with_parts(Attribute::CUDNN_ATTR_OPERATIONGRAPH_OPS, &operations.iter().collect::<Vec<_>>())?
            .finalised()?;
        parts.extend(operations);
        Ok(Self { descriptor, bias, of_kernel: None, _parts: parts })
    }

    /// The same, writing the gradient by a kernel in this number type.
    #[must_use]
    pub fn writing_kernel(self, dtype: DType) -> Self {
        Self { of_kernel: Some(dtype), ..self }
    }

    /// The number type of the gradient by a kernel, where that is what it writes.
    pub const fn of_kernel(&self) -> Option<DType> {
        self.of_kernel
    }

    /// What it has rounded that others for the same work have in float32, if anything.
    pub fn rounded(&self) -> &'static str {
        match (self.bias, self.of_kernel) {
            (Some(Bias::Rounded), _) => "rounded-bias ",
            (_, Some(dtype)) if dtype != DType::F32 => "rounded-gradient ",
            _ => "",
        }
    }

    /// The bias that it reads, if any.
    pub const fn bias(&self) -> Option<Bias> {
        self.bias
    }

    /// Its descriptor.
    pub const fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
}

/// A tensor [images, channels, height, width] of these strides; a virtual one is never in memory.
pub fn tensor(
    name: i64,
    dtype: cudnnDataType_t,
    dims: [i64; 4],
    strides: [i64; 4],
    is_virtual: bool,
) -> Result<Descriptor> {
    Descriptor::new(Kind::CUDNN_BACKEND_TENSOR_DESCRIPTOR)?
        .with(Attribute::CUDNN_ATTR_TENSOR_UNIQUE_ID, &[name])?
        .with(Attribute::CUDNN_ATTR_TENSOR_DATA_TYPE, &[dtype])?
        .with(Attribute::CUDNN_ATTR_TENSOR_DIMENSIONS, &dims)?
        .with(Attribute::CUDNN_ATTR_TENSOR_STRIDES, &strides)?
        .with(Attribute::CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, &[ALIGNMENT])?
        .with(Attribute::CUDNN_ATTR_TENSOR_IS_VIRTUAL, &[is_virtual])?
        .finalised()
}

/// What is done to each number, in float32.
pub fn pointwise(mode: cudnnPointwiseMode_t) -> Result<Descriptor> {
    Descriptor::new(Kind::CUDNN_BACKEND_POINTWISE_DESCRIPTOR)?
        .with(Attribute::CUDNN_ATTR_POINTWISE_MODE, &[mode])?
        .with(Attribute::CUDNN_ATTR_POINTWISE_MATH_PREC, &[cudnnDataType_t::CUDNN_DATA_FLOAT])?
        .finalised()
}

/// A pointwise operation on two tensors.
pub fn binary(operation: &Descriptor, [left, right, output]: [&Descriptor; 3]) -> Result<Descriptor> {
    Descriptor::new(Kind::CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, &[operation])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_POINTWISE_XDESC, &[left])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_POINTWISE_BDESC, &[right])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_POINTWISE_YDESC, &[output])?
        .finalised()
}

/// A pointwise operation on one tensor.
pub fn unary(operation: &Descriptor, [input, output]: [&Descriptor; 2]) -> Result<Descriptor> {
    Descriptor::new(Kind::CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, &[operation])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_POINTWISE_XDESC, &[input])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_POINTWISE_YDESC, &[output])?
        .finalised()
}
