//! The gradients of a convolution between two places, as cuDNN sees them: each an operation that stands alone.

use candle_core::DType;

use super::descriptor::{Attribute, Descriptor, Kind};
use super::graph::{self, Graph};
use super::handle::Handle;
use super::operation::{self, Operation};
use crate::engine::cuda::error::Result;
use crate::engine::cuda::map::Shape;
use crate::inception::Window;

/// A gradient of a convolution. Of the names in [`graph`] `INPUT`, `KERNEL` and `OUTPUT` it writes the one that it is by, and at `OUTPUT`
/// reads the gradient by the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gradient {
    /// Of activations, their gradients, and the kernel that is read. Products are summed in float32.
    pub dtype: DType,
    /// Whether tensor cores may make 10 bits of float32.
    pub tensor_cores: bool,
    /// The convolution's input, or the gradient by it.
    pub input: Shape,
    /// The gradient by the convolution's output.
    pub output: Shape,
    /// Over what.
    pub window: Window,
    /// By what it is.
    pub by: By,
}

/// What a gradient is by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The input.
    Input,
    /// The kernel.
    Kernel,
}

impl Operation for Gradient {
    fn key(&self) -> String {
        let by = match self.by {
            By::Input => " by input",
            By::Kernel => " by kernel",
        };
        operation::key(self.dtype, self.tensor_cores, [self.input, self.output], &self.window, by)
    }

    /// By the kernel in float32 and, among bfloat16, rounded like them, which more engines write.
    fn graphs(&self, handle: &Handle) -> Vec<Result<Graph>> {
        match (self.by, self.dtype) {
            (By::Input, dtype) => vec![self.graph(handle, dtype)],
            (By::Kernel, DType::F32) => vec![self.graph(handle, DType::F32)],
            (By::Kernel, dtype) => vec![self.graph(handle, DType::F32), self.graph(handle, dtype)],
        }
    }

    fn tensor_cores(&self) -> bool {
        self.tensor_cores
    }
}

impl Gradient {
    fn graph(&self, handle: &Handle, of_kernel: DType) -> Result<Graph> {
        let [rows, columns] = self.window.kernel;
        let input = operation::map(graph::INPUT, self.dtype, self.input)?;
        let kernel = operation::kernel(of_kernel, [self.output.channels, rows, columns, self.input.channels])?;
        let output = operation::map(graph::OUTPUT, self.dtype, self.output)?;
        let window = operation::window(&self.window)?;
        let places = [&input, &kernel, &output];
        match self.by {
            By::Input => {
                let operation = by_input(&window, places)?;
                Graph::new(handle, None, vec![operation], vec![input, kernel, output, window])
            }
            By::Kernel => {
                let operation = by_kernel(&window, places)?;
                let graph = Graph::new(handle, None, vec![operation], vec![input, kernel, output, window])?;
                Ok(graph.writing_kernel(of_kernel))
            }
        }
    }
}

fn by_input(window: &Descriptor, [input, kernel, output]: [&Descriptor; 3]) -> Result<Descriptor> {
    Descriptor::new(Kind::CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, &[window])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, &[input])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, &[kernel])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, &[output])?
        .with(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, &[1.0_f32])?
        .with(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, &[0.0_f32])?
        .finalised()
}

fn by_kernel(window: &Descriptor, [input, kernel, output]: [&Descriptor; 3]) -> Result<Descriptor> {
    Descriptor::new(Kind::CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR)?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, &[window])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, &[input])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, &[kernel])?
        .with_parts(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, &[output])?
        .with(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, &[1.0_f32])?
        .with(Attribute::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, &[0.0_f32])?
        .finalised()
}
