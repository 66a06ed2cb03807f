//! Our own kernels for NVIDIA cards, one by one, against plain loops; on a card or on the stand-in for one
//! (`scripts/check_cuda_without_card.sh`).
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics has failed, as it should")]
#![expect(unsafe_code, reason = "launches kernels")]

mod support;

use std::sync::Arc;

use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, CudaStream, DevicePtr, LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use half::{bf16, f16};
use headstock::image::Preset;
use support::card::card;
use support::units;

const INPUT: &str = include_str!(concat!(env!("OUT_DIR"), "/input.ptx"));
const POOL: &str = include_str!(concat!(env!("OUT_DIR"), "/pool.ptx"));
const OUTPUT: &str = include_str!(concat!(env!("OUT_DIR"), "/output.ptx"));

/// A number type of activations: how it is called in a kernel's name, its bytes, and what it makes of a float.
#[derive(Clone, Copy)]
struct Number {
    name: &'static str,
    bytes: usize,
    write: fn(f32) -> Vec<u8>,
    read: fn(&[u8]) -> f32,
    /// Half a unit in the last place, relative.
    rounding: f32,
}

const NUMBERS: [Number; 3] = [
    Number {
        name: "f32",
        bytes: 4,
        write: |number| number.to_le_bytes().to_vec(),
        read: |bytes| f32::from_le_bytes(bytes.try_into().unwrap()),
        rounding: 6e-8,
    },
    Number {
        name: "f16",
        bytes: 2,
        write: |number| f16::from_f32(number).to_le_bytes().to_vec(),
        read: |bytes| f16::from_le_bytes(bytes.try_into().unwrap()).to_f32(),
        rounding: 4.9e-4,
    },
    Number {
        name: "bf16",
        bytes: 2,
        write: |number| bf16::from_f32(number).to_le_bytes().to_vec(),
        read: |bytes| bf16::from_le_bytes(bytes.try_into().unwrap()).to_f32(),
        rounding: 3.9e-3,
    },
];

impl Number {
    fn all(self, numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|&number| (self.write)(number)).collect()
    }

    fn floats(self, bytes: &[u8]) -> Vec<f32> {
        bytes.chunks_exact(self.bytes).map(self.read).collect()
    }

    /// The nearest one that there is.
    fn near(self, number: f32) -> f32 {
        (self.read)(&(self.write)(number))
    }

    /// How many are 16 bytes.
    fn pack(self) -> usize {
        16 / self.bytes
    }

    fn assert_near(self, results: &[f32], expected: &[f32], what: &str) {
        assert_eq!(results.len(), expected.len(), "{what}");
        for (index, (result, expected)) in results.iter().zip(expected).enumerate() {
            let bound = expected.abs() * (self.rounding + 1e-6) + 1e-7;
            assert!(
                (result - expected).abs() <= bound,
                "{what}, {}, number {index}: {result}, not {expected}",
                self.name
            );
        }
    }
}

fn function(card: &Device, ptx: &str, name: &str) -> (Arc<CudaStream>, CudaFunction) {
    let stream = card.as_cuda_device().unwrap().cuda_stream();
    let module = stream.context().load_module(Ptx::from_src(ptx)).unwrap();
    (stream, module.load_function(name).unwrap())
}

/// As many threads as asked for, and some more that must do nothing.
fn over(threads: usize) -> LaunchConfig {
    LaunchConfig { grid_dim: ((threads as u32).div_ceil(96) + 1, 1, 1), block_dim: (96, 1, 1), shared_mem_bytes: 0 }
}

/// Numbers from -1 to 1, as the type has them.
fn random(of: Number, name: &str, count: usize) -> Vec<f32> {
    units(name).take(count).map(|unit| of.near(unit * 2.0 - 1.0)).collect()
}

#[test]
fn pixels_become_the_networks_input_and_zeros_beside_it() {
    let Some(card) = card() else { return };
    let normalise = Preset::Torchvision.preprocess().normalise;
    let bytes: Vec<u8> = units("pixels").take(77 * 3).map(|unit| (unit * 256.0) as u8).collect();
    let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) * 0.99).collect();
    for number in NUMBERS {
        for (kind, values) in [("u8", bytes.iter().map(|&byte| f32::from(byte)).collect()), ("f32", floats.clone())] {
            let (stream, kernel) = function(&card, INPUT, &format!("input_{kind}_{}", number.name));
            let from = if kind == "u8" { bytes.clone() } else { floats.iter().flat_map(|f| f.to_le_bytes()).collect() };
            let from = stream.clone_htod(&from).unwrap();
            let pack = number.pack();
            let mut to = stream.clone_htod(&vec![0x77_u8; 77 * 16]).unwrap();
            let count = 77_i64;
            let mut launch = stream.launch_builder(&kernel);
            launch.arg(&from).arg(&mut to).arg(&count);
            normalise.divide.iter().chain(&normalise.subtract).for_each(|factor| {
                launch.arg(factor);
            });
            // SAFETY: the arguments are those of kernels/input.cu, and the memory is as long as it says.
            unsafe { launch.launch(over(77)) }.unwrap();
            let results = number.floats(&stream.clone_dtoh(&to).unwrap());
            let expected: Vec<f32> = (0..77 * pack)
                .map(|index| match index % pack {
                    color @ ..3 => number.near(normalise.input(values[index / pack * 3 + color], color)),
                    _ => 0.0,
                })
                .collect();
            assert_eq!(results, expected, "{kind} to {}", number.name);
        }
    }
}

/// A pool, as kernels/pool.cu is told of it.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "the kernel has as many")]
struct Pool {
    maximum: bool,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    padding: [usize; 2],
    counts_padding: bool,
    bias: bool,
    relu: bool,
}

const IMAGES: usize = 2;
const CHANNELS: usize = 16;
/// Numbers from one pixel to the next, where others' channels lie between.
const STRIDE: usize = CHANNELS + 8;

impl Pool {
    fn out(self) -> [usize; 2] {
        [0, 1].map(|axis| (self.size[axis] + 2 * self.padding[axis] - self.kernel[axis]) / self.stride + 1)
    }

    /// One number of the result by plain loops.
    fn number(self, input: &[f32], bias: &[f32], image: usize, [y, x]: [usize; 2], channel: usize) -> f32 {
        let [height, width] = self.size;
        let (mut largest, mut sum, mut inside) = (f32::NEG_INFINITY, 0.0, 0);
        for row in 0..self.kernel[0] {
            for column in 0..self.kernel[1] {
                let y = (y * self.stride + row).wrapping_sub(self.padding[0]);
                let x = (x * self.stride + column).wrapping_sub(self.padding[1]);
                if y < height && x < width {
                    let value = input[((image * height + y) * width + x) * STRIDE + channel];
                    largest = largest.max(value);
                    sum += value;
                    inside += 1;
                }
            }
        }
        let taps = if self.counts_padding { self.kernel.iter().product() } else { inside };
        let pooled = if self.maximum { largest } else { sum / taps as f32 };
        let biased = if self.bias { pooled + bias[channel] } else { pooled };
        if self.relu { biased.max(0.0) } else { biased }
    }
}

#[test]
fn pools_take_windows_to_their_channels_and_touch_no_others() {
    let Some(card) = card() else { return };
    let plain = Pool {
        maximum: true,
        size: [9, 7],
        kernel: [3, 3],
        stride: 2,
        padding: [0, 0],
        counts_padding: false,
        bias: false,
        relu: false,
    };
    let same = Pool { maximum: false, stride: 1, padding: [1, 1], ..plain };
    let pools = [
        plain,
        Pool { padding: [1, 1], stride: 1, ..plain },
        same,
        Pool { counts_padding: true, ..same },
        Pool { bias: true, relu: true, ..same },
        Pool { kernel: [1, 1], padding: [0, 0], ..same },
        Pool { kernel: [1, 1], padding: [0, 0], bias: true, relu: true, ..same },
        Pool { size: [1, 5], kernel: [1, 3], padding: [0, 1], ..same },
    ];
    for number in NUMBERS {
        for (index, pool) in pools.into_iter().enumerate() {
            let kind = if pool.maximum { "max_pool" } else { "average_pool" };
            let (stream, kernel) = function(&card, POOL, &format!("{kind}_{}", number.name));
            let ([height, width], [rows, columns]) = (pool.size, pool.out());
            let input = random(number, "pool", IMAGES * height * width * STRIDE);
            let bias = random(NUMBERS[0], "bias", CHANNELS);
            let others = number.near(7.0);
            // The channels start where 16 bytes do, behind 8 of others' where there is room.
            let before = vec![others; IMAGES * rows * columns * STRIDE];
            let from = stream.clone_htod(&number.all(&input)).unwrap();
            let to = stream.clone_htod(&number.all(&before)).unwrap();
            let bias_there = stream.clone_htod(&bias).unwrap();
            let to_address = to.device_ptr(&stream).0 + (8 * number.bytes) as u64;
            let bias_address = if pool.bias { bias_there.device_ptr(&stream).0 } else { 0 };
            let numbers = [IMAGES, height, width, STRIDE, rows, columns, STRIDE, CHANNELS]
                .into_iter()
                .chain([pool.kernel[0], pool.kernel[1], pool.stride, pool.padding[0], pool.padding[1]])
                .map(|number| number as i32)
                .chain([i32::from(pool.counts_padding), i32::from(pool.relu)])
                .collect::<Vec<_>>();
            let mut launch = stream.launch_builder(&kernel);
            launch.arg(&from).arg(&to_address).arg(&bias_address);
            for number in &numbers {
                launch.arg(number);
            }
            // SAFETY: the arguments are those of kernels/pool.cu, and the memory is as long as they say.
            unsafe { launch.launch(over(IMAGES * rows * columns * CHANNELS / number.pack())) }.unwrap();
            let results = number.floats(&stream.clone_dtoh(&to).unwrap());
            let expected: Vec<f32> = (0..results.len())
                .map(|at| match (at % STRIDE).checked_sub(8) {
                    Some(channel) => {
                        let pixel = at / STRIDE;
                        let place = [pixel / columns % rows, pixel % columns];
                        number.near(pool.number(&input, &bias, pixel / columns / rows, place, channel))
                    }
                    None => others,
                })
                .collect();
            number.assert_near(&results, &expected, &format!("pool {index}"));
        }
    }
}

#[test]
fn what_leaves_is_the_mean_of_each_channel_or_one_channel_after_the_other() {
    const PIXELS: usize = 15;
    let Some(card) = card() else { return };
    for number in NUMBERS {
        let input = random(number, "output", IMAGES * PIXELS * STRIDE);
        let at = |image: usize, pixel: usize, channel: usize| input[(image * PIXELS + pixel) * STRIDE + channel];
        let each = |of: &dyn Fn(usize, usize) -> Vec<f32>| -> Vec<f32> {
            (0..IMAGES).flat_map(|image| (0..CHANNELS).flat_map(move |channel| of(image, channel))).collect()
        };
        let planes = each(&|image, channel| (0..PIXELS).map(|pixel| at(image, pixel, channel)).collect());
        let means: Vec<f32> = planes.chunks(PIXELS).map(|plane| plane.iter().sum::<f32>() / PIXELS as f32).collect();
        for (kind, expected, threads) in [
            ("global_average", means, IMAGES * CHANNELS / number.pack()),
            ("planes", planes, IMAGES * CHANNELS * PIXELS),
        ] {
            let (stream, kernel) = function(&card, OUTPUT, &format!("{kind}_{}", number.name));
            let from = stream.clone_htod(&number.all(&input)).unwrap();
            let mut to = stream.clone_htod(&vec![f32::NAN; expected.len()]).unwrap();
            let [images, pixels, stride, channels] = [IMAGES, PIXELS, STRIDE, CHANNELS].map(|number| number as i32);
            let mut launch = stream.launch_builder(&kernel);
            launch.arg(&from).arg(&mut to).arg(&images).arg(&pixels).arg(&stride).arg(&channels);
            // SAFETY: the arguments are those of kernels/output.cu, and the memory is as long as they say.
            unsafe { launch.launch(over(threads)) }.unwrap();
            NUMBERS[0].assert_near(&stream.clone_dtoh(&to).unwrap(), &expected, &format!("{kind} of {}", number.name));
        }
    }
}
