//! Training past layer 150, for `scripts/bench_finetune.py` and `scripts/bench_gpu.py`. Reads lines
//!
//! - `BATCH STEPS`: trains so many steps on random maps, prints the images a second and, on the standard error, where the time went;
//! - `BATCH STEPS DEVICE PRECISION`, as in `32 50 cuda:0 bf16`: the same on any device, by whatever trains there, the optimiser where the
//!   parameters are;
//! - `IMAGES BATCH EPOCHS`: from random images to the end of so many epochs, the frozen layers once, prints images times
//!   epochs a second and, on the standard error, where the time went.
//!
//! Not a statistic by itself; the script takes turns with PyTorch.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark may stop where it stands, and prints"
)]

use std::io::BufRead;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use headstock::engine::cpu::training::Training;
use headstock::engine::trainable::{BatchNorm, Pass, Trainable, channels_last, open_trainable};
use headstock::engine::{Cpu, DeviceChoice, Engine};
use headstock::finetune::{Optimiser, Rule};
use headstock::inception::{FreezePoint, INPUT_SIDE, Network, Variant};
use headstock::weights::Weights;
use rayon::prelude::*;

/// SGD with momentum, in one pass over the vectors.
fn update(training: &mut dyn Trainable, velocity: &mut Vec<f32>) {
    const PIECE: usize = 1 << 14;
    training
        .update(&mut |values, gradients| {
            velocity.resize(values.len(), 0.0);
            let pieces = values.par_chunks_mut(PIECE).zip(gradients.par_chunks_mut(PIECE));
            pieces.zip(velocity.par_chunks_mut(PIECE)).for_each(|((values, gradients), velocity)| {
                for ((value, gradient), velocity) in values.iter_mut().zip(gradients).zip(velocity) {
                    *velocity = 0.9 * *velocity + *gradient;
                    *value -= 1e-6 * *velocity;
                    *gradient = 0.0;
                }
            });
        })
        .unwrap();
}

/// Random images, `[images, side, side, 3]`.
fn random_images(images: usize) -> Tensor {
    Tensor::rand(-1_f32, 1.0, (images, INPUT_SIDE, INPUT_SIDE, 3), &Device::Cpu).unwrap()
}

/// What crosses the border, a tensor a batch as a cache would hold it: `[batch, 17, 17, channels]`, on the heap.
fn cache(network: &Network, weights: &Weights, training: &Training, images: &Tensor, batch: usize) -> Vec<Tensor> {
    // As many at a time as the program takes: eight a thread.
    let at_once = (8 * rayon::current_num_threads()).next_multiple_of(batch);
    let trunks = training.border().trunks(network);
    let engine = Cpu::new(trunks.into_iter().next().unwrap(), weights).unwrap();
    let all = images.dim(0).unwrap();
    let run = |first: usize| {
        let images = images.narrow(0, first, at_once.min(all - first)).unwrap().permute((0, 3, 1, 2)).unwrap();
        channels_last(&engine.run(&images).unwrap()).unwrap()
    };
    let maps = (0..all).step_by(at_once).map(run);
    let batches = maps.flat_map(|maps| maps.chunk(maps.dim(0).unwrap().div_ceil(batch), 0).unwrap());
    batches.collect()
}

/// One step of training on a batch's maps; what the optimiser took of it.
fn step(training: &mut dyn Trainable, maps: &Tensor, velocity: &mut Vec<f32>) -> Duration {
    let features = training.features(std::slice::from_ref(maps), Pass::Train).unwrap();
    training.backward(&(features * 1e-4).unwrap()).unwrap();
    let began = Instant::now();
    update(training, velocity);
    began.elapsed()
}

/// The rate of steps on the same maps, and where the time goes.
fn warm(training: &mut Training, batch: usize, steps: usize) {
    let channels = training.border().groups()[0].channels;
    let maps = Tensor::rand(0_f32, 1.0, (batch, 17, 17, channels), &Device::Cpu).unwrap();
    let mut velocity = Vec::new();
    step(training, &maps, &mut velocity);
    training.take_times();
    let began = Instant::now();
    let optimiser: Duration = (0..steps).map(|_| step(training, &maps, &mut velocity)).sum();
    println!("{}", (batch * steps) as f64 / began.elapsed().as_secs_f64());
    say_times(training, optimiser, steps);
}

/// The rate of steps on the same maps on a device.
fn warm_on(device: &str, precision: &str, batch: usize, steps: usize) {
    let device = device.parse::<DeviceChoice>().unwrap().open().unwrap().devices.remove(0);
    let (network, weights) = (Network::new(Variant::Tf2015), Weights::embedded().unwrap());
    let freeze = FreezePoint::Layers(150);
    let precision = precision.parse().unwrap();
    let mut training = open_trainable(&network, &weights, &freeze, BatchNorm::Frozen, &device, precision).unwrap();
    let len = training.parameters().last().map_or(0, |last| last.range.end);
    let mut optimiser = Optimiser::new(Rule::Sgd { momentum: 0.9 }, 0.0, Vec::new(), len);
    let channels = training.border().groups()[0].channels;
    let maps = Tensor::rand(0_f32, 1.0, (batch, 17, 17, channels), &Device::Cpu).unwrap().to_device(&device).unwrap();
    let mut step = || {
        let features = training.features(std::slice::from_ref(&maps), Pass::Train).unwrap();
        training.backward(&(features * 1e-4).unwrap()).unwrap();
        training.step(&mut optimiser, 1e-6, &mut |_| Some(1.0)).unwrap();
    };
    (0..3).for_each(|_| step());
    device.synchronize().unwrap();
    let began = Instant::now();
    (0..steps).for_each(|_| step());
    device.synchronize().unwrap();
    println!("{}", (batch * steps) as f64 / began.elapsed().as_secs_f64());
}

/// Where the time of so many steps went.
fn say_times(training: &mut Training, optimiser: Duration, steps: usize) {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3 / steps as f64;
    for (phase, time) in training.take_times() {
        eprintln!("{phase:?}: {:.1} ms", milliseconds(time));
    }
    eprintln!("Optimiser: {:.1} ms", milliseconds(optimiser));
}

/// The rate of whole epochs from nothing but images: weights, engine, trunk, steps.
fn cold(images: usize, batch: usize, epochs: usize) {
    let pixels = random_images(images);
    let began = Instant::now();
    let (network, weights, mut training) = open();
    let opened = began.elapsed();
    let cache = cache(&network, &weights, &training, &pixels, batch);
    let cached = began.elapsed();
    let (mut velocity, mut optimiser) = (Vec::new(), Duration::ZERO);
    for maps in (0..epochs).flat_map(|_| &cache) {
        optimiser += step(&mut training, maps, &mut velocity);
    }
    let all = began.elapsed();
    println!("{}", (images * epochs) as f64 / all.as_secs_f64());
    for (part, time) in [("Open", opened), ("Frozen layers", cached), ("Steps", all)] {
        eprintln!("{part}: until {:.2} s", time.as_secs_f64());
    }
    say_times(&mut training, optimiser, epochs * cache.len());
}

fn open() -> (Network, Weights, Training) {
    let network = Network::new(Variant::Tf2015);
    let weights = Weights::embedded().unwrap();
    let training = Training::new(&network, &weights, &FreezePoint::Layers(150), BatchNorm::Frozen).unwrap();
    (network, weights, training)
}

fn main() {
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse::<usize>();
        match words[..] {
            [batch, steps] => warm(&mut open().2, number(batch).unwrap(), number(steps).unwrap()),
            [images, batch, epochs] => {
                cold(number(images).unwrap(), number(batch).unwrap(), number(epochs).unwrap());
            }
            [batch, steps, device, precision] => {
                warm_on(device, precision, number(batch).unwrap(), number(steps).unwrap());
            }
            _ => eprintln!("BATCH STEPS [DEVICE PRECISION], or IMAGES BATCH EPOCHS"),
        }
    }
}
