//! A convolution between two places, as cuDNN sees it.

use candle_core::DType;
use candle_core::cuda_backend::cudarc::cudnn::sys::{cudnnDataType_t, cudnnPointwiseMode_t};

use super::descriptor::{Attribute, Descriptor, Kind};
use super::graph::{self, Bias, Graph};
use super::handle::Handle;
use super::operation::{self, Operation, data_type};
use crate::engine::cuda::error::Result;
use crate::engine::cuda::map::Shape;
use crate::inception::Window;

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

impl Operation for Convolution {
    fn key(&self) -> String {
        let and = if self.fused { " bias relu" } else { "" };
        operation::key(self.dtype, self.tensor_cores, [self.input, self.output], &self.window, and)
    }

    /// With the bias in float32 and, among float16, rounded like them, since not every engine reads two types.
    fn graphs(&self, handle: &Handle) -> Vec<Result<Graph>> {
        let biases = match (self.fused, self.dtype) {
            (false, _) => vec![None],
            (true, DType::F16) => vec![Some(Bias::Float32), Some(Bias::Rounded)],
            // In bfloat16 rounded biases would make the features' error a third larger.
            (true, _) => vec![Some(Bias::Float32)],
        };
        biases.into_iter().map(|bias| self.graph(handle, bias)).collect()
    }

    fn tensor_cores(&self) -> bool {
        self.tensor_cores
    }
}

impl Convolution {
    fn graph(&self, handle: &Handle, added: Option<Bias>) -> Result<Graph> {
        let float = cudnnDataType_t::CUDNN_DATA_FLOAT;
        let output_dims = self.output.dims();
        let packed = self.output.packed().strides();
        let out_channels = self.output.channels as i64;

        let [rows, columns] = self.window.kernel;
        let input = operation::map(graph::INPUT, self.dtype, self.input)?;
        let kernel = operation::kernel(self.dtype, [self.output.channels, rows, columns, self.input.channels])?;
        let output = operation::map(graph::OUTPUT, self.dtype, self.output)?;
        let window = operation::window(&self.window)?;
        let Some(added) = added else {
            let convolution = forward(&window, [&input, &kernel, &output])?;
            return Graph::new(handle, None, vec![convolution], vec![input, kernel, output, window]);
        };
        let bias_strides = [out_channels, 1, out_channels, out_channels];
        let of_bias = if added == Bias::Float32 { float } else { data_type(self.dtype) };
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
