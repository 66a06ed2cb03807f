//! Each convolution of the network by its shape, on one thread, and the peak of the processor in the same run.
//!
//! `cargo bench --bench convolutions`. Criterion's elements are floating-point operations of the plain sum (two for a product and its
//! addition), so `Gelem/s` reads as GFLOP/s; minimal filtering does fewer, and may pass the peak.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that panics has failed, as it should")]

mod peak;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headstock::engine::cpu::algorithm::Algorithm;
use headstock::engine::cpu::kernels::Instructions;
use headstock::engine::cpu::layer::Layer;
use headstock::inception::{INPUT_SIDE, Network, Op, Variant};
use peak::Peak;
use pulp::Arch;

fn peak(c: &mut Criterion) {
    const ROUNDS: usize = 10_000;
    let mut group = c.benchmark_group("peak");
    group.throughput(Throughput::Elements(peak::operations(ROUNDS) as u64));
    group.bench_function("multiply and add", |b| b.iter(|| Arch::new().dispatch(Peak(black_box(ROUNDS)))));
}

/// What bytes would gain over float32 where there is AVX2 and no more.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "instructions that are asked for")]
fn bytes(c: &mut Criterion) {
    if !peak::avx2::is_there() {
        return;
    }
    let mut group = c.benchmark_group("inner loop by AVX2, near data");
    group.throughput(Throughput::Elements(peak::avx2::OPERATIONS as u64));
    let (floats, bytes) = (peak::avx2::Data::new(0.5), peak::avx2::Data::new(3));
    // SAFETY: they are there.
    group.bench_function("float32", |b| b.iter(|| unsafe { peak::avx2::floats(black_box(&floats)) }));
    // SAFETY: as above.
    group.bench_function("bytes", |b| b.iter(|| unsafe { peak::avx2::bytes(black_box(&bytes)) }));
}

#[cfg(not(target_arch = "x86_64"))]
fn bytes(_: &mut Criterion) {}

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

criterion_group!(benches, peak, bytes, convolutions);
criterion_main!(benches);
