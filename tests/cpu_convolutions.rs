//! Every way to compute a convolution, on every set of instructions that this processor has, against one naive sum in float64.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

use std::collections::BTreeSet;

use headstock::engine::cpu::algorithm::Algorithm;
use headstock::engine::cpu::kernels::Instructions;
use headstock::engine::cpu::layer::Layer;
use headstock::engine::cpu::minimal_filtering::MinimalFilter;
use headstock::inception::{Convolution, INPUT_SIDE, Network, Op, Variant, Window};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers as the network has them: activations are not negative, kernels are scaled to keep the variance.
struct Case {
    shape: Convolution,
    images: usize,
    size: [usize; 2],
    input: Vec<f32>,
    kernel: Vec<f32>,
    bias: Vec<f32>,
}

impl Case {
    fn new(shape: Convolution, images: usize, size: [usize; 2]) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(shape.kernel_len() as u64 + 31 * size[1] as u64);
        let mut numbers =
            |len: usize, from: f32, to: f32| -> Vec<f32> { (0..len).map(|_| random.random_range(from..to)).collect() };
        let reach = (6.0 / (shape.kernel_len() / shape.out_channels) as f32).sqrt();
        let mut input = numbers(images * size[0] * size[1] * shape.in_channels, -0.5, 1.0);
        for number in &mut input {
            *number = number.max(0.0);
        }
        let kernel = numbers(shape.kernel_len(), -reach, reach);
        let bias = numbers(shape.out_channels, 0.1, 0.6);
        Self { shape, images, size, input, kernel, bias }
    }

    fn places(&self) -> [usize; 2] {
        self.shape.window.places(self.size).unwrap()
    }

    /// One number of the result before ReLU, the plain way.
    fn expected(&self, image: usize, y: usize, x: usize, out: usize) -> f64 {
        let [height, width] = self.size;
        let [_, channels, down, across] = self.shape.kernel_shape();
        let window = &self.shape.window;
        let mut sum = f64::from(self.bias[out]);
        for ky in 0..down {
            for kx in 0..across {
                let (y, x) = (y * window.stride + ky, x * window.stride + kx);
                let inside = (window.padding[0]..window.padding[0] + height).contains(&y)
                    && (window.padding[1]..window.padding[1] + width).contains(&x);
                if inside {
                    let pixel = (image * height + y - window.padding[0]) * width + x - window.padding[1];
                    for c in 0..channels {
                        let weight = self.kernel[((out * channels + c) * down + ky) * across + kx];
                        sum += f64::from(self.input[pixel * channels + c]) * f64::from(weight);
                    }
                }
            }
        }
        sum
    }

    /// L2 error over some pixels, the corners among them, relative to the result before ReLU.
    fn error(&self, algorithm: Algorithm, instructions: Instructions, pixels: usize) -> f64 {
        let [height, width] = self.places();
        let channels = self.shape.out_channels;
        let mut layer = Layer::new(self.shape, algorithm, instructions, &self.kernel, &self.bias).unwrap();
        let mut output = vec![f32::NAN; self.images * height * width * channels];
        layer.run(&self.input, self.images, self.size, &mut output).unwrap();
        assert!(output.iter().all(|number| number.is_finite()), "a number was not written");
        let all = self.images * height * width;
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut some: BTreeSet<usize> = (0..pixels).map(|_| random.random_range(0..all)).collect();
        some.extend([0, width - 1, (height - 1) * width, height * width - 1, all - 1]);
        let (mut off, mut norm) = (0.0, 0.0);
        for pixel in some {
            let (image, y, x) = (pixel / (height * width), pixel / width % height, pixel % width);
            for out in 0..channels {
                let expected = self.expected(image, y, x, out);
                off += (f64::from(output[pixel * channels + out]) - expected.max(0.0)).powi(2);
                norm += expected.powi(2);
            }
        }
        (off / norm).sqrt()
    }
}

fn instructions() -> impl Iterator<Item = Instructions> {
    Instructions::ALL.into_iter().filter(|set| set.kernels().is_some())
}

fn window(kernel: [usize; 2], stride: usize, padding: [usize; 2]) -> Window {
    Window { kernel, stride, padding }
}

fn shape(in_channels: usize, out_channels: usize, window: Window) -> Convolution {
    Convolution { in_channels, out_channels, window, gamma: false }
}

#[test]
fn every_convolution_of_the_network_is_the_naive_sum() {
    let network = Network::new(Variant::Tf2015);
    let shapes = network.shapes([INPUT_SIDE; 2]).unwrap();
    let mut seen = BTreeSet::new();
    for node in network.nodes() {
        let Op::Convolution(convolution) = node.op else { continue };
        let [_, height, width] = shapes[node.inputs[0]];
        if !seen.insert((convolution.kernel_shape(), convolution.window.padding, [height, width])) {
            continue;
        }
        let case = Case::new(convolution, 1, [height, width]);
        let algorithm = Algorithm::of(&convolution);
        let bound = match algorithm {
            Algorithm::Filtered { .. } => 5e-6,
            Algorithm::Strassen | Algorithm::Phases => 1e-6,
            Algorithm::Direct | Algorithm::Pointwise => 5e-7,
        };
        for set in instructions() {
            let error = case.error(algorithm, set, 20);
            println!("{} {set}: {error:.1e}", node.name);
            assert!(error < bound, "{}, {set}: {error:e}", node.name);
        }
    }
    assert!(seen.len() > 30, "{}", seen.len());
}

#[test]
fn every_minimal_filter_is_the_naive_sum_at_every_size() {
    for filter in MinimalFilter::ALL {
        let taps = filter.taps;
        let mut kernels = vec![[1, taps], [taps, 1]];
        // The square kernels that there are code for: no 7x7, whose tiles would be of 100 and more points.
        if taps < 7 {
            kernels.push([taps, taps]);
        }
        for kernel in kernels {
            for (images, size) in [(1, [8, 8]), (3, [13, 9]), (2, [17, 23]), (1, [taps, taps]), (5, [7, 7])] {
                for padding in [kernel.map(|taps| taps / 2), [0, 0]] {
                    let case = Case::new(shape(32, 48, window(kernel, 1, padding)), images, size);
                    for set in instructions() {
                        let error = case.error(Algorithm::Filtered { filter }, set, 60);
                        assert!(error < 6e-6, "{filter:?}, {kernel:?}, {size:?}, {padding:?}, {set}: {error:e}");
                    }
                }
            }
        }
    }
}

#[test]
fn direct_convolution_is_the_naive_sum_for_odd_channels_strides_and_paddings() {
    for (channels, out) in [(1, 1), (3, 32), (5, 7), (16, 17), (33, 80)] {
        for (kernel, stride, padding) in
            [([1, 1], 1, [0, 0]), ([3, 3], 2, [0, 0]), ([3, 3], 1, [1, 1]), ([1, 7], 1, [0, 3]), ([5, 2], 3, [2, 0])]
        {
            for (images, size) in [(1, [5, 7]), (2, [9, 6]), (3, [16, 11])] {
                let window = window(kernel, stride, padding);
                if window.places(size).is_none() {
                    continue;
                }
                let case = Case::new(shape(channels, out, window), images, size);
                for set in instructions() {
                    for algorithm in [Algorithm::Direct, Algorithm::Pointwise] {
                        if algorithm.suits(&case.shape) {
                            let error = case.error(algorithm, set, 60);
                            assert!(
                                error < 5e-7,
                                "{algorithm:?}, {channels}, {out}, {window:?}, {size:?}, {set}: {error:e}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_larger_stride_by_phases_is_the_naive_sum_at_every_size() {
    for (kernel, stride) in [([3, 3], 2), ([2, 2], 2), ([3, 5], 2), ([4, 3], 3), ([7, 7], 2)] {
        for (images, size) in [(1, [7, 7]), (2, [17, 23]), (3, [16, 11]), (1, [35, 36])] {
            let case = Case::new(shape(32, 48, window(kernel, stride, [0, 0])), images, size);
            for set in instructions() {
                let error = case.error(Algorithm::Phases, set, 60);
                assert!(error < 1.5e-6, "{kernel:?}, {stride}, {size:?}, {set}: {error:e}");
            }
        }
    }
}

#[test]
fn strassens_seven_products_are_the_naive_sum_for_any_number_of_pixels() {
    for (channels, out) in [(512, 128), (544, 160), (768, 192)] {
        for (images, size) in [(1, [1, 1]), (3, [7, 7]), (2, [8, 8]), (1, [17, 17]), (5, [3, 1])] {
            let case = Case::new(shape(channels, out, window([1, 1], 1, [0, 0])), images, size);
            for set in instructions() {
                let error = case.error(Algorithm::Strassen, set, 60);
                assert!(error < 1e-6, "{channels}, {out}, {size:?}, {set}: {error:e}");
            }
        }
    }
}

#[test]
fn an_algorithm_that_does_not_suit_a_convolution_gives_no_layer() {
    let no_filter = Algorithm::Filtered { filter: MinimalFilter::F4_3 };
    for (channels, window, algorithm) in [
        (16, window([3, 3], 1, [1, 1]), Algorithm::Pointwise),
        (16, window([1, 1], 2, [0, 0]), Algorithm::Pointwise),
        (16, window([1, 1], 1, [0, 1]), Algorithm::Pointwise),
        (16, window([3, 3], 2, [1, 1]), no_filter),
        (16, window([5, 5], 1, [2, 2]), no_filter),
        (24, window([3, 3], 1, [1, 1]), no_filter),
        (16, window([3, 3], 1, [0, 0]), Algorithm::Phases),
        (16, window([3, 3], 2, [1, 1]), Algorithm::Phases),
        (24, window([3, 3], 2, [0, 0]), Algorithm::Phases),
        (16, window([1, 3], 2, [0, 0]), Algorithm::Phases),
        (512, window([1, 1], 1, [0, 0]), Algorithm::Strassen),
        (520, window([1, 1], 1, [0, 0]), Algorithm::Strassen),
    ] {
        let shape = shape(channels, 32, window);
        let kernel = vec![0.0; shape.kernel_len()];
        assert!(Layer::new(shape, algorithm, Instructions::best(), &kernel, &[0.0; 32]).is_none(), "{window:?}");
    }
}

#[test]
fn a_pixels_bits_are_its_own_whatever_is_computed_beside_it() {
    for (channels, out, kernel, stride, padding) in [
        (64, 96, [1, 1], 1, [0, 0]),
        (512, 128, [1, 1], 1, [0, 0]),
        (64, 96, [3, 3], 1, [1, 1]),
        (64, 96, [3, 3], 2, [0, 0]),
        (64, 96, [7, 1], 1, [3, 0]),
    ] {
        for size in [[17, 17], [8, 8]] {
            let shape = shape(channels, out, window(kernel, stride, padding));
            let case = Case::new(shape, 5, size);
            let mut layer =
                Layer::new(shape, Algorithm::of(&shape), Instructions::best(), &case.kernel, &case.bias).unwrap();
            let [height, width] = case.places();
            let (of_input, of_output) = (size[0] * size[1] * channels, height * width * out);
            let mut together = vec![0.0; 5 * of_output];
            layer.run(&case.input, 5, size, &mut together).unwrap();
            for image in 0..5 {
                let mut alone = vec![0.0; of_output];
                layer.run(&case.input[image * of_input..][..of_input], 1, size, &mut alone).unwrap();
                assert_eq!(alone, together[image * of_output..][..of_output], "{channels}, {kernel:?}, {size:?}");
            }
        }
    }
}

/// It says nothing on a processor that has one such set only.
#[test]
fn instructions_that_round_a_product_and_sum_once_all_give_the_same_bits() {
    let fused: Vec<Instructions> = instructions().filter(|&set| set != Instructions::Portable).collect();
    let shape = shape(64, 96, window([3, 3], 1, [1, 1]));
    let case = Case::new(shape, 2, [17, 17]);
    let results: Vec<Vec<f32>> = fused
        .into_iter()
        .map(|set| {
            let mut layer = Layer::new(shape, Algorithm::of(&shape), set, &case.kernel, &case.bias).unwrap();
            let mut output = vec![0.0; 2 * 17 * 17 * 96];
            layer.run(&case.input, 2, [17, 17], &mut output).unwrap();
            output
        })
        .collect();
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_kernel_has_a_value_at_each_point_and_the_divisors_are_those_of_an_interpolation() {
    for filter in MinimalFilter::ALL {
        let transform = filter.kernel_transform();
        assert_eq!(transform.len(), filter.points());
        assert!(transform.iter().all(|row| row.len() == filter.taps));
        // A constant kernel polynomial evaluates to the same at each point, over the divisor: the divisors sum to nothing,
        // as those of an interpolation of a degree that is too high do.
        let divisors: f64 = transform[..filter.points() - 1].iter().map(|row| row[0]).sum();
        assert!(divisors.abs() < 1e-9, "{filter:?}: {divisors}");
    }
}
