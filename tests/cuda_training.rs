//! Training on NVIDIA cards against the planned engine on the CPU, on a card or on the stand-in for one
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

use std::ops::Range;
use std::sync::LazyLock;

use candle_core::{DType, Device, Tensor};
use headstock::engine::cpu::training::Training as OnCpu;
use headstock::engine::cuda::training::Training;
use headstock::engine::trainable::{BatchNorm, Parameter, Pass, Trainable, channels_last, open_trainable};
use headstock::engine::{Cpu, Engine, Precision};
use headstock::finetune::{Optimiser, Rule};
use headstock::inception::{Border, FreezePoint, Network, Variant};
use headstock::weights::Weights;
use support::card::{card, free_memory};
use support::lessons::{self, CUT, FEATURES, Lesson, OF_FLOAT32, of_variant, published, six_images};
use support::{relative_l2, seeded_weights, units};

/// The smallest images that the network takes.
const SMALLEST: usize = 75;

static WEIGHTS: LazyLock<Weights> = LazyLock::new(|| weights(Variant::Tf2015));

/// Those that were trained, of the variant that has some here; of the others random ones.
fn weights(variant: Variant) -> Weights {
    match variant {
        Variant::Tf2015 => published(),
        _ => Weights::from_bytes(&seeded_weights(variant), None).unwrap(),
    }
}

/// What crosses a border of so many pictures that look like nothing, each another one, by the engine of the CPU.
fn maps(weights: &Weights, freeze: &FreezePoint, images: usize, side: usize) -> Vec<Tensor> {
    let network = Network::new(weights.variant());
    let border = Border::new(&network, freeze).unwrap();
    let numbers = units(&format!("training {side}")).take(images * 3 * side * side).map(|unit| unit * 2.0 - 1.0);
    let pictures = Tensor::from_vec(numbers.collect::<Vec<_>>(), (images, 3, side, side), &Device::Cpu).unwrap();
    let run = |trunk| channels_last(&Cpu::new(trunk, weights).unwrap().run(&pictures).unwrap()).unwrap();
    border.trunks(&network).into_iter().map(run).collect()
}

/// Some images of maps, on a device.
fn batch(maps: &[Tensor], images: Range<usize>, device: &Device) -> Vec<Tensor> {
    let part = |maps: &Tensor| maps.narrow(0, images.start, images.len()).unwrap().to_device(device).unwrap();
    maps.iter().map(part).collect()
}

/// Gradients by features that are the same for whoever asks.
fn by_features(images: usize, device: &Device) -> Tensor {
    let numbers: Vec<f32> = units("by features").take(images * FEATURES).map(|unit| (unit - 0.5) * 0.02).collect();
    Tensor::from_vec(numbers, (images, FEATURES), device).unwrap()
}

fn on_card(weights: &Weights, freeze: &FreezePoint, card: &Device, precision: Precision) -> Training {
    Training::new(&Network::new(weights.variant()), weights, freeze, card, precision).unwrap()
}

fn on_cpu(weights: &Weights, freeze: &FreezePoint) -> OnCpu {
    OnCpu::new(&Network::new(weights.variant()), weights, freeze, BatchNorm::Frozen).unwrap()
}

fn on_host(tensor: &Tensor) -> Tensor {
    tensor.to_device(&Device::Cpu).unwrap()
}

fn gradients(trainable: &mut dyn Trainable) -> Vec<f32> {
    let mut flat = Vec::new();
    trainable.update(&mut |_, gradients| flat = gradients.to_vec()).unwrap();
    flat
}

fn values(trainable: &mut dyn Trainable) -> Vec<f32> {
    let mut flat = Vec::new();
    trainable.update(&mut |values, _| flat = values.to_vec()).unwrap();
    flat
}

/// Features of a pass to learn from, and all gradients after it.
fn pass(trainable: &mut dyn Trainable, maps: &[Tensor], images: Range<usize>) -> (Tensor, Vec<f32>) {
    let device = trainable.device().clone();
    let features = trainable.features(&batch(maps, images.clone(), &device), Pass::Train).unwrap();
    trainable.backward(&by_features(images.len(), &device)).unwrap();
    (on_host(&features), gradients(trainable))
}

/// |a - b| / |b|.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let vector = |numbers: &[f32]| Tensor::from_slice(numbers, numbers.len(), &Device::Cpu).unwrap();
    relative_l2(&vector(a), &vector(b))
}

/// Holds the features and the gradient of every tensor to the CPU's, of the best of some batches: where a number type cannot tell on
/// which side of zero a unit is, the gradients below it are off by chance, whoever computes them, but a mistake is one in all batches.
fn assert_step_of_the_cpu(card: &Device, weights: &Weights, freeze: &str, side: usize, bounds: Bounds) {
    let freeze: FreezePoint = freeze.parse().unwrap();
    let Bounds { precision, features: of_features, gradients: of_gradients } = bounds;
    let all = maps(weights, &freeze, 2 * BATCHES, side);
    let mut trained = on_card(weights, &freeze, card, precision);
    let mut oracle = on_cpu(weights, &freeze);
    assert_eq!(trained.parameters(), oracle.parameters());
    let parameters = oracle.parameters().to_vec();
    let what = format!("{}, {freeze}, {precision}", weights.variant());
    let mut best = (f64::INFINITY, String::new());
    for first in (0..BATCHES).map(|batch| 2 * batch) {
        let (features, found) = pass(&mut trained, &all, first..first + 2);
        let (expected_features, expected) = pass(&mut oracle, &all, first..first + 2);
        let error = relative_l2(&features, &expected_features);
        assert!(error < of_features, "{what}: features {error:e}");
        let of = |parameter: &Parameter| {
            let [found, expected] = [&found, &expected].map(|flat| &flat[parameter.range.clone()]);
            (apart(found, expected), parameter.name.clone())
        };
        let worst = parameters.iter().map(of).fold((0.0, String::new()), |a, b| if b.0 > a.0 { b } else { a });
        println!("{what}: features {error:.1e}, gradients {:.1e}, {}", worst.0, worst.1);
        best = if worst.0 < best.0 { worst } else { best };
        for trainable in [&mut trained as &mut dyn Trainable, &mut oracle] {
            trainable.update(&mut |_, gradients| gradients.fill(0.0)).unwrap();
        }
        if best.0 < of_gradients {
            return;
        }
    }
    panic!("{what}: the gradient by {} is {:e} off", best.1, best.0);
}

/// Batches of which one has to be without a unit too close to zero.
const BATCHES: usize = 5;

/// What a precision leaves.
#[derive(Clone, Copy)]
struct Bounds {
    precision: Precision,
    /// Relative L2 of the features,
    features: f64,
    /// and of each tensor's gradient.
    gradients: f64,
}

/// Both ways are float32, and each is off by 1e-5 or so of noise.
const FLOAT32: Bounds = Bounds { precision: Precision::F32, features: 1e-4, gradients: 1e-4 };

#[test]
fn a_step_from_every_freeze_point_has_the_features_and_gradients_of_the_cpu() {
    let Some(card) = card() else { return };
    for freeze in ["150", "151", "mixed7", "249", "291", "mixed9"] {
        assert_step_of_the_cpu(&card, &WEIGHTS, freeze, SMALLEST, FLOAT32);
    }
    // So many layers have a unit too close to zero in every batch, and the last of these maps are single pixels.
    for freeze in ["none", "87"] {
        assert_step_of_the_cpu(&card, &WEIGHTS, freeze, SMALLEST, Bounds { gradients: 2e-1, ..FLOAT32 });
    }
}

#[test]
fn a_step_of_every_variant_has_the_features_and_gradients_of_the_cpu() {
    let Some(card) = card() else { return };
    for variant in Variant::ALL {
        assert_step_of_the_cpu(&card, &weights(variant), "150", 107, FLOAT32);
    }
}

/// What the number types leave of a step on noise in small images, everything else being right: past 150 units change sides of zero.
#[test]
fn tf32_and_bfloat16_leave_of_a_step_what_their_digits_can() {
    let Some(card) = card() else { return };
    for (precision, freeze, features, gradients) in [
        (Precision::Tf32, "150", 1e-2, 2e-1),
        (Precision::Tf32, "mixed9", 1e-2, 1e-2),
        (Precision::Bf16, "150", 5e-2, 5e-1),
        (Precision::Bf16, "mixed9", 5e-2, 2e-1),
    ] {
        assert_step_of_the_cpu(&card, &WEIGHTS, freeze, 107, Bounds { precision, features, gradients });
    }
}

#[test]
fn what_a_user_asks_for_becomes_what_is_trained_in() {
    let trained_in = |precision: Precision| precision.of_training();
    assert_eq!(trained_in(Precision::Auto), Precision::Bf16);
    assert_eq!(trained_in(Precision::F16), Precision::Bf16);
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        assert_eq!(trained_in(precision), precision);
    }
}

#[test]
fn the_network_trains_as_in_pytorch() {
    let Some(card) = card() else { return };
    let frozen = BatchNorm::Frozen;
    for lesson in [
        Lesson { variant: Variant::Tf2015, file: "finetune_tf2015.safetensors", freeze: CUT, batch_norm: frozen },
        Lesson {
            variant: Variant::Torchvision,
            file: "finetune_torchvision.safetensors",
            freeze: CUT,
            batch_norm: frozen,
        },
    ] {
        let (weights, three) = of_variant(lesson.variant);
        let network = Network::new(lesson.variant);
        let border = Border::new(&network, &lesson.freeze).unwrap();
        let crossing = lessons::maps(&border, &weights, &six_images(&three));
        let mut trained = on_card(&weights, &lesson.freeze, &card, Precision::F32);
        lesson.assert_learnt_by("on a card", &mut trained, &crossing, &OF_FLOAT32);
    }
}

#[test]
fn ten_steps_in_bfloat16_lower_the_loss_as_in_float32() {
    let Some(card) = card() else { return };
    let freeze: FreezePoint = "mixed9".parse().unwrap();
    let maps = maps(&WEIGHTS, &freeze, 4, SMALLEST);
    // Features are to become others: half the squared distance is the loss, and the distance its gradient.
    let aim: Vec<f32> = units("aim").take(4 * FEATURES).collect();
    let losses = |trained: &mut dyn Trainable| -> Vec<f64> {
        let device = trained.device().clone();
        let aim = Tensor::from_slice(&aim, (4, FEATURES), &Device::Cpu).unwrap();
        let mut velocity: Vec<f32> = Vec::new();
        let step = |_| {
            let features = trained.features(&batch(&maps, 0..4, &device), Pass::Train).unwrap();
            let distance = (on_host(&features) - &aim).unwrap();
            trained.backward(&(&distance / FEATURES as f64).unwrap()).unwrap();
            let rule = &mut |values: &mut [f32], gradients: &mut [f32]| {
                velocity.resize(values.len(), 0.0);
                for ((value, gradient), velocity) in values.iter_mut().zip(gradients).zip(&mut velocity) {
                    *velocity = 0.9 * *velocity + *gradient;
                    *value -= 0.005 * *velocity;
                    *gradient = 0.0;
                }
            };
            trained.update(rule).unwrap();
            let loss = distance.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>();
            f64::from(loss.unwrap()) / (2 * FEATURES) as f64
        };
        (0..10).map(step).collect()
    };
    let expected = losses(&mut on_cpu(&WEIGHTS, &freeze));
    for (precision, bound) in [(Precision::F32, 1e-3), (Precision::Bf16, 5e-2)] {
        let found = losses(&mut on_card(&WEIGHTS, &freeze, &card, precision));
        println!("{precision}: {found:.4?}\ncpu: {expected:.4?}");
        assert!(expected[9] < 0.9 * expected[0], "it does not learn: {expected:?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < bound * expected, "{precision}: {found} for {expected}");
        }
    }
}

/// Gradients without a pattern, several steps of an optimiser by them; where it is halfway through, and what became of the values.
fn stepped(trainable: &mut dyn Trainable, mut optimiser: Optimiser, steps: Range<usize>) -> (Optimiser, Vec<f32>) {
    for step in steps {
        let name = format!("gradients {step}");
        let rule = &mut |_: &mut [f32], gradients: &mut [f32]| {
            gradients.iter_mut().zip(units(&name)).for_each(|(gradient, unit)| *gradient = unit - 0.5);
        };
        trainable.update(rule).unwrap();
        let mut norm = 0.0;
        let scale = &mut |of_all: f64| {
            norm = of_all.sqrt();
            Some(0.5)
        };
        trainable.step(&mut optimiser, 1e-2, scale).unwrap();
        let len = trainable.parameters().last().unwrap().range.end as f64;
        assert!((norm / (len / 12.0).sqrt() - 1.0).abs() < 1e-2, "{norm}");
    }
    trainable.settle(&mut optimiser).unwrap();
    assert!(gradients(trainable).iter().all(|&gradient| gradient == 0.0));
    let values = values(trainable);
    (optimiser, values)
}

#[test]
fn optimisers_step_on_the_card_as_on_the_host_and_go_on_from_what_they_hand_out() {
    let Some(card) = card() else { return };
    let freeze: FreezePoint = "291".parse().unwrap();
    let (on_card, on_cpu) = (|| on_card(&WEIGHTS, &freeze, &card, Precision::F32), || on_cpu(&WEIGHTS, &freeze));
    let parameters = on_cpu().parameters().to_vec();
    let kernels: Vec<_> = parameters.iter().filter(|of| of.shape.len() > 1).map(|of| of.range.clone()).collect();
    let len = parameters.last().unwrap().range.end;
    for rule in [Rule::Sgd { momentum: 0.9 }, Rule::ADAMW] {
        let optimiser = || Optimiser::new(rule, 0.1, kernels.clone(), len);
        let (kept, found) = stepped(&mut on_card(), optimiser(), 0..4);
        let (expected_kept, expected) = stepped(&mut on_cpu(), optimiser(), 0..4);
        assert!(apart(&found, &expected) < 1e-6, "{rule:?}: values");
        for (found, expected) in kept.state().0.iter().zip(expected_kept.state().0) {
            assert!(apart(found, expected) < 1e-6, "{rule:?}: what is kept");
        }
        assert_eq!(kept.state().1, 4);
        // Halfway to a checkpoint, and from there on another card.
        let (half, values) = stepped(&mut on_card(), optimiser(), 0..2);
        let mut resumed = optimiser();
        assert!(resumed.restore(half.state().0.to_vec(), half.state().1));
        let mut other = on_card();
        other.update(&mut |now, _| now.copy_from_slice(&values)).unwrap();
        assert!(stepped(&mut other, resumed, 2..4).1 == found, "{rule:?}: gone on");
        // A scale that is none moves nothing.
        let mut optimiser = optimiser();
        other.step(&mut optimiser, 1e-2, &mut |_| None).unwrap();
        assert!(self::values(&mut other) == found && optimiser.state().1 == 0);
    }
}

#[test]
fn two_runs_agree_to_the_bit_whatever_ran_before() {
    let Some(card) = card() else { return };
    let maps = maps(&WEIGHTS, &CUT, 4, SMALLEST);
    for precision in [Precision::F32, Precision::Bf16] {
        let mut one = on_card(&WEIGHTS, &CUT, &card, precision);
        let (features, gradients) = pass(&mut one, &maps, 0..3);
        assert!(gradients.iter().any(|&gradient| gradient != 0.0));
        let mut other = on_card(&WEIGHTS, &CUT, &card, precision);
        // Other shapes, and one that is only looked at between the passes.
        pass(&mut other, &maps, 3..4);
        other.update(&mut |_, gradients| gradients.fill(0.0)).unwrap();
        let there = batch(&maps, 0..3, &card);
        let again = on_host(&other.features(&there, Pass::Train).unwrap());
        other.features(&batch(&maps, 1..4, &card), Pass::Evaluate).unwrap();
        other.backward(&by_features(3, &card)).unwrap();
        assert_eq!(bits(&again), bits(&features), "{precision}");
        assert!(self::gradients(&mut other) == gradients, "{precision}");
    }
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn gradients_of_a_batch_and_its_tail_add_up_to_those_of_all_until_they_are_set_to_zero() {
    let Some(card) = card() else { return };
    let freeze: FreezePoint = "249".parse().unwrap();
    let maps = maps(&WEIGHTS, &freeze, 5, SMALLEST);
    let all = by_features(5, &card);
    let mut trained = on_card(&WEIGHTS, &freeze, &card, Precision::F32);
    let mut together = Vec::new();
    for ends in [[0, 5].as_slice(), &[0, 3, 5]] {
        for part in ends.windows(2).map(|ends| ends[0]..ends[1]) {
            trained.features(&batch(&maps, part.clone(), &card), Pass::Train).unwrap();
            trained.backward(&all.narrow(0, part.start, part.len()).unwrap()).unwrap();
        }
        let take = &mut |_: &mut [f32], gradients: &mut [f32]| {
            together.push(gradients.to_vec());
            gradients.fill(0.0);
        };
        trained.update(take).unwrap();
    }
    let error = apart(&together[1], &together[0]);
    assert!(error < 1e-5, "relative L2 {error:e}");
    assert!(gradients(&mut trained).iter().all(|&gradient| gradient == 0.0));
}

#[test]
fn what_a_rule_sets_is_used_and_what_is_frozen_stays() {
    let Some(card) = card() else { return };
    // Between kernel and batch norm of two convolutions: kernels past the border that stay.
    let freeze = FreezePoint::Layers(291);
    let maps = maps(&WEIGHTS, &freeze, 2, SMALLEST);
    let (mut trained, mut oracle) = (on_card(&WEIGHTS, &freeze, &card, Precision::F32), on_cpu(&WEIGHTS, &freeze));
    let before = values(&mut oracle);
    assert!(values(&mut trained) == before);
    let moved: Vec<f32> = before.iter().zip(units("moved")).map(|(value, unit)| value * (0.9 + 0.2 * unit)).collect();
    let [found, expected]: [Tensor; 2] = [&mut trained as &mut dyn Trainable, &mut oracle].map(|trainable| {
        trainable.update(&mut |values, _| values.copy_from_slice(&moved)).unwrap();
        let maps = batch(&maps, 0..2, trainable.device());
        on_host(&trainable.features(&maps, Pass::Evaluate).unwrap())
    });
    let error = relative_l2(&found, &expected);
    assert!(error < 2e-5, "relative L2 {error:e}");
    assert!(values(&mut trained) == moved);
}

#[test]
fn a_pass_is_gone_back_through_once_and_what_is_only_looked_at_never() {
    let Some(card) = card() else { return };
    let freeze: FreezePoint = "mixed9".parse().unwrap();
    let maps = maps(&WEIGHTS, &freeze, 2, SMALLEST);
    let there = batch(&maps, 0..2, &card);
    let mut trained = on_card(&WEIGHTS, &freeze, &card, Precision::F32);
    let gradient = by_features(2, &card);
    assert!(trained.backward(&gradient).is_err(), "nothing was");
    trained.features(&there, Pass::Evaluate).unwrap();
    assert!(trained.backward(&gradient).is_err(), "looked at");
    trained.features(&there, Pass::Train).unwrap();
    assert!(trained.backward(&by_features(1, &card)).is_err(), "of another batch");
    trained.features(&there, Pass::Train).unwrap();
    trained.backward(&gradient).unwrap();
    assert!(trained.backward(&gradient).is_err(), "once");
    assert!(trained.features(&[], Pass::Train).is_err(), "no maps");
    assert!(trained.features(&batch(&maps, 0..0, &card), Pass::Train).is_err(), "no images");
}

#[test]
fn with_all_layers_frozen_features_cross_as_they_are() {
    let Some(card) = card() else { return };
    let freeze: FreezePoint = "312".parse().unwrap();
    let maps = maps(&WEIGHTS, &freeze, 2, SMALLEST);
    let mut trained = on_card(&WEIGHTS, &freeze, &card, Precision::Bf16);
    let features = trained.features(&batch(&maps, 0..2, &card), Pass::Train).unwrap();
    assert_eq!(bits(&on_host(&features)), bits(&maps[0]));
    trained.backward(&by_features(2, &card)).unwrap();
    assert!(trained.parameters().is_empty() && gradients(&mut trained).is_empty());
}

#[test]
fn too_little_memory_is_an_error_with_a_way_out_and_smaller_batches_go_on() {
    let Some(card) = card() else { return };
    let freeze: FreezePoint = "mixed9".parse().unwrap();
    let maps = maps(&WEIGHTS, &freeze, 2, SMALLEST);
    let mut trained = on_card(&WEIGHTS, &freeze, &card, Precision::F32);
    let (expected, _) = pass(&mut trained, &maps, 0..2);
    // All that is free but for some megabytes; then maps so large that their activations are not.
    let channels = trained.border().groups()[0].channels;
    let room = 64 << 20;
    let taken = free_memory(&card).saturating_sub(3 * room);
    let _taken = Tensor::zeros(taken, DType::U8, &card).unwrap();
    let side = ((room / 4 / channels) as f64).sqrt() as usize;
    let large = Tensor::zeros((1, side, side, channels), DType::F32, &card).unwrap();
    let error = trained.features(&[large], Pass::Train).unwrap_err().to_string();
    assert!(error.contains("--batch-size") && error.contains("too small for 1 image"), "{error}");
    assert!(trained.backward(&by_features(1, &card)).is_err(), "nothing was kept");
    let (features, _) = pass(&mut trained, &maps, 0..2);
    assert_eq!(bits(&features), bits(&expected));
}

#[test]
fn the_right_interpreter_is_opened() {
    let Some(card) = card() else { return };
    let network = Network::new(Variant::Tf2015);
    let freeze: FreezePoint = "mixed9".parse().unwrap();
    let open = |batch_norm| open_trainable(&network, &WEIGHTS, &freeze, batch_norm, &card, Precision::F16).unwrap();
    assert!(open(BatchNorm::Frozen).statistics().is_empty());
    assert!(!open(BatchNorm::Train { momentum: 0.1 }).statistics().is_empty());
    let other = open_trainable(
        &Network::new(Variant::Torchvision),
        &WEIGHTS,
        &freeze,
        BatchNorm::Frozen,
        &card,
        Precision::F16,
    );
    assert!(other.is_err(), "weights of another variant");
}
