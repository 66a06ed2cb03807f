//! The engine for NVIDIA cards against the reference on the CPU, on a card or on the stand-in for one
//! (`scripts/check_cuda_without_card.sh`). Where no card opens, each test says so and passes.
#![cfg(feature = "cuda")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::sync::{Arc, LazyLock};

use candle_core::{DType, Device, Tensor};
use headstock::engine::{Cpu, Cuda, Engine, Precision, Reference, Several, network_input};
use headstock::image::{Normalise, Pixels, Preset, Values};
use headstock::inception::{Border, FreezePoint, Network, Variant};
use headstock::weights::Weights;
use support::card::{card, cards, free_memory, is_stand_in};
use support::{cosine, golden_pixels, relative_l2, seeded_weights, under_tests, units};

const PRECISIONS: [Precision; 4] = [Precision::F32, Precision::Tf32, Precision::Bf16, Precision::F16];

/// The smallest images that the network takes.
const SMALLEST: usize = 75;

static WEIGHTS: LazyLock<Weights> = LazyLock::new(|| weights(Variant::Tf2015));

/// Those that were trained, of the variant that has some here; of the others random ones.
fn weights(variant: Variant) -> Weights {
    let bytes = match variant {
        Variant::Tf2015 => std::fs::read(under_tests("../data/inception_v3_2015.safetensors")).unwrap(),
        _ => seeded_weights(variant),
    };
    Weights::from_bytes(&bytes, None).unwrap()
}

fn engine(network: Network, weights: &Weights, card: &Device, precision: Precision) -> Cuda {
    let engine = Cuda::new(network, weights, card, precision).unwrap();
    // That its first batch may take long.
    engine.take_notes();
    engine
}

/// The whole network, in the precision that is fastest.
fn whole(card: &Device) -> Cuda {
    engine(Network::new(Variant::Tf2015), &WEIGHTS, card, Precision::F16)
}

/// Pictures that look like nothing, each another one.
fn pictures(count: usize, side: usize) -> Vec<Pixels> {
    let picture = |index| {
        let bytes = units(&format!("picture {index}")).take(side * side * 3).map(|unit| (unit * 256.0) as u8);
        Pixels { side, values: Values::U8(bytes.collect()) }
    };
    (0..count).map(picture).collect()
}

fn normalise() -> Normalise {
    Preset::Tf.preprocess().normalise
}

/// The same as the network's input, on the CPU.
fn input(pictures: &[Pixels]) -> Tensor {
    network_input(pictures, &normalise(), &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// What an engine gives of these pictures, to the bit; and it has nothing to say to that.
fn rows(engine: &dyn Engine, pictures: &[Pixels]) -> Vec<u32> {
    let rows = bits(&engine.embed(pictures, &normalise()).unwrap());
    // As it is where nobody waited for them.
    assert!(rows.chunks(2048).all(|row| row.iter().any(|&bits| bits != 0)), "a row of zeros");
    assert_eq!(engine.take_notes(), Vec::<String>::new());
    rows
}

/// Relative L2 and cosine that a precision leaves of noise in small images: the last map of 75x75 is one pixel, and there is nothing to
/// average. By the number types alone, everything else being right, tf32 is 3e-3 off, f16 6e-3, bf16 4e-2 to 8e-2.
const OF_NOISE: Bounds = |precision| match precision {
    Precision::F32 => (2e-5, 0.999_999),
    Precision::Tf32 => (1e-2, 0.999_9),
    Precision::F16 | Precision::Auto => (2e-2, 0.999_9),
    Precision::Bf16 => (1.5e-1, 0.99),
};

/// The same of photos of 299x299. By the number types alone tf32 is 1.3e-3 to 1.5e-3 off, f16 1.6e-3 to 2.3e-3, bf16 1.4e-2, with a cosine
/// of 0.9999.
const OF_PHOTOS: Bounds = |precision| match precision {
    Precision::F32 => (2e-5, 0.999_999),
    Precision::Tf32 => (3e-3, 0.999_99),
    Precision::F16 | Precision::Auto => (1e-2, 0.999_9),
    Precision::Bf16 => (3e-2, 0.999_5),
};

type Bounds = fn(Precision) -> (f64, f64);

/// Holds a result to the reference's, image by image, as close as a precision allows.
fn assert_close(result: &Tensor, expected: &Tensor, precision: Precision, bounds: Bounds, what: &str) {
    assert_eq!(result.dims(), expected.dims(), "{what}");
    assert_eq!(result.dtype(), DType::F32, "{what}");
    let (bound, least) = bounds(precision);
    for image in 0..result.dims()[0] {
        let [result, expected] = [result, expected].map(|tensor| tensor.get(image).unwrap());
        let error = relative_l2(&result, &expected);
        println!("{what}, {precision}, image {image}: {error:.1e}");
        assert!(error <= bound, "{what}, {precision}, image {image}: relative L2 {error:e}");
        let cosine = cosine(&numbers(&result), &numbers(&expected));
        assert!(cosine >= least, "{what}, {precision}, image {image}: cosine {cosine}");
    }
}

#[test]
fn parity_of_every_variant_in_every_precision() {
    let Some(card) = card() else { return };
    let sides: &[usize] = if is_stand_in(&card) { &[SMALLEST] } else { &[SMALLEST, 139, 299] };
    for variant in Variant::ALL {
        let weights = weights(variant);
        let reference = Reference::new(Network::new(variant), &weights, &Device::Cpu).unwrap();
        for &side in sides {
            let images = input(&pictures(3, side));
            let expected = reference.run(&images).unwrap();
            for precision in PRECISIONS {
                let engine = engine(Network::new(variant), &weights, &card, precision);
                let features = engine.run(&images).unwrap().to_device(&Device::Cpu).unwrap();
                assert_close(&features, &expected, precision, OF_NOISE, &format!("{variant}, {side}x{side}"));
            }
        }
    }
}

#[test]
fn photos_of_full_size_keep_their_features_in_every_precision() {
    let Some(card) = card() else { return };
    let images = golden_pixels(&normalise()).narrow(0, 0, 2).unwrap();
    let network = Network::new(Variant::Tf2015);
    let expected = Cpu::new(network.clone(), &WEIGHTS).unwrap().run(&images).unwrap();
    for precision in PRECISIONS {
        let engine = engine(network.clone(), &WEIGHTS, &card, precision);
        let features = engine.run(&images).unwrap().to_device(&Device::Cpu).unwrap();
        assert_close(&features, &expected, precision, OF_PHOTOS, "photos");
    }
}

#[test]
fn parity_of_images_that_are_not_square() {
    let Some(card) = card() else { return };
    let numbers: Vec<f32> = units("not square").take(2 * 3 * 91 * 76).map(|unit| unit * 2.0 - 1.0).collect();
    let images = Tensor::from_vec(numbers, (2, 3, 91, 76), &Device::Cpu).unwrap();
    let network = Network::new(Variant::Tf2015);
    let expected = Reference::new(network.clone(), &WEIGHTS, &Device::Cpu).unwrap().run(&images).unwrap();
    let engine = engine(network, &WEIGHTS, &card, Precision::F32);
    let features = engine.run(&images).unwrap().to_device(&Device::Cpu).unwrap();
    assert_close(&features, &expected, Precision::F32, OF_NOISE, "91x76");
}

#[test]
fn every_cut_gives_the_feature_map_of_the_reference() {
    let Some(card) = card() else { return };
    let network = Network::new(Variant::Tf2015);
    let images = input(&pictures(2, SMALLEST));
    let blocks = ["Conv2d_1a_3x3", "maxpool1", "maxpool2", "Mixed_5b", "Mixed_6a", "Mixed_6c", "Mixed_7a", "Mixed_7c"];
    let cuts = blocks.into_iter().filter_map(|name| Some((name.to_owned(), network.until(name)?)));
    let border = Border::new(&network, &FreezePoint::Layers(150)).unwrap();
    let trunks = border.trunks(&network).into_iter().map(|trunk| ("the border past 150".to_owned(), trunk));
    for (name, cut) in cuts.chain(trunks) {
        let expected = Reference::new(cut.clone(), &WEIGHTS, &Device::Cpu).unwrap().run(&images).unwrap();
        let engine = engine(cut, &WEIGHTS, &card, Precision::F32);
        let map = engine.run(&images).unwrap().to_device(&Device::Cpu).unwrap();
        assert_close(&map, &expected, Precision::F32, OF_NOISE, &name);
    }
}

#[test]
fn an_image_gives_the_same_bits_alone_in_a_tail_and_in_a_full_batch() {
    let Some(card) = card() else { return };
    let engine = whole(&card);
    let pictures = pictures(8, SMALLEST);
    let full = rows(&engine, &pictures);
    assert_eq!(full.len(), 8 * 2048);
    for tail in [0..1, 7..8, 2..5, 1..8] {
        let expected = &full[tail.start * 2048..tail.end * 2048];
        assert_eq!(rows(&engine, &pictures[tail.clone()]), expected, "{tail:?}");
    }
}

#[test]
fn bytes_give_the_bits_that_the_normalised_tensor_gives_from_either_side_of_the_bus() {
    let Some(card) = card() else { return };
    let engine = whole(&card);
    let of_bytes = pictures(3, SMALLEST);
    let of_floats: Vec<Pixels> = of_bytes
        .iter()
        .map(|picture| {
            let Values::U8(bytes) = &picture.values else { panic!("bytes") };
            Pixels { side: picture.side, values: Values::F32(bytes.iter().map(|&byte| f32::from(byte)).collect()) }
        })
        .collect();
    let tensor = input(&of_bytes);
    let expected = bits(&numbers(&engine.run(&tensor).unwrap()));
    assert_eq!(rows(&engine, &of_bytes), expected, "bytes");
    assert_eq!(rows(&engine, &of_floats), expected, "floats");
    // Channels first in memory, and a view into a larger batch.
    assert_eq!(bits(&numbers(&engine.run(&tensor.contiguous().unwrap()).unwrap())), expected, "channels first");
    let there = Tensor::from_vec(numbers(&tensor.contiguous().unwrap()), tensor.dims(), &card).unwrap();
    assert_eq!(bits(&numbers(&engine.run(&there).unwrap())), expected, "on the card");
    let last = bits(&numbers(&engine.run(&tensor.narrow(0, 2, 1).unwrap()).unwrap()));
    assert_eq!(last, expected[2 * 2048..], "a view");
}

#[test]
fn runs_and_engines_agree_to_the_bit() {
    let Some(card) = card() else { return };
    let pictures = pictures(4, SMALLEST);
    let (one, other) = (whole(&card), whole(&card));
    let first = rows(&one, &pictures);
    assert_eq!(rows(&one, &pictures), first, "a second run");
    assert_eq!(rows(&other, &pictures), first, "a second engine");
}

#[test]
fn sizes_of_images_may_change_from_batch_to_batch() {
    let Some(card) = card() else { return };
    let (small, large) = (pictures(2, SMALLEST), pictures(2, 99));
    let alone = (rows(&whole(&card), &small), rows(&whole(&card), &large));
    let engine = whole(&card);
    // One image first: two do not fit where it ran.
    assert_eq!(rows(&engine, &small[..1]).len(), 2048);
    for _ in 0..2 {
        assert_eq!((rows(&engine, &small), rows(&engine, &large)), alone);
    }
}

#[test]
fn what_other_threads_do_to_the_card_disturbs_no_graph_that_is_captured() {
    let Some(card) = card() else { return };
    let engine = whole(&card);
    std::thread::scope(|scope| {
        // Of no size is there a graph yet; that one is lost would be noted.
        let making = scope.spawn(|| {
            for count in 1..4 {
                assert_eq!(rows(&engine, &pictures(count, SMALLEST)).len(), count * 2048);
            }
        });
        while !making.is_finished() {
            Tensor::zeros(1, DType::F32, &card).unwrap().to_vec1::<f32>().unwrap();
            card.synchronize().unwrap();
        }
    });
}

#[test]
fn batches_of_several_threads_do_not_mix() {
    let Some(card) = card() else { return };
    let engine = whole(&card);
    let pictures = pictures(8, SMALLEST);
    let full = rows(&engine, &pictures);
    std::thread::scope(|scope| {
        for (index, pair) in pictures.chunks(2).enumerate() {
            let (engine, expected) = (&engine, &full[index * 2 * 2048..(index + 1) * 2 * 2048]);
            scope.spawn(move || (0..2).for_each(|_| assert_eq!(rows(engine, pair), expected, "pair {index}")));
        }
    });
}

#[test]
fn two_workers_of_one_card_and_two_cards_give_the_rows_of_one() {
    let Some(card) = card() else { return };
    let pictures = pictures(4, SMALLEST);
    let expected = rows(&whole(&card), &pictures);
    for listed in ["0,0", "0,1"] {
        let Some(cards) = cards(listed) else { continue };
        let engines = cards.iter().map(|card| Arc::new(whole(card)) as Arc<dyn Engine>).collect();
        let several = Several::new(engines).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| assert_eq!(rows(&several, &pictures), expected, "cuda:{listed}"));
            }
        });
    }
}

#[test]
fn where_memory_runs_out_the_batch_is_run_in_pieces_and_that_is_told() {
    let Some(card) = card() else { return };
    let (count, side) = if is_stand_in(&card) { (8, SMALLEST) } else { (256, 299) };
    let pictures = pictures(count, side);
    let network = Network::new(Variant::Tf2015);
    let in_memory = |images| Cuda::memory_of(&network, Precision::F32, [side; 2], images).unwrap();
    let whole = || engine(network.clone(), &WEIGHTS, &card, Precision::F32);
    let expected = whole().embed(&pictures, &normalise()).unwrap();
    let engine = whole();
    // The weights are there; room for what less than all images need beside them.
    let taken =
        Tensor::zeros(free_memory(&card) - (in_memory(count) - in_memory(0)) * 3 / 4, DType::U8, &card).unwrap();
    let rows = engine.embed(&pictures, &normalise()).unwrap();
    drop(taken);
    let tensor = |rows| Tensor::from_vec(rows, (count, 2048), &Device::Cpu).unwrap();
    assert_close(&tensor(rows), &tensor(expected), Precision::F32, OF_NOISE, "in pieces");
    let notes = engine.take_notes();
    assert!(!notes.is_empty() && notes.iter().all(|note| note.contains("too small for")), "{notes:?}");
}

#[test]
fn images_that_are_too_small_or_of_two_sizes_are_refused() {
    let Some(card) = card() else { return };
    let engine = whole(&card);
    assert!(engine.embed(&pictures(1, SMALLEST - 1), &normalise()).is_err());
    assert!(engine.embed(&[], &normalise()).is_err());
    let two_sizes = [pictures(1, SMALLEST).remove(0), pictures(1, SMALLEST + 2).remove(0)];
    assert!(engine.embed(&two_sizes, &normalise()).is_err());
    let short = [Pixels { side: SMALLEST, values: Values::U8(vec![0; 5]) }];
    assert!(engine.embed(&short, &normalise()).is_err());
    // And it goes on.
    assert_eq!(rows(&engine, &pictures(1, SMALLEST)).len(), 2048);
}
