//! Each convolution of the network by its shape, on one thread, and the peak of the processor in the same run.
//!
//! `cargo bench --bench convolutions`. Criterion's elements are floating-point operations of the plain sum (two for a product and its
//! addition), so `Gelem/s` reads as GFLOP/s; minimal filtering does fewer, and may pass the peak.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that panics has failed, as it should")]
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headstock::engine::cpu::algorithm::Algorithm;
use headstock::engine::cpu::kernels::Instructions;
use headstock::engine::cpu::layer::Layer;
use headstock::inception::{INPUT_SIDE, Network, Op, Variant};
use pulp::{Arch, Simd, WithSimd};

/// Multiplies and adds in registers, as many at once as hide the latency.
struct Peak(usize);

const SUMS: usize = 12;

impl WithSimd for Peak {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.splat_f32s(black_box(0.5)); SUMS];
        let (by, and) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(1e-3)));
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, by, and);
            }
        }
        let mut all = sums[0];
        for &sum in &sums[1..] {
            all = simd.add_f32s(all, sum);
        }
        simd.reduce_sum_f32s(all)
    }
}

/// Numbers in a vector.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

fn peak(c: &mut Criterion) {
    const ROUNDS: usize = 10_000;
    let lanes = Arch::new().dispatch(Lanes);
    let mut group = c.benchmark_group("peak");
    group.throughput(Throughput::Elements((2 * ROUNDS * SUMS * lanes) as u64));
    group.bench_function("multiply and add", |b| b.iter(|| Arch::new().dispatch(Peak(black_box(ROUNDS)))));
}

fn convolutions(c: &mut Criterion) {
    let network = Network::new(Variant::Tf2015);
    let shapes = network.shapes([INPUT_SIDE; 2]).unwrap();
    let mut seen = BTreeSet::new();
    let mut group = c.benchmark_group("convolution");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for (id, node) in network.nodes().iter().enumerate() {
        let Op::Convolution(shape) = node.op else { continue };
        let [_, height, width] = shapes[node.inputs[0]];
        if !seen.insert((shape.kernel_shape(), height)) {
            continue;
        }
        // As the engine has it: small maps in groups.
        let images = if height * width < 128 { 8 } else { 1 };
        let [out, rows, columns] = shapes[id];
        let numbers = |len: usize| -> Vec<f32> { (0..len).map(|i| (i * 7919 % 1000) as f32 / 1000.0).collect() };
        let (kernel, bias) = (numbers(shape.kernel_len()), numbers(out));
        let mut layer = Layer::new(shape, Algorithm::of(&shape), Instructions::best(), &kernel, &bias).unwrap();
        let input = numbers(images * height * width * shape.in_channels);
        let mut output = vec![0.0; images * rows * columns * out];
        let [kernel_height, kernel_width] = shape.window.kernel;
        let name =
            format!("{kernel_height}x{kernel_width}/{} {}-{out} on {height}", shape.window.stride, shape.in_channels);
        group.throughput(Throughput::Elements((2 * images * rows * columns * shape.kernel_len()) as u64));
        group.bench_function(name, |b| b.iter(|| layer.run(&input, images, [height, width], &mut output).unwrap()));
    }
}

criterion_group!(benches, peak, convolutions);
criterion_main!(benches);
