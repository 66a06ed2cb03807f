//! What an engine is chosen for, and the pieces that convolutions and their gradients have in common.

use candle_core::DType;
use candle_core::cuda_backend::cudarc::cudnn::sys::{cudnnConvolutionMode_t, cudnnDataType_t};

use super::descriptor::{Attribute, Descriptor, Kind};
use super::graph::{self, Graph};
use super::handle::Handle;
use crate::engine::cuda::arithmetic::Arithmetic;
use crate::engine::cuda::error::Result;
use crate::engine::cuda::map::Shape;
use crate::inception::Window;

/// Something that cuDNN has engines for.
pub trait Operation {
    /// Names it: two of one key are the same work on other numbers.
    fn key(&self) -> String;

    /// Describes it to cuDNN, in all ways that there are.
    ///
    /// An error of one is of cuDNN: shapes or strides that it does not take.
    fn graphs(&self, handle: &Handle) -> Vec<Result<Graph>>;

    /// Whether tensor cores may make 10 bits of float32.
    fn tensor_cores(&self) -> bool;
}

/// Number type and window between two shapes, as keys begin.
pub fn key(dtype: DType, tensor_cores: bool, [input, output]: [Shape; 2], window: &Window, and: &str) -> String {
    let numbers = Arithmetic { dtype, tensor_cores }.name();
    let Window { kernel: [rows, columns], stride, padding: [above, left] } = window;
    format!("{numbers} {input} conv {rows}x{columns} stride {stride} padding {above},{left}{and} to {output}")
}

/// cuDNN's name of a number type.
pub const fn data_type(dtype: DType) -> cudnnDataType_t {
    match dtype {
        DType::F16 => cudnnDataType_t::CUDNN_DATA_HALF,
        DType::BF16 => cudnnDataType_t::CUDNN_DATA_BFLOAT16,
        _ => cudnnDataType_t::CUDNN_DATA_FLOAT,
    }
}

/// Activations at their places.
pub fn map(name: i64, dtype: DType, shape: Shape) -> Result<Descriptor> {
    graph::tensor(name, data_type(dtype), shape.dims(), shape.strides(), false)
}

/// A kernel, `[out, height, width, in]` in memory.
pub fn kernel(dtype: DType, [out, rows, columns, channels]: [usize; 4]) -> Result<Descriptor> {
    let [out, rows, columns, channels] = [out, rows, columns, channels].map(|len| len as i64);
    let strides = [rows * columns * channels, 1, columns * channels, channels];
    graph::tensor(graph::KERNEL, data_type(dtype), [out, channels, rows, columns], strides, false)
}

/// A window, summed in float32.
pub fn window(window: &Window) -> Result<Descriptor> {
    let padding = window.padding.map(|len| len as i64);
    Descriptor::new(Kind::CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)?
        .with(Attribute::CUDNN_ATTR_CONVOLUTION_COMP_TYPE, &[cudnnDataType_t::CUDNN_DATA_FLOAT])?
        .with(Attribute::CUDNN_ATTR_CONVOLUTION_CONV_MODE, &[cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION])?
        .with(Attribute::CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, &[2_i64])?
        .with(Attribute::CUDNN_ATTR_CONVOLUTION_DILATIONS, &[1_i64, 1])?
        .with(Attribute::CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, &[window.stride as i64; 2])?
        .with(Attribute::CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, &padding)?
        .with(Attribute::CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, &padding)?
        .finalised()
}
