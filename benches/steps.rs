//! Where the time of an image goes: each step of the CPU engine on one thread, four images together, the best of twelve runs.
//!
//! `cargo bench --bench steps`. Operations are those of the plain sum, two for a product and its addition.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may stop where it stands, and prints")]

use candle_core::{Device, Tensor};
use headstock::engine::Cpu;
use headstock::inception::{INPUT_SIDE, Network, Op, Variant};
use headstock::weights::Weights;

const IMAGES: usize = 4;
const RUNS: usize = 12;

fn main() {
    let network = Network::new(Variant::Tf2015);
    let shapes = network.shapes([INPUT_SIDE; 2]).unwrap();
    let engine = Cpu::new(network.clone(), &Weights::embedded().unwrap()).unwrap();
    let images = Tensor::rand(-1_f32, 1.0, (IMAGES, INPUT_SIDE, INPUT_SIDE, 3), &Device::Cpu).unwrap();
    let images = images.permute((0, 3, 1, 2)).unwrap();
    let mut best = engine.time_steps(&images).unwrap();
    for _ in 1..RUNS {
        for (best, (_, time)) in best.iter_mut().zip(engine.time_steps(&images).unwrap()) {
            best.1 = best.1.min(time);
        }
    }
    for (name, time) in &best {
        let id = network.nodes().iter().position(|node| node.name == *name).unwrap();
        let milliseconds = time.as_secs_f64() * 1e3 / IMAGES as f64;
        print!("{name:28} {milliseconds:7.3} ms an image");
        match network.nodes()[id].op {
            Op::Convolution(shape) => {
                let operations = 2 * shape.kernel_len() * shapes[id][1] * shapes[id][2];
                println!("  {:6.1} GFLOP/s", operations as f64 / milliseconds / 1e6);
            }
            _ => println!(),
        }
    }
    let all: f64 = best.iter().map(|(_, time)| time.as_secs_f64()).sum();
    println!("{:28} {:7.3} ms an image", "all", all * 1e3 / IMAGES as f64);
}
