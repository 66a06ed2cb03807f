//! Our own kernels for training: `../kernels/*.cu`, compiled to PTX by build.rs and further by the driver for the card that is there.
//!
//! Of all functions here: memory is there with room for the shapes, until the stream is past it, and nobody on another stream touches
//! it; that is what is `unsafe`.
#![expect(unsafe_code, reason = "launches kernels, whose arguments nothing checks but these functions")]

use std::sync::Arc;

use candle_core::DType;
use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaFunction, CudaStream, PushKernelArg};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;

use super::super::arithmetic::Arithmetic;
use super::super::error::Result;
use super::super::kernels::{Pool, Reduce, launch};
use super::super::map::Map;
use super::unit::Folding;

/// Pixels whose gradients one thread sums.
pub const PIXELS: usize = 16;
/// Products of a kernel with its gradient that one thread sums,
pub const PRODUCTS: usize = 64;
/// and sums that one thread sums.
pub const ROWS: usize = 64;

/// The kernels for one number type.
pub struct Kernels {
    narrow: CudaFunction,
    fold: CudaFunction,
    mask: CudaFunction,
    sum_rows: CudaFunction,
    accumulate: CudaFunction,
    max_pool_gradient: CudaFunction,
    average_pool_gradient: CudaFunction,
    global_average_gradient: CudaFunction,
    add_vector: CudaFunction,
    add_gamma_gradient: CudaFunction,
    /// From gradients in the number type, and in float32.
    add_kernel_gradient: [CudaFunction; 2],
    scale_gradient: [CudaFunction; 2],
    arithmetic: Arithmetic,
}

/// A gradient by a folded kernel.
#[derive(Clone, Copy, Debug)]
pub struct ByFolded {
    /// Where it is.
    pub address: CUdeviceptr,
    /// Of what numbers.
    pub dtype: DType,
}

macro_rules! arguments {
    ($stream:expr, $kernel:expr, $($argument:expr),+ $(,)?) => {{
        let mut arguments = $stream.launch_builder($kernel);
        $(arguments.arg($argument);)+
        arguments
    }};
}

impl Kernels {
    /// Loads them onto a card.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn new(context: &Arc<CudaContext>, arithmetic: Arithmetic) -> Result<Self> {
        let load = |ptx: &str| context.load_module(Ptx::from_src(ptx));
        let narrow = load(include_str!(concat!(env!("OUT_DIR"), "/narrow.ptx")))?;
        let fold = load(include_str!(concat!(env!("OUT_DIR"), "/fold.ptx")))?;
        let mask = load(include_str!(concat!(env!("OUT_DIR"), "/mask.ptx")))?;
        let sums = load(include_str!(concat!(env!("OUT_DIR"), "/sums.ptx")))?;
        let accumulate = load(include_str!(concat!(env!("OUT_DIR"), "/accumulate.ptx")))?;
        let pools = load(include_str!(concat!(env!("OUT_DIR"), "/pool_gradient.ptx")))?;
        let parameters = load(include_str!(concat!(env!("OUT_DIR"), "/parameter_gradient.ptx")))?;
        let in_both = |name: &str| -> Result<[CudaFunction; 2]> {
            Ok([parameters.load_function(&arithmetic.kernel(name))?, parameters.load_function(&format!("{name}_f32"))?])
        };
        Ok(Self {
            narrow: narrow.load_function(&arithmetic.kernel("narrow"))?,
            fold: fold.load_function(&arithmetic.kernel("fold"))?,
            mask: mask.load_function(&arithmetic.kernel("mask"))?,
            sum_rows: sums.load_function("sum_rows")?,
            accumulate: accumulate.load_function(&arithmetic.kernel("accumulate"))?,
            max_pool_gradient: pools.load_function(&arithmetic.kernel("max_pool_gradient"))?,
            average_pool_gradient: pools.load_function(&arithmetic.kernel("average_pool_gradient"))?,
            global_average_gradient: pools.load_function(&arithmetic.kernel("global_average_gradient"))?,
            add_vector: parameters.load_function("add_vector")?,
            add_gamma_gradient: parameters.load_function("add_gamma_gradient")?,
            add_kernel_gradient: in_both("add_kernel_gradient")?,
            scale_gradient: in_both("scale_gradient")?,
            arithmetic,
        })
    }

    /// float32 numbers to all channels of a map, which is packed.
    pub unsafe fn narrow(&self, stream: &CudaStream, from: CUdeviceptr, to: &Map) -> Result<()> {
        let packs = (to.shape.len() / self.arithmetic.pack()) as i64;
        let mut arguments = arguments!(stream, &self.narrow, &from, &to.address, &packs);
        // SAFETY: the arguments are those of narrow.cu.
        unsafe { launch(&mut arguments, packs as usize) }
    }

    /// A unit's parameters to what is computed with.
    pub unsafe fn fold(&self, stream: &CudaStream, of: &Folding) -> Result<()> {
        let Folding { kernel, beta, mean, reciprocal, folded, scales, shifts, .. } = of;
        let gamma = of.gamma.unwrap_or(0);
        let [out, taps, channels, padded] = of.lens.map(|len| len as i32);
        let mut arguments = arguments!(
            stream, &self.fold, kernel, &gamma, beta, mean, reciprocal, folded, scales, shifts, &out, &taps, &channels,
            &padded,
        );
        // SAFETY: the arguments are those of fold.cu.
        unsafe { launch(&mut arguments, of.folded_len() / self.arithmetic.pack()) }
    }

    /// A gradient where the output is positive, packed; and, where they are wanted, the sums of [`PIXELS`] pixels each.
    pub unsafe fn mask(
        &self,
        stream: &CudaStream,
        [output, by_output]: [&Map; 2],
        masked: CUdeviceptr,
        sums: Option<CUdeviceptr>,
    ) -> Result<()> {
        let shape = output.shape;
        let pixels = shape.images * shape.pixels();
        let threads = pixels.div_ceil(PIXELS) * (shape.channels / self.arithmetic.pack());
        let (pixels, piece, sums) = (pixels as i64, PIXELS as i32, sums.unwrap_or(0));
        let [stride, of_gradient, channels] =
            [shape.stride, by_output.shape.stride, shape.channels].map(|number| number as i32);
        let mut arguments = arguments!(
            stream,
            &self.mask,
            &output.address,
            &by_output.address,
            &masked,
            &sums,
            &pixels,
            &piece,
            &stride,
            &of_gradient,
            &channels,
        );
        // SAFETY: the arguments are those of mask.cu.
        unsafe { launch(&mut arguments, threads) }
    }

    /// Columns of so many rows, float32, to sums of [`ROWS`] rows each.
    pub unsafe fn sum_rows(
        &self,
        stream: &CudaStream,
        [from, to]: [CUdeviceptr; 2],
        rows: usize,
        columns: usize,
    ) -> Result<()> {
        let threads = rows.div_ceil(ROWS) * columns;
        let (rows, piece, columns) = (rows as i64, ROWS as i32, columns as i32);
        let mut arguments = arguments!(stream, &self.sum_rows, &from, &to, &rows, &piece, &columns);
        // SAFETY: the arguments are those of sums.cu.
        unsafe { launch(&mut arguments, threads) }
    }

    /// A packed map to its channels of a buffer, or added to what is there.
    pub unsafe fn accumulate(&self, stream: &CudaStream, from: CUdeviceptr, to: &Map, adds: bool) -> Result<()> {
        let pixels = (to.shape.images * to.shape.pixels()) as i64;
        let [channels, stride, adds] = [to.shape.channels, to.shape.stride, usize::from(adds)].map(|n| n as i32);
        let mut arguments =
            arguments!(stream, &self.accumulate, &from, &to.address, &pixels, &channels, &stride, &adds);
        // SAFETY: the arguments are those of accumulate.cu.
        unsafe { launch(&mut arguments, to.shape.len() / self.arithmetic.pack()) }
    }

    /// The way back through a pool of these inputs.
    pub unsafe fn pool_gradient(
        &self,
        stream: &CudaStream,
        pool: &Pool,
        [input, by_output, by_input]: [&Map; 3],
        adds: bool,
    ) -> Result<()> {
        let (kernel, counts_padding) = match pool.reduce {
            Reduce::Maximum => (&self.max_pool_gradient, false),
            Reduce::Mean { counts_padding } => (&self.average_pool_gradient, counts_padding),
        };
        let (of, from, to, window) = (input.shape, by_output.shape, by_input.shape, pool.window);
        let numbers = [
            to.images,
            to.size[0],
            to.size[1],
            of.stride,
            to.stride,
            from.size[0],
            from.size[1],
            from.stride,
            to.channels,
            window.kernel[0],
            window.kernel[1],
            window.stride,
            window.padding[0],
            window.padding[1],
            usize::from(counts_padding),
            usize::from(adds),
        ];
        let numbers = numbers.map(|number| number as i32);
        let mut arguments = arguments!(stream, kernel, &input.address, &by_output.address, &by_input.address);
        for number in &numbers {
            arguments.arg(number);
        }
        // SAFETY: the arguments are those of pool_gradient.cu.
        unsafe { launch(&mut arguments, to.len() / self.arithmetic.pack()) }
    }

    /// The way back through the mean of each channel, from `[images, channels]`, float32.
    pub unsafe fn global_average_gradient(
        &self,
        stream: &CudaStream,
        by_output: CUdeviceptr,
        by_input: &Map,
        adds: bool,
    ) -> Result<()> {
        let of = by_input.shape;
        let [images, pixels, stride, channels, adds] =
            [of.images, of.pixels(), of.stride, of.channels, usize::from(adds)].map(|number| number as i32);
        let mut arguments = arguments!(
            stream,
            &self.global_average_gradient,
            &by_output,
            &by_input.address,
            &images,
            &pixels,
            &stride,
            &channels,
            &adds,
        );
        // SAFETY: the arguments are those of pool_gradient.cu.
        unsafe { launch(&mut arguments, of.len() / self.arithmetic.pack()) }
    }

    /// Adds so many numbers, float32, to a gradient.
    pub unsafe fn add_vector(
        &self,
        stream: &CudaStream,
        by: CUdeviceptr,
        gradient: CUdeviceptr,
        count: usize,
    ) -> Result<()> {
        let number = count as i32;
        let mut arguments = arguments!(stream, &self.add_vector, &by, &gradient, &number);
        // SAFETY: the arguments are those of parameter_gradient.cu.
        unsafe { launch(&mut arguments, count) }
    }

    /// Adds to the gradient by gamma, given those by the scales and by beta.
    pub unsafe fn add_gamma_gradient(
        &self,
        stream: &CudaStream,
        of: &Folding,
        [by_scale, by_beta]: [CUdeviceptr; 2],
        gradient: CUdeviceptr,
    ) -> Result<()> {
        let count = of.out() as i32;
        let mut arguments = arguments!(
            stream,
            &self.add_gamma_gradient,
            &by_scale,
            &by_beta,
            &of.mean,
            &of.reciprocal,
            &gradient,
            &count,
        );
        // SAFETY: the arguments are those of parameter_gradient.cu.
        unsafe { launch(&mut arguments, of.out()) }
    }

    /// Adds to the gradient by the kernel, given that by the folded one.
    pub unsafe fn add_kernel_gradient(
        &self,
        stream: &CudaStream,
        of: &Folding,
        by_folded: ByFolded,
        gradient: CUdeviceptr,
    ) -> Result<()> {
        let kernel = &self.add_kernel_gradient[usize::from(by_folded.dtype == DType::F32)];
        let [out, taps, channels, padded] = of.lens.map(|len| len as i32);
        let mut arguments =
            arguments!(stream, kernel, &by_folded.address, &of.scales, &gradient, &out, &taps, &channels, &padded,);
        // SAFETY: the arguments are those of parameter_gradient.cu.
        unsafe { launch(&mut arguments, of.kernel_len()) }
    }

    /// The gradient by each scale, in sums of [`PRODUCTS`] products: `[pieces, out]`, float32.
    pub unsafe fn scale_gradient(
        &self,
        stream: &CudaStream,
        of: &Folding,
        by_folded: ByFolded,
        sums: CUdeviceptr,
    ) -> Result<()> {
        let function = &self.scale_gradient[usize::from(by_folded.dtype == DType::F32)];
        let [out, taps, channels, padded] = of.lens.map(|len| len as i32);
        let piece = PRODUCTS as i32;
        let mut arguments = arguments!(
            stream,
            function,
            &by_folded.address,
            &of.kernel,
            &sums,
            &out,
            &taps,
            &channels,
            &padded,
            &piece,
        );
        // SAFETY: the arguments are those of parameter_gradient.cu.
        unsafe { launch(&mut arguments, scale_pieces(of) * of.out()) }
    }
}

/// Pieces of the products that [`Kernels::scale_gradient`] sums for each channel.
pub const fn scale_pieces(of: &Folding) -> usize {
    (of.lens[1] * of.lens[2]).div_ceil(PRODUCTS)
}
