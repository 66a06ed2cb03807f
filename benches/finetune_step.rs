//! Training past layer 150, for `scripts/bench_finetune.py` and `scripts/bench_gpu.py`. Reads lines
//!
//! - `BATCH STEPS`: trains so many steps on random maps, prints the images a second and, on the standard error, where the time went;
//! - `BATCH STEPS DEVICE`, as in `32 50 cuda:0`: the same on any device, by whatever trains there;
//! - `IMAGES BATCH EPOCHS`: from nothing to the end of so many epochs of random images, the frozen layers once, prints images times
//!   epochs a second.
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

/// What crosses the border of random images, some at a time, as a cache would hold it: `[images, 17, 17, channels]`, on the heap.
fn cache(network: &Network, weights: &Weights, training: &Training, images: usize, batch: usize) -> Vec<Tensor> {
    let trunks = training.border().trunks(network);
    let engine = Cpu::new(trunks.into_iter().next().unwrap(), weights).unwrap();
    let run = |count| {
        let pixels = Tensor::rand(-1_f32, 1.0, (count, INPUT_SIDE, INPUT_SIDE, 3), &Device::Cpu).unwrap();
        channels_last(&engine.run(&pixels.permute((0, 3, 1, 2)).unwrap()).unwrap()).unwrap()
    };
    (0..images).step_by(batch).map(|first| run(batch.min(images - first))).collect()
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
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3 / steps as f64;
    for (phase, time) in training.take_times() {
        eprintln!("{phase:?}: {:.1} ms", milliseconds(time));
    }
    eprintln!("Optimiser: {:.1} ms", milliseconds(optimiser));
}

/// The rate of steps on the same maps on a device.
fn warm_on(device: &str, batch: usize, steps: usize) {
    let device = device.parse::<DeviceChoice>().unwrap().open().unwrap().devices.remove(0);
    let (network, weights) = (Network::new(Variant::Tf2015), Weights::embedded().unwrap());
    let freeze = FreezePoint::Layers(150);
    let mut training = open_trainable(&network, &weights, &freeze, BatchNorm::Frozen, &device).unwrap();
    let channels = training.border().groups()[0].channels;
    let maps = Tensor::rand(0_f32, 1.0, (batch, 17, 17, channels), &Device::Cpu).unwrap().to_device(&device).unwrap();
    let mut velocity = Vec::new();
    for _ in 0..3 {
        step(training.as_mut(), &maps, &mut velocity);
    }
    device.synchronize().unwrap();
    let began = Instant::now();
    for _ in 0..steps {
        step(training.as_mut(), &maps, &mut velocity);
    }
    device.synchronize().unwrap();
    println!("{}", (batch * steps) as f64 / began.elapsed().as_secs_f64());
}

/// The rate of whole epochs from nothing: weights, engine, trunk, steps.
fn cold(images: usize, batch: usize, epochs: usize) {
    let began = Instant::now();
    let (network, weights, mut training) = open();
    let cache = cache(&network, &weights, &training, images, batch);
    let mut velocity = Vec::new();
    for _ in 0..epochs {
        for maps in &cache {
            step(&mut training, maps, &mut velocity);
        }
    }
    println!("{}", (images * epochs) as f64 / began.elapsed().as_secs_f64());
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
            [a, b, c] => match number(c) {
                Ok(epochs) => cold(number(a).unwrap(), number(b).unwrap(), epochs),
                Err(_) => warm_on(c, number(a).unwrap(), number(b).unwrap()),
            },
            _ => eprintln!("BATCH STEPS [DEVICE], or IMAGES BATCH EPOCHS"),
        }
    }
}
