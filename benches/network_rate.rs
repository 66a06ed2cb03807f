//! The bare network for `scripts/bench_peers.py`: reads lines `BATCH REPEATS`, runs so many batches of random images, prints the
//! images a second. Not a statistic by itself; the script takes turns with the peers.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may stop where it stands, and prints")]

use std::io::BufRead;
use std::time::Instant;

use candle_core::{Device, Tensor};
use headstock::engine::{Cpu, Engine};
use headstock::inception::{INPUT_SIDE, Network, Variant};
use headstock::weights::Weights;

fn main() {
    let engine = Cpu::new(Network::new(Variant::Tf2015), &Weights::embedded().unwrap()).unwrap();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut numbers = line.split_whitespace().map(|number| number.parse::<usize>().unwrap());
        let (batch, repeats) = (numbers.next().unwrap(), numbers.next().unwrap());
        let images = Tensor::rand(-1_f32, 1.0, (batch, INPUT_SIDE, INPUT_SIDE, 3), &Device::Cpu).unwrap();
        let images = images.permute((0, 3, 1, 2)).unwrap();
        engine.run(&images).unwrap();
        let began = Instant::now();
        for _ in 0..repeats {
            engine.run(&images).unwrap();
        }
        println!("{}", (batch * repeats) as f64 / began.elapsed().as_secs_f64());
    }
}
