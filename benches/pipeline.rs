//! Where the time goes, image by image: decode, resize, network, and the whole pipeline from files to rows.
//!
//! `cargo bench`; results with the machine's description are kept in `benches/results/`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that panics has failed, as it should")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headstock::dataset;
use headstock::engine::{EngineChoice, Precision, network_input};
use headstock::image::{DecodeOptions, Preset, decode, is_candidate};
use headstock::inception::Network;
use headstock::pipeline::{Embed, Loader, decode_ahead};
use headstock::weights::Weights;

fn under_root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A JPEG of 500x375, 4:2:0, quality 90.
fn photo() -> Vec<u8> {
    std::fs::read(under_root("tests/golden/photo.jpg")).unwrap()
}

fn images(c: &mut Criterion) {
    let (bytes, options) = (photo(), DecodeOptions::default());
    let picture = decode(&bytes, &options).unwrap();
    let mut group = c.benchmark_group("image");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode a JPEG of 500x375", |b| b.iter(|| decode(black_box(&bytes), &options).unwrap()));
    for preset in Preset::ALL {
        let preprocess = preset.preprocess();
        group.bench_function(format!("resize it, {preset}"), |b| b.iter(|| preprocess.apply(black_box(&picture))));
    }
}

fn network(c: &mut Criterion) {
    let preprocess = Preset::Tf.preprocess();
    let pixels = preprocess.apply(&decode(&photo(), &DecodeOptions::default()).unwrap());
    let weights = Weights::embedded().unwrap();
    let engine =
        EngineChoice::Auto.open(Network::new(weights.variant()), &weights, &[Device::Cpu], Precision::Auto).unwrap();
    let mut group = c.benchmark_group("network");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    for batch in [1, 8] {
        let input = network_input(&vec![pixels.clone(); batch], &preprocess.normalise, &Device::Cpu).unwrap();
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("batch {batch}"), |b| b.iter(|| engine.run(&input).unwrap()));
    }
    group.bench_function("load the embedded weights and lay them out", |b| {
        b.iter(|| {
            let weights = Weights::embedded().unwrap();
            EngineChoice::Auto.open(Network::new(weights.variant()), &weights, &[Device::Cpu], Precision::Auto).unwrap()
        });
    });
}

fn pipeline(c: &mut Criterion) {
    let preprocess = Preset::Tf.preprocess();
    let mut guitars = dataset::list(&under_root("data/guitars"), is_candidate).unwrap();
    guitars.limit(16);
    let loader = Loader { root: guitars.root.clone(), options: DecodeOptions::default(), preprocess };
    let weights = Weights::embedded().unwrap();
    let engine =
        EngineChoice::Auto.open(Network::new(weights.variant()), &weights, &[Device::Cpu], Precision::Auto).unwrap();
    let mut group = c.benchmark_group("pipeline");
    group.sample_size(10).measurement_time(Duration::from_secs(50)).throughput(Throughput::Elements(16));
    group.bench_function("16 guitars, files to rows", |b| {
        b.iter(|| {
            let decoded = decode_ahead(loader.clone(), &guitars.candidates, 0, 16);
            let batches = Embed::new(decoded, Arc::clone(&engine), preprocess.normalise, 8);
            batches.map(|batch| batch.unwrap().rows.len()).sum::<usize>()
        });
    });
    group.bench_function("16 guitars, files to pixels", |b| {
        b.iter(|| decode_ahead(loader.clone(), &guitars.candidates, 0, 16).filter(|d| d.pixels.is_ok()).count());
    });
}

criterion_group!(benches, images, network, pipeline);
criterion_main!(benches);
