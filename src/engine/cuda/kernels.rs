//! Our own kernels: `kernels/*.cu`, compiled to PTX by build.rs and further by the driver for the card that is there.
#![expect(unsafe_code, reason = "launches kernels, whose arguments nothing checks but these functions")]

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaFunction, CudaStream, LaunchArgs, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;

use super::arithmetic::Arithmetic;
use super::error::Result;
use super::map::Map;
use crate::image::Normalise;
use crate::inception::Window;

/// Threads of a block.
const BLOCK: u32 = 256;

/// The kernels for one number type.
pub struct Kernels {
    input_bytes: CudaFunction,
    input_floats: CudaFunction,
    max_pool: CudaFunction,
    average_pool: CudaFunction,
    global_average: CudaFunction,
    planes: CudaFunction,
    arithmetic: Arithmetic,
}

/// Pixels on the card, R G B.
#[derive(Clone, Copy, Debug)]
pub enum Pixels {
    /// A byte each.
    Bytes(CUdeviceptr),
    /// A float32 each.
    Floats(CUdeviceptr),
}

/// How a window becomes one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// The largest; padding is never the largest.
    Maximum,
    /// The mean.
    Mean {
        /// Whether padding counts in it, as zeros.
        counts_padding: bool,
    },
}

/// What a pool does beside reading and writing.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// How.
    pub reduce: Reduce,
    /// Over what.
    pub window: Window,
    /// What is added to each channel: float32, `[channels]`.
    pub bias: Option<CUdeviceptr>,
    /// Whether negative results become zero.
    pub relu: bool,
}

impl Pool {
    /// A pool that changes nothing: a copy from place to place.
    pub const COPY: Self = Self {
        reduce: Reduce::Mean { counts_padding: false },
        window: Window { kernel: [1, 1], stride: 1, padding: [0, 0] },
        bias: None,
        relu: false,
    };
}

impl Kernels {
    /// Loads them onto a card.
    ///
    /// # Errors
    /// Those of the driver: one too old for this PTX, a card older than compute capability 8.0.
    pub fn new(context: &Arc<CudaContext>, arithmetic: Arithmetic) -> Result<Self> {
        let load = |ptx: &str| context.load_module(Ptx::from_src(ptx));
        let input = load(include_str!(concat!(env!("OUT_DIR"), "/input.ptx")))?;
        let pool = load(include_str!(concat!(env!("OUT_DIR"), "/pool.ptx")))?;
        let output = load(include_str!(concat!(env!("OUT_DIR"), "/output.ptx")))?;
        Ok(Self {
            input_bytes: input.load_function(&arithmetic.kernel("input_u8"))?,
            input_floats: input.load_function(&arithmetic.kernel("input_f32"))?,
            max_pool: pool.load_function(&arithmetic.kernel("max_pool"))?,
            average_pool: pool.load_function(&arithmetic.kernel("average_pool"))?,
            global_average: output.load_function(&arithmetic.kernel("global_average"))?,
            planes: output.load_function(&arithmetic.kernel("planes"))?,
            arithmetic,
        })
    }

    /// Normalises the pixels of `count` images of the output's size into it, its channels past the third being zeros.
    ///
    /// # Safety
    /// The pixels are there, and the output; until the stream is past it, nobody on another stream touches them.
    ///
    /// # Errors
    /// Those of the driver.
    pub unsafe fn input(
        &self,
        stream: &CudaStream,
        pixels: Pixels,
        count: usize,
        normalise: &Normalise,
        output: &Map,
    ) -> Result<()> {
        let (kernel, from) = match pixels {
            Pixels::Bytes(from) => (&self.input_bytes, from),
            Pixels::Floats(from) => (&self.input_floats, from),
        };
        let count = (count * output.shape.pixels()) as i64;
        let mut arguments = stream.launch_builder(kernel);
        arguments.arg(&from).arg(&output.address).arg(&count);
        for number in normalise.divide.iter().chain(&normalise.subtract) {
            arguments.arg(number);
        }
        // SAFETY: the arguments are those of kernels/input.cu; for the memory the caller answers.
        unsafe { launch(&mut arguments, count as usize) }
    }

    /// Takes windows of the input to the pixels of the output, which has as many channels, a multiple of what 16 bytes hold.
    ///
    /// # Safety
    /// Both maps are there, and the bias; until the stream is past it, nobody on another stream touches them.
    ///
    /// # Errors
    /// Those of the driver.
    pub unsafe fn pool(&self, stream: &CudaStream, pool: &Pool, input: &Map, output: &Map) -> Result<()> {
        let (kernel, counts_padding) = match pool.reduce {
            Reduce::Maximum => (&self.max_pool, false),
            Reduce::Mean { counts_padding } => (&self.average_pool, counts_padding),
        };
        let bias = pool.bias.unwrap_or(0);
        let (from, to, window) = (input.shape, output.shape, pool.window);
        let numbers = [
            to.images,
            from.size[0],
            from.size[1],
            from.stride,
            to.size[0],
            to.size[1],
            to.stride,
            to.channels,
            window.kernel[0],
            window.kernel[1],
            window.stride,
            window.padding[0],
            window.padding[1],
            usize::from(counts_padding),
            usize::from(pool.relu),
        ];
        let numbers = numbers.map(|number| number as i32);
        let mut arguments = stream.launch_builder(kernel);
        arguments.arg(&input.address).arg(&output.address).arg(&bias);
        for number in &numbers {
            arguments.arg(number);
        }
        // SAFETY: the arguments are those of kernels/pool.cu; for the memory the caller answers.
        unsafe { launch(&mut arguments, to.len() / self.arithmetic.pack()) }
    }

    /// The mean of each channel of each image: float32, `[images, channels]`.
    ///
    /// # Safety
    /// As [`Self::pool`].
    ///
    /// # Errors
    /// Those of the driver.
    pub unsafe fn global_average(&self, stream: &CudaStream, input: &Map, output: CUdeviceptr) -> Result<()> {
        let threads = input.shape.images * input.shape.channels / self.arithmetic.pack();
        // SAFETY: the caller answers for the memory.
        unsafe { leave(stream, &self.global_average, input, output, threads) }
    }

    /// A map, channel after channel: float32, `[images, channels, height, width]`.
    ///
    /// # Safety
    /// As [`Self::pool`].
    ///
    /// # Errors
    /// Those of the driver.
    pub unsafe fn planes(&self, stream: &CudaStream, input: &Map, output: CUdeviceptr) -> Result<()> {
        // SAFETY: the caller answers for the memory.
        unsafe { leave(stream, &self.planes, input, output, input.shape.len()) }
    }
}

/// Launches a kernel of kernels/output.cu.
unsafe fn leave(
    stream: &CudaStream,
    kernel: &CudaFunction,
    input: &Map,
    output: CUdeviceptr,
    threads: usize,
) -> Result<()> {
    let of = input.shape;
    let numbers = [of.images, of.pixels(), of.stride, of.channels].map(|number| number as i32);
    let mut arguments = stream.launch_builder(kernel);
    arguments.arg(&input.address).arg(&output);
    for number in &numbers {
        arguments.arg(number);
    }
    // SAFETY: the arguments are those of kernels/output.cu; for the memory the caller answers.
    unsafe { launch(&mut arguments, threads) }
}

/// As many threads, in blocks.
///
/// # Safety
/// The arguments are those of the kernel, and all memory is there until the stream is past it.
///
/// # Errors
/// Those of the driver.
pub unsafe fn launch(arguments: &mut LaunchArgs<'_>, threads: usize) -> Result<()> {
    let blocks = threads.div_ceil(BLOCK as usize) as u32;
    let config = LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: the caller answers for the arguments.
    unsafe { arguments.launch(config)? };
    Ok(())
}
