//! The way back through single layers on kernels of our own, on every set of instructions that this processor has: against PyTorch,
//! and against the same gradients in float64.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor, Var};
use headstock::engine::cpu::kernels::Instructions;
use headstock::engine::cpu::training::Training;
use headstock::engine::cpu::training::layer::{self, Layer};
use headstock::engine::trainable::{BatchNorm, Pass, Trainable, operations};
use headstock::inception::{Convolution, INPUT_SIDE, Network, Op, Variant, Window};
use headstock::weights::Weights;
use support::operation_goldens::{Case, Operation, cases};
use support::units;

fn instructions() -> impl Iterator<Item = Instructions> {
    Instructions::ALL.into_iter().filter(|set| set.kernels().is_some())
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().copied().map(f64::from).collect()
}

/// By the inputs and by the kernel, of a convolution whose scales are one.
fn gradients(case: &Case, instructions: Instructions) -> [Vec<f64>; 2] {
    let [images, height, width, in_channels] = case.input_shape;
    let out_channels = case.output_shape[3];
    let shape = Convolution { in_channels, out_channels, window: case.window, gamma: false };
    let kernel = case.kernel.as_ref().unwrap();
    let mut layer = Layer::new(shape, instructions, kernel, &vec![1.0; out_channels]).unwrap();
    let (mut by_input, mut by_kernel) = (vec![0.0; case.input.len()], vec![0.0; kernel.len()]);
    layer.by_input(&case.by_output, images, [height, width], &mut by_input).unwrap();
    layer.by_kernel(&case.input, &case.by_output, images, [height, width], &mut by_kernel).unwrap();
    [wide(&by_input), wide(&by_kernel)]
}

#[test]
fn the_way_back_through_every_operation_is_pytorchs() {
    for instructions in instructions() {
        let mut worst = (0.0, String::new());
        for case in cases() {
            let mut check = |part: &str, found: &[f64]| {
                let error = case.error(part, found);
                assert!(error < 1e-5, "{instructions}, {}, {part}: relative L2 {error:e}", case.name);
                if error > worst.0 {
                    worst = (error, format!("{} {part}", case.name));
                }
            };
            let op = match case.operation {
                Operation::Convolution => {
                    let [by_input, by_kernel] = gradients(&case, instructions);
                    check("by_input", &by_input);
                    check("by_kernel", &by_kernel);
                    continue;
                }
                Operation::MaxPool => Op::MaxPool(case.window),
                Operation::AveragePool { counts_padding } => Op::AveragePool { window: case.window, counts_padding },
            };
            let mut by_input = vec![0.0; case.input.len()];
            layer::pool(&op, &case.input, &case.by_output, case.input_shape, &mut by_input).unwrap();
            check("by_input", &wide(&by_input));
        }
        println!("{instructions}: worst relative L2 {:.1e}, {}", worst.0, worst.1);
    }
}

/// A convolution with the gradients that float64 gives it.
struct Expected {
    shape: Convolution,
    images: usize,
    size: [usize; 2],
    input: Vec<f32>,
    kernel: Vec<f32>,
    scales: Vec<f32>,
    by_output: Vec<f32>,
    by_input: Vec<f64>,
    by_kernel: Vec<f64>,
    by_scale: Vec<f64>,
}

impl Expected {
    fn new(shape: Convolution, images: usize, size: [usize; 2]) -> Self {
        let name = format!("{shape:?} {images} {size:?}");
        let numbers = |part: &str, len: usize, from: f32, to: f32| -> Vec<f32> {
            units(&format!("{name}/{part}")).take(len).map(|u| from + (to - from) * u).collect()
        };
        let places = shape.window.places(size).unwrap();
        let input = numbers("input", images * size[0] * size[1] * shape.in_channels, -0.5, 1.0);
        let input: Vec<f32> = input.into_iter().map(|number| number.max(0.0)).collect();
        let kernel = numbers("kernel", shape.kernel_len(), -1.0, 1.0);
        let scales = numbers("scales", shape.out_channels, 0.5, 1.5);
        let by_output = numbers("by_output", images * places[0] * places[1] * shape.out_channels, -1.0, 1.0);

        let tensor = |numbers: &[f32], shape: &[usize]| {
            Tensor::from_slice(numbers, shape, &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap()
        };
        let variable = |numbers: &[f32], shape: &[usize]| Var::from_tensor(&tensor(numbers, shape)).unwrap();
        let maps = variable(&input, &[images, size[0], size[1], shape.in_channels]);
        let weights = variable(&kernel, &shape.kernel_shape());
        let factors = variable(&scales, &[shape.out_channels]);
        let output = operations::convolution(&maps, &weights, &shape.window).unwrap().broadcast_mul(&factors).unwrap();
        let functional = (&output * tensor(&by_output, output.dims())).unwrap().sum_all().unwrap();
        let gradients = functional.backward().unwrap();
        let of = |variable: &Var| gradients.get(variable).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let (by_input, by_kernel, by_scale) = (of(&maps), of(&weights), of(&factors));
        Self { shape, images, size, input, kernel, scales, by_output, by_input, by_kernel, by_scale }
    }

    fn assert_found(&self, instructions: Instructions) {
        let mut layer = Layer::new(self.shape, instructions, &self.kernel, &self.scales).unwrap();
        // What is there is added to.
        let (mut by_input, mut by_kernel) = (vec![1.0; self.input.len()], vec![1.0; self.kernel.len()]);
        layer.by_input(&self.by_output, self.images, self.size, &mut by_input).unwrap();
        let by_scale = layer.by_kernel(&self.input, &self.by_output, self.images, self.size, &mut by_kernel).unwrap();
        let less_one =
            |numbers: &[f32]| -> Vec<f64> { numbers.iter().map(|&number| f64::from(number) - 1.0).collect() };
        for (part, found, expected) in [
            ("inputs", less_one(&by_input), &self.by_input),
            ("kernel", less_one(&by_kernel), &self.by_kernel),
            ("scales", by_scale, &self.by_scale),
        ] {
            let square = |(a, b): (&f64, &f64)| (a - b).powi(2);
            let error = found.iter().zip(expected).map(square).sum::<f64>().sqrt();
            let error = error / expected.iter().map(|b| b * b).sum::<f64>().sqrt();
            assert!(error < 1e-5, "{instructions}, {:?} on {:?}, {part}: {error:e}", self.shape, self.size);
        }
    }
}

#[test]
fn every_convolution_of_the_network_has_the_gradients_of_float64() {
    let network = Network::new(Variant::Tf2015);
    let sizes = network.shapes([INPUT_SIDE; 2]).unwrap();
    let mut seen = BTreeSet::new();
    for node in network.nodes() {
        let Op::Convolution(shape) = node.op else { continue };
        let [_, height, width] = sizes[node.inputs[0]];
        // Large maps are as their corners.
        let size = [height.min(19), width.min(18)];
        if seen.insert(format!("{:?} {size:?}", shape.kernel_shape())) {
            Expected::new(shape, 2, size).assert_found(Instructions::best());
        }
    }
}

#[test]
fn odd_shapes_have_the_gradients_of_float64_on_all_instructions() {
    for (channels, kernel, stride, padding, size) in [
        ([16, 16], [3, 3], 1, [1, 1], [1, 1]),
        ([16, 48], [3, 3], 1, [0, 0], [7, 5]),
        ([3, 32], [3, 3], 2, [0, 0], [12, 9]),
        ([16, 16], [3, 3], 2, [0, 0], [10, 12]),
        ([5, 7], [1, 1], 1, [0, 0], [3, 4]),
        ([80, 16], [1, 7], 1, [0, 3], [2, 5]),
        ([16, 80], [7, 1], 1, [3, 0], [13, 3]),
        ([7, 5], [3, 1], 1, [1, 0], [4, 6]),
        ([16, 16], [5, 5], 1, [2, 2], [9, 6]),
    ] {
        let window = Window { kernel, stride, padding };
        let shape = Convolution { in_channels: channels[0], out_channels: channels[1], window, gamma: false };
        let expected = Expected::new(shape, 3, size);
        instructions().for_each(|instructions| expected.assert_found(instructions));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let window = Window { kernel: [1, 1], stride: 1, padding: [0, 0] };
    let shape = Convolution { in_channels: 2, out_channels: 3, window, gamma: false };
    assert!(Layer::new(shape, Instructions::Portable, &[0.0; 5], &[1.0; 3]).is_none());
    assert!(Layer::new(shape, Instructions::Portable, &[0.0; 6], &[1.0; 2]).is_none());
    let mut layer = Layer::new(shape, Instructions::Portable, &[0.0; 6], &[1.0; 3]).unwrap();
    assert!(layer.by_input(&[0.0; 11], 1, [2, 2], &mut [0.0; 8]).is_none());
    assert!(layer.by_input(&[0.0; 12], 1, [2, 2], &mut [0.0; 7]).is_none());
    assert!(layer.by_input(&[0.0; 12], 1, [2, 2], &mut [0.0; 8]).is_some());
    assert!(layer.by_kernel(&[0.0; 8], &[0.0; 12], 1, [2, 2], &mut [0.0; 5]).is_none());
    assert!(layer::pool(&Op::Concat, &[], &[], [0; 4], &mut []).is_none());
    let padded = Convolution { window: Window { padding: [1, 1], ..window }, ..shape };
    assert!(Layer::new(padded, Instructions::Portable, &[0.0; 6], &[1.0; 3]).is_none(), "more padding than taps");
}

#[test]
fn a_step_has_the_same_bits_on_any_number_of_threads_and_after_other_batches() {
    let weights = Weights::embedded().unwrap();
    let network = Network::new(weights.variant());
    for batch_norm in [BatchNorm::Frozen, BatchNorm::Train { momentum: 0.1 }] {
        let step = |threads: usize, others: &[usize]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut training = Training::new(&network, &weights, &"150".parse().unwrap(), batch_norm).unwrap();
                let maps = |images: usize, name: &str| {
                    let numbers: Vec<f32> = units(name).take(images * 7 * 6 * 1088).collect();
                    [Tensor::from_vec(numbers, (images, 7, 6, 1088), &Device::Cpu).unwrap()]
                };
                for &images in others {
                    training.features(&maps(images, "others"), Pass::Evaluate).unwrap();
                }
                let features = training.features(&maps(3, "these"), Pass::Train).unwrap();
                training.backward(&features).unwrap();
                let mut bits = Vec::new();
                training.update(&mut |_, gradients| bits = gradients.to_vec()).unwrap();
                bits
            })
        };
        let alone = step(1, &[]);
        assert!(alone.iter().any(|&gradient| gradient != 0.0));
        assert_eq!(step(2, &[]), alone);
        assert_eq!(step(5, &[4, 1]), alone);
    }
}
