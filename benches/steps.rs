//! Where the time of an image goes: each step of the CPU engine on one thread, eight images together, the best of twelve runs,
//! beside its floor: the multiplications that its algorithm leaves, at the peak that the processor reaches in the same run.
//!
//! `cargo bench --bench steps`; `-- avx2` or `-- portable` for those instructions. Operations are those of the plain sum, two for a
//! product and its addition.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may stop where it stands, and prints")]

mod peak;

use std::collections::HashSet;

use candle_core::{Device, Tensor};
use headstock::engine::Cpu;
use headstock::engine::cpu::algorithm::Algorithm;
use headstock::engine::cpu::kernels::Instructions;
use headstock::inception::{INPUT_SIDE, Network, Op, Variant};
use headstock::weights::Weights;

const IMAGES: usize = 8;
const RUNS: usize = 12;

fn main() {
    let asked = |name: &str| std::env::args().any(|argument| argument == name);
    let instructions = match () {
        () if asked("avx2") => Instructions::Avx2,
        () if asked("portable") => Instructions::Portable,
        () => Instructions::best(),
    };
    let network = Network::new(Variant::Tf2015);
    let shapes = network.shapes([INPUT_SIDE; 2]).unwrap();
    let engine = Cpu::with(network.clone(), &Weights::embedded().unwrap(), instructions).unwrap();
    let images = Tensor::rand(-1_f32, 1.0, (IMAGES, INPUT_SIDE, INPUT_SIDE, 3), &Device::Cpu).unwrap();
    let images = images.permute((0, 3, 1, 2)).unwrap();
    let mut peak = peak::gflops();
    let mut best = engine.time_steps(&images).unwrap();
    for _ in 1..RUNS {
        for (best, (_, time)) in best.iter_mut().zip(engine.time_steps(&images).unwrap()) {
            best.1 = best.1.min(time);
        }
        peak = peak.max(peak::gflops());
    }
    println!("{instructions}; multiplies and adds in registers, by the best instructions: {peak:.1} GFLOP/s");
    println!("{:28} {:>7} {:>7} {:>6} {:>8}", "", "ms", "floor", "of it", "GFLOP/s");
    let (mut all, mut floors) = (0.0, 0.0);
    let mut seen = HashSet::new();
    for (name, time) in &best {
        let id = network.nodes().iter().position(|node| node.name == *name).unwrap();
        let milliseconds = time.as_secs_f64() * 1e3 / IMAGES as f64;
        all += milliseconds;
        print!("{name:28} {milliseconds:7.3}");
        // A convolution in front of the pool that was before it bears the same name as that pool, and comes first.
        if let Op::Convolution(shape) = network.nodes()[id].op
            && seen.insert(id)
        {
            let [_, height, width] = shapes[id];
            let left = Algorithm::of(&shape).multiplications(&shape, [height, width]);
            let floor = 2.0 * left as f64 / peak / 1e6;
            floors += floor;
            let rate = (2 * shape.kernel_len() * height * width) as f64 / milliseconds / 1e6;
            print!(" {floor:7.3} {:6.2} {rate:8.1}", milliseconds / floor);
        }
        println!();
    }
    println!("{:28} {all:7.3} {floors:7.3} {:6.2}", "all", all / floors);
}
