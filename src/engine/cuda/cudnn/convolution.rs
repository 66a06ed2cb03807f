//! A convolution between two places, as cuDNN sees it.

use candle_core::DType;

use super::descriptor::{Attribute, Descriptor, Kind};
use super::graph::{self, Bias, Graph};
use super::handle::Handle;
use crate::engine::cuda::arithmetic::Arithmetic;
use crate::engine::cuda::error::Result;
use crate::engine::cuda::map::Shape;
use crate::inception::Window;
use candle_core::cuda_backend::cudarc::cudnn::sys::{cudnnConvolutionMode_t, cudnnDataType_t, cudnnPointwiseMode_t};

/// All that decides what is computed, but for the numbers and where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Of input, weights and output. Products are summed in float32.
    pub dtype: DType,
    /// Whether tensor cores may make 10 bits of float32.
    pub tensor_cores: bool,
    /// What is read.
    pub input: Shape,
    /// What is written.
    pub output: Shape,
    /// Over what.
    pub window: Window,
    /// Whether bias and ReLU follow.
    pub fused: bool,
}

impl Convolution {
    /// Names it: two of one key are the same work on other numbers.
    pub fn key(&self) -> String {
        let numbers = Arithmetic { dtype: self.dtype, tensor_cores: self.tensor_cores }.name();
        let Window { kernel: [rows, columns], stride, padding: [above, left] } = self.window;
        let and = if self.fused { " bias relu" } else { "" };
        format!(
            "{numbers} {} conv {rows}x{columns} stride {stride} padding {above},{left}{and} to {}",
            self.input, self.output
        )
    }

    /// Describes it to cuDNN, in all ways that there are: with the bias in float32 and, among float16, rounded like
    /// them, since not every engine reads two types.
    ///
    /// An error of one is of cuDNN: shapes or strides that it does not take.
    pub fn graphs(&self, handle: &Handle) -> Vec<Result<Graph>> {
        let biases = match (self.fused, self.dtype) {
            (false, _) => vec![None],
            (true, DType::F16) => vec![Some(Bias::Float32), Some(Bias::Rounded)],
            // In bfloat16 rounded biases would make the features' error a third larger.
            (true, _) => vec![Some(Bias::Float32)],
        };
        biases.into_iter().map(|bias| self.graph(handle, bias)).collect()
    }

    fn graph(&self, handle: &Handle, added: Option<Bias>) -> Result<Graph> {
        let float = cudnnDataType_t::CUDNN_DATA_FLOAT;
        let dtype = match self.dtype {
            DType::F16 => cudnnDataType_t::CUDNN_DATA_HALF,
            DType::BF16 => cudnnDataType_t::CUDNN_DATA_BFLOAT16,
            _ => float,
        };
        let [images, out_channels] = [self.output.images, self.output.channels].map(|len| len as i64);
        let [height, width] = self.output.size.map(|len| len as i64);
        let packed = [height * width * out_channels, 1, width * out_channels, out_channels];
        let output_dims = [images, out_channels, height, width];
        let [rows, columns] = self.window.kernel.map(|len| len as i64);
        let in_channels = self.input.channels as i64;

        let input = graph::tensor(graph::INPUT, dtype, self.input.dims(), self.input.strides(), false)?;
        let kernel_strides = [rows * columns * in_channels, 1, columns * in_channels, in_channels];
        let kernel_dims = [out_channels, in_channels, rows, columns];
        let kernel = graph::tensor(graph::KERNEL, dtype, kernel_dims, kernel_strides, false)?;
        let output = graph::tensor(graph::OUTPUT, dtype, self.output.dims(), self.output.strides(), false)?;
        let window = self.window(float)?;
        let Some(added) = added else {
            let convolution = forward(&window, [&input, &kernel, &output])?;
            return Graph::new(handle, None, vec![convolution], vec![input, kernel, output, window]);
        };
        let bias_strides = [out_channels, 1, out_channels, out_channels];
        let of_bias = if added == Bias::Float32 { float } else { dtype };
        let bias = graph::tensor(graph::BIAS, of_bias, [1, out_channels, 1, 1], bias_strides, false)?;
        let sums = graph::tensor(graph::SUMS, float, output_dims, packed, true)?;
        let biased = graph::tensor(graph::BIASED, float, output_dims, packed, true)?;
        let add = graph::pointwise(cudnnPointwiseMode_t::CUDNN_POINTWISE_ADD)?;
        let relu = graph::pointwise(cudnnPointwiseMode_t::CUDNN_POINTWISE_RELU_FWD)?;
        let operations = vec![
            forward(&window, [&input, &kernel, &sums])?,
            graph::binary(&add, [&sums, &bias, &biased])?,
            graph::unary(&relu, [&biased, &output])?,
        ];
        Graph::new(handle, Some(added), operations, vec![input, kernel, bias, output, sums, biased, window, add, relu])
    }

    fn window(&self, compute: cudnnDataType_t) -> Result<Descriptor> {
        let padding = self.window.padding.map(|len| len as i64);
        Descriptor::new(Kind::CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)?
            .with(Attribute::CUDNN_ATTR_CONVOLUTION_COMP_TYPE, &[compute])?
            .with(Attribute::CUDNN_ATTR_CONVOLUTION_CONV_MODE, &[cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION])?
            .with(Attribute::CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, &[2_i64])?
            .with(Attribute::CUDNN_ATTR_CONVOLUTION_DILATIONS, &[1_i64, 1])?
            .with(Attribute::CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, &[self.window.stride as i64; 2])?
            .with(Attribute::CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, &padding)?
            .with(Attribute::CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, &padding)?
            .finalised()
    }
}

fn forward(window: &Descriptor, [input, kernel, output]: [&Descriptor; 3]) -> Result<Descriptor> {
    Descriptor::new(Kind::CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, &[window])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, &[input])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, &[kernel])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, &[output])?
        .with(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, &[1.0_f32])?
        .with(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, &[0.0_f32])?
        .finalised()
}
