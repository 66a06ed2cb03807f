//! Our own kernels of training on NVIDIA cards, against PyTorch and plain sums; on a card or on the stand-in for one
//! (`scripts/check_cuda_without_card.sh`).
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics has failed, as it should")]
#![expect(unsafe_code, reason = "launches kernels")]

mod support;

use std::sync::Arc;

use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, CudaStream, LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use support::card::card;
use support::operation_goldens::{Case, Operation, cases};
use support::units;

const POOL_GRADIENT: &str = include_str!(concat!(env!("OUT_DIR"), "/pool_gradient.ptx"));
const MASK: &str = include_str!(concat!(env!("OUT_DIR"), "/mask.ptx"));
const SUMS: &str = include_str!(concat!(env!("OUT_DIR"), "/sums.ptx"));

fn function(card: &Device, ptx: &str, name: &str) -> (Arc<CudaStream>, CudaFunction) {
    let stream = card.as_cuda_device().unwrap().cuda_stream();
    let module = stream.context().load_module(Ptx::from_src(ptx)).unwrap();
    (stream, module.load_function(name).unwrap())
}

/// As many threads as asked for, and some more that must do nothing.
fn over(threads: usize) -> LaunchConfig {
    LaunchConfig { grid_dim: ((threads as u32).div_ceil(96) + 1, 1, 1), block_dim: (96, 1, 1), shared_mem_bytes: 0 }
}

/// Channels that are 16 bytes, zeros behind those that there are.
fn padded(numbers: &[f32], channels: usize) -> Vec<f32> {
    let wide = channels.next_multiple_of(4);
    numbers.chunks(channels).flat_map(|pixel| pixel.iter().copied().chain(vec![0.0; wide - channels])).collect()
}

/// The gradient by the inputs, added to so much.
fn by_input(card: &Device, case: &Case, kind: &str, counts_padding: bool, there: Option<f32>) -> Vec<f64> {
    let (stream, kernel) = function(card, POOL_GRADIENT, &format!("{kind}_gradient_f32"));
    let [images, height, width, channels] = case.input_shape;
    let [_, rows, columns, _] = case.output_shape;
    let wide = channels.next_multiple_of(4);
    let input = stream.clone_htod(&padded(&case.input, channels)).unwrap();
    let by_output = stream.clone_htod(&padded(&case.by_output, channels)).unwrap();
    let before = vec![there.unwrap_or(f32::NAN); images * height * width * wide];
    let to = stream.clone_htod(&before).unwrap();
    let window = case.window;
    let numbers = [images, height, width, wide, wide, rows, columns, wide, wide]
        .into_iter()
        .chain([window.kernel[0], window.kernel[1], window.stride, window.padding[0], window.padding[1]])
        .chain([usize::from(counts_padding), usize::from(there.is_some())])
        .map(|number| number as i32)
        .collect::<Vec<_>>();
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&input).arg(&by_output).arg(&to);
    for number in &numbers {
        launch.arg(number);
    }
    // SAFETY: the arguments are those of kernels/pool_gradient.cu, and the memory is as long as they say.
    unsafe { launch.launch(over(images * height * width * wide / 4)) }.unwrap();
    let found = stream.clone_dtoh(&to).unwrap();
    let less = there.unwrap_or(0.0);
    found.chunks(wide).flat_map(|pixel| pixel[..channels].iter().map(|number| f64::from(number - less))).collect()
}

#[test]
fn the_way_back_through_every_pool_is_pytorchs() {
    let Some(card) = card() else { return };
    for case in cases() {
        let (kind, counts_padding) = match case.operation {
            Operation::Convolution => continue,
            Operation::MaxPool => ("max_pool", false),
            Operation::AveragePool { counts_padding } => ("average_pool", counts_padding),
        };
        for there in [None, Some(1.0)] {
            let error = case.error("by_input", &by_input(&card, &case, kind, counts_padding, there));
            assert!(error < 1e-6, "{}, {there:?}: relative L2 {error:e}", case.name);
        }
    }
}

#[test]
fn a_relu_lets_gradients_through_where_it_was_positive_and_sums_them_by_channel() {
    const PIXELS: usize = 1000;
    const CHANNELS: usize = 8;
    /// Channels of the buffers, of which these are the first.
    const STRIDE: usize = 12;
    const PIECE: usize = 16;
    let Some(card) = card() else { return };
    let numbers = |name| units(name).take(PIXELS * STRIDE).map(|unit| unit - 0.5).collect::<Vec<f32>>();
    let (output, by_output) = (numbers("output").iter().map(|n| n.max(0.0)).collect::<Vec<_>>(), numbers("by output"));
    let (stream, mask) = function(&card, MASK, "mask_f32");
    let (_, sum_rows) = function(&card, SUMS, "sum_rows");
    let there = [&output, &by_output].map(|numbers| stream.clone_htod(numbers).unwrap());
    let masked = stream.alloc_zeros::<f32>(PIXELS * CHANNELS).unwrap();
    let mut rows = PIXELS.div_ceil(PIECE);
    let sums = [(); 2].map(|()| stream.alloc_zeros::<f32>(rows * CHANNELS).unwrap());
    let (pixels, piece, stride, channels) = (PIXELS as i64, PIECE as i32, STRIDE as i32, CHANNELS as i32);
    let mut launch = stream.launch_builder(&mask);
    launch.arg(&there[0]).arg(&there[1]).arg(&masked).arg(&sums[0]);
    launch.arg(&pixels).arg(&piece).arg(&stride).arg(&stride).arg(&channels);
    // SAFETY (of both): the arguments are those of the kernels, and the memory is as long as they say.
    unsafe { launch.launch(over(rows * CHANNELS / 4)) }.unwrap();
    let mut at = 0;
    while rows > 1 {
        let count = rows as i64;
        let mut launch = stream.launch_builder(&sum_rows);
        launch.arg(&sums[at]).arg(&sums[1 - at]).arg(&count).arg(&piece).arg(&channels);
        rows = rows.div_ceil(PIECE);
        unsafe { launch.launch(over(rows * CHANNELS)) }.unwrap();
        at = 1 - at;
    }
    let passed = |pixel: usize, channel: usize| {
        let place = pixel * STRIDE + channel;
        if output[place] > 0.0 { by_output[place] } else { 0.0 }
    };
    let expected: Vec<f32> = (0..PIXELS * CHANNELS).map(|i| passed(i / CHANNELS, i % CHANNELS)).collect();
    assert_eq!(stream.clone_dtoh(&masked).unwrap(), expected);
    for (channel, sum) in stream.clone_dtoh(&sums[at]).unwrap()[..CHANNELS].iter().enumerate() {
        let expected: f64 = (0..PIXELS).map(|pixel| f64::from(passed(pixel, channel))).sum();
        assert!((f64::from(*sum) - expected).abs() < 1e-4, "channel {channel}: {sum} for {expected}");
    }
}
