//! The bare network for `scripts/bench_peers.py` and `scripts/bench_gpu.py`: reads lines `BATCH REPEATS [DEVICE [PRECISION]]`, as in `8 20` or
//! `256 50 cuda:0 f16`, runs so many batches of random images that are on the device already, prints the images a second. Not a
//! statistic by itself; the scripts take turns with the peers.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may stop where it stands, and prints")]

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use headstock::engine::{DeviceChoice, Engine, EngineChoice, Precision};
use headstock::inception::{INPUT_SIDE, Network, Variant};
use headstock::weights::Weights;

fn open(device: &str, precision: &str) -> Arc<dyn Engine> {
    let devices = device.parse::<DeviceChoice>().unwrap().open().unwrap().devices;
    let precision: Precision = precision.parse().unwrap();
    let weights = Weights::embedded().unwrap();
    EngineChoice::Auto.open(Network::new(Variant::Tf2015), &weights, &devices, precision).unwrap()
}

/// Images a second. What a card was given to do is waited for, once at the end, as its other users do.
fn rate(engine: &dyn Engine, batch: usize, repeats: usize) -> f64 {
    let images = Tensor::rand(-1_f32, 1.0, (batch, INPUT_SIDE, INPUT_SIDE, 3), &Device::Cpu).unwrap();
    let images = images.to_device(engine.device()).unwrap().permute((0, 3, 1, 2)).unwrap();
    for _ in 0..if engine.device().is_cpu() { 1 } else { 3 } {
        engine.run(&images).unwrap();
    }
    engine.device().synchronize().unwrap();
    let began = Instant::now();
    for _ in 0..repeats {
        engine.run(&images).unwrap();
    }
    engine.device().synchronize().unwrap();
    (batch * repeats) as f64 / began.elapsed().as_secs_f64()
}

fn main() {
    let mut engines: HashMap<String, Arc<dyn Engine>> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let device = words.get(2).copied().unwrap_or("cpu");
        let precision = words.get(3).copied().unwrap_or("auto");
        let engine = engines.entry(format!("{device} {precision}")).or_insert_with(|| open(device, precision));
        println!("{}", rate(engine.as_ref(), words[0].parse().unwrap(), words[1].parse().unwrap()));
    }
}
