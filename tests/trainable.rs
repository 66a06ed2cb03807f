//! Training steps of every trainable engine, against PyTorch's. Goldens by `scripts/golden_finetune.py`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use headstock::engine::cpu::training::Training;
use headstock::engine::trainable::{BatchNorm, Pass, Plain, Trainable, channels_last, operations};
use headstock::engine::{Cpu, Engine};
use headstock::image::Preset;
use headstock::inception::{Border, FreezePoint, Network, Op, Variant};
use headstock::weights::{Weights, expected_tensors};
use support::sketch::distance;
use support::{golden, golden_metadata, golden_pixels, relative_l2, seeded_weights, units};

const CUT: FreezePoint = FreezePoint::Layers(150);
const CLASSES: usize = 3;
const FEATURES: usize = 2048;
/// Of step s, the images s and s+2 (modulo 6).
const BATCH: [usize; 2] = [0, 2];

/// What opens the engines that are held to the goldens, by name.
type Open = fn(&Network, &Weights, &FreezePoint, BatchNorm) -> Box<dyn Trainable>;
const ENGINES: [(&str, Open); 2] = [
    ("plain", |network, weights, freeze, batch_norm| {
        Box::new(Plain::new(network, weights, freeze, batch_norm, &Device::Cpu, DType::F32).unwrap())
    }),
    ("planned", |network, weights, freeze, batch_norm| {
        Box::new(Training::new(network, weights, freeze, batch_norm).unwrap())
    }),
];

/// Weights and input pixels of a variant: the network of the binary, or the seeded one.
fn of_variant(variant: Variant) -> (Weights, Tensor) {
    match variant {
        Variant::Tf2015 => (Weights::embedded().unwrap(), golden_pixels(&Preset::Tf.preprocess().normalise)),
        _ => (
            Weights::from_bytes(&seeded_weights(variant), None).unwrap(),
            golden_pixels(&Preset::Torchvision.preprocess().normalise),
        ),
    }
}

/// What crosses the border of these images, by the fast engine.
fn maps(border: &Border, weights: &Weights, images: &Tensor) -> Vec<Tensor> {
    let network = Network::new(weights.variant());
    let run = |trunk| channels_last(&Cpu::new(trunk, weights).unwrap().run(images).unwrap()).unwrap();
    border.trunks(&network).into_iter().map(run).collect()
}

/// The same in float64, node by node.
fn maps_in_float64(border: &Border, weights: &Weights, images: &Tensor) -> Vec<Tensor> {
    let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
    let run = |trunk: Network| {
        let mut results: Vec<Tensor> = Vec::new();
        for node in trunk.nodes() {
            let inputs: Vec<&Tensor> = node.inputs.iter().map(|&input| &results[input]).collect();
            let result = match &node.op {
                Op::Input => Ok(wide(&channels_last(images).unwrap())),
                Op::Convolution(shape) => {
                    let numbers = weights.convolution(&node.name).unwrap();
                    let [kernel, mean, variance, beta] =
                        [&numbers.kernel, &numbers.mean, &numbers.variance, &numbers.beta].map(wide);
                    let gamma = numbers.gamma.as_ref().map(wide);
                    operations::convolution(inputs[0], &kernel, &shape.window)
                        .and_then(|maps| operations::batch_norm(&maps, [&mean, &variance], gamma.as_ref(), &beta))
                        .and_then(|maps| operations::relu(&maps))
                }
                Op::MaxPool(window) => operations::max_pool(inputs[0], window),
                Op::AveragePool { window, counts_padding } => {
                    operations::average_pool(inputs[0], window, *counts_padding)
                }
                Op::Concat => Tensor::cat(&inputs, 3),
                Op::GlobalAverage => operations::global_average(inputs[0]),
            };
            results.push(result.unwrap());
        }
        results.pop().unwrap()
    };
    border.trunks(&Network::new(weights.variant())).into_iter().map(run).collect()
}

/// The middle of three golden images, and their mirror images.
fn six_images(three: &Tensor) -> Tensor {
    let three = three.narrow(2, 48, 203).unwrap().narrow(3, 48, 203).unwrap().contiguous().unwrap();
    let backwards = Tensor::from_iter((0..203_u32).rev(), &Device::Cpu).unwrap();
    Tensor::cat(&[&three, &three.index_select(&backwards, 3).unwrap()], 0).unwrap()
}

fn batch(maps: &[Tensor], chosen: &[u32]) -> Vec<Tensor> {
    let chosen = Tensor::new(chosen, &Device::Cpu).unwrap();
    maps.iter().map(|maps| maps.index_select(&chosen, 0).unwrap()).collect()
}

/// The linear head of the goldens, in float64.
struct Head {
    weight: Vec<f64>,
    bias: Vec<f64>,
}

/// What cross-entropy says of a batch.
struct Verdict {
    loss: f64,
    by_features: Tensor,
    by_weight: Vec<f64>,
    by_bias: Vec<f64>,
}

impl Head {
    fn seeded() -> Self {
        let numbers =
            |name, scale: f32, length| units(name).take(length).map(|u| f64::from(scale * (u * 2.0 - 1.0))).collect();
        Self { weight: numbers("head.weight", 0.02, CLASSES * FEATURES), bias: numbers("head.bias", 0.1, CLASSES) }
    }

    fn judge(&self, features: &Tensor, labels: &[usize]) -> Verdict {
        let rows = features.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
        let share = 1.0 / rows.len() as f64;
        let mut verdict = Verdict {
            loss: 0.0,
            by_features: features.clone(),
            by_weight: vec![0.0; self.weight.len()],
            by_bias: vec![0.0; CLASSES],
        };
        let mut by_features = vec![0.0; rows.len() * FEATURES];
        for ((row, &label), by_row) in rows.iter().zip(labels).zip(by_features.chunks_mut(FEATURES)) {
            let weights = || self.weight.chunks(FEATURES);
            let dot = |weight: &[f64]| weight.iter().zip(row).map(|(weight, number)| weight * number).sum::<f64>();
            let logits: Vec<f64> = weights().zip(&self.bias).map(|(weight, bias)| dot(weight) + bias).collect();
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total = logits.iter().map(|logit| (logit - largest).exp()).sum::<f64>().ln() + largest;
            verdict.loss += share * (total - logits[label]);
            for (class, weight) in weights().enumerate() {
                let by_logit = share * ((logits[class] - total).exp() - f64::from(u8::from(class == label)));
                verdict.by_bias[class] += by_logit;
                let by_weight = &mut verdict.by_weight[class * FEATURES..][..FEATURES];
                for at in 0..FEATURES {
                    by_weight[at] += by_logit * row[at];
                    by_row[at] += by_logit * weight[at];
                }
            }
        }
        verdict.by_features =
            Tensor::from_vec(by_features, features.dims(), &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
        verdict
    }
}

/// SGD with momentum, as PyTorch has it.
struct Sgd {
    rate: f64,
    momentum: f64,
    velocity: Vec<f64>,
}

impl Sgd {
    fn step(&mut self, gradients: impl Iterator<Item = f64>, mut change: impl FnMut(usize, f64)) {
        for (index, gradient) in gradients.enumerate() {
            if self.velocity.len() <= index {
                self.velocity.push(0.0);
            }
            self.velocity[index] = self.momentum * self.velocity[index] + gradient;
            change(index, -self.rate * self.velocity[index]);
        }
    }
}

/// All values of a trainable, by the name of their tensor: parameters and statistics.
fn values(trainable: &mut dyn Trainable) -> HashMap<String, Vec<f64>> {
    let (mut flat, mut statistics) = (Vec::new(), Vec::new());
    trainable.update(&mut |values, _| flat = values.to_vec()).unwrap();
    trainable.update_statistics(&mut |values| statistics = values.to_vec()).unwrap();
    let of = |parameters: &[headstock::engine::trainable::Parameter], flat: &[f32]| -> Vec<_> {
        let tensor = |range: std::ops::Range<usize>| flat[range].iter().copied().map(f64::from).collect();
        parameters.iter().map(|parameter| (parameter.name.clone(), tensor(parameter.range.clone()))).collect()
    };
    of(trainable.parameters(), &flat).into_iter().chain(of(trainable.statistics(), &statistics)).collect()
}

fn gradients(trainable: &mut dyn Trainable) -> HashMap<String, Vec<f64>> {
    let mut flat = Vec::new();
    trainable.update(&mut |_, gradients| flat = gradients.to_vec()).unwrap();
    let tensor = |range: std::ops::Range<usize>| flat[range].iter().copied().map(f64::from).collect();
    trainable.parameters().iter().map(|p| (p.name.clone(), tensor(p.range.clone()))).collect()
}

fn norm(numbers: &[f64]) -> f64 {
    numbers.iter().map(|number| number * number).sum::<f64>().sqrt()
}

/// How far a tensor is from the golden one.
struct Distance {
    name: String,
    /// The estimated norm of the difference.
    apart: f64,
    /// The norm of the golden one.
    norm: f64,
}

/// The golden file's sketches under a prefix held to tensors, each by its name, and none left over.
fn distances(golden: &HashMap<String, Tensor>, prefix: &str, found: &HashMap<String, Vec<f64>>) -> Vec<Distance> {
    let expected = golden.keys().filter(|name| name.starts_with(&format!("{prefix}/"))).count();
    assert_eq!(found.len(), expected, "{prefix}: tensors");
    let of_tensor = |(name, numbers): (&String, &Vec<f64>)| {
        let sketch: Vec<f32> = golden[&format!("{prefix}/{name}")].to_vec1().unwrap();
        let (apart, norm) = distance(name, numbers, &sketch);
        assert!(apart.is_finite(), "{prefix}/{name}");
        Distance { name: name.clone(), apart, norm }
    };
    found.iter().map(of_tensor).collect()
}

/// Says the largest error, and holds it to a bound.
fn assert_worst(what: &str, bound: f64, errors: impl Iterator<Item = (f64, String)>) {
    let (error, name) = errors.fold((0.0, String::new()), |worst, next| if next.0 > worst.0 { next } else { worst });
    println!("{what}: {error:.1e}, {name}");
    assert!(error < bound, "{what}, {name}: relative L2 {error:e}");
}

/// Bounds on the relative L2 errors of each tensor. After one step, and after all:
struct Bounds {
    /// Of its gradient, at the start.
    gradient: f64,
    /// Of its change.
    changes: [f64; 2],
    /// Of the tensor.
    tensors: [f64; 2],
}

/// In float64.
const STRICT: Bounds = Bounds { gradient: 1e-6, changes: [1e-5, 1e-4], tensors: [1e-6, 1e-6] };

/// Where float32 cannot tell on which side of zero a unit is, the gradients below it are off by 1e-3 to 2e-2, whoever computes
/// them (the golden files know what becomes of PyTorch's own float32), and steps add up. So gradients and changes get the room
/// that this takes; where there is no such unit, another test holds them to float64.
const OF_FLOAT32: Bounds = Bounds { gradient: 5e-2, changes: [5e-2, 3e-1], tensors: [1e-4, 1e-3] };

/// Some steps of training that PyTorch took.
struct Lesson {
    variant: Variant,
    file: &'static str,
    freeze: FreezePoint,
    batch_norm: BatchNorm,
}

impl Lesson {
    /// Holds `Plain` in float64, and every engine, to PyTorch.
    fn assert_learnt(&self) {
        let (weights, three) = of_variant(self.variant);
        let network = Network::new(self.variant);
        let border = Border::new(&network, &self.freeze).unwrap();
        let images = six_images(&three);
        let Self { freeze, batch_norm, .. } = self;
        let mut oracle = Plain::new(&network, &weights, freeze, *batch_norm, &Device::Cpu, DType::F64).unwrap();
        self.assert_learnt_by("float64", &mut oracle, &maps_in_float64(&border, &weights, &images), &STRICT);
        let crossing = maps(&border, &weights, &images);
        for (engine, open) in ENGINES {
            let mut trainable = open(&network, &weights, freeze, *batch_norm);
            self.assert_learnt_by(engine, trainable.as_mut(), &crossing, &OF_FLOAT32);
        }
    }

    /// Trains as the golden script does, and holds every trained tensor to it.
    fn assert_learnt_by(&self, who: &str, trainable: &mut dyn Trainable, crossing: &[Tensor], bounds: &Bounds) {
        let golden = golden(self.file);
        let metadata = golden_metadata(self.file);
        let told = |key: &str| -> f64 { metadata[key].parse().unwrap() };
        let losses: Vec<f32> = golden["loss"].to_vec1().unwrap();
        let what = format!("{}, {who}", self.file);
        let before = values(trainable);
        let mut head = Head::seeded();
        let rule = |rate: &str| Sgd { rate: told(rate), momentum: told("momentum"), velocity: Vec::new() };
        let mut rules = [rule("learning_rate"), rule("head_learning_rate"), rule("head_learning_rate")];
        for (step, &golden_loss) in losses.iter().enumerate() {
            let chosen: Vec<u32> = BATCH.map(|i| ((step + i) % 6) as u32).to_vec();
            let labels: Vec<usize> = chosen.iter().map(|&image| image as usize / 2).collect();
            let features = trainable.features(&batch(crossing, &chosen), Pass::Train).unwrap();
            let verdict = head.judge(&features, &labels);
            let error = (verdict.loss - f64::from(golden_loss)).abs() / f64::from(golden_loss);
            assert!(error < bounds.changes[1], "{what}, step {step}: loss {} for {golden_loss}", verdict.loss);
            trainable.backward(&verdict.by_features).unwrap();
            if step == 0 {
                let mut gradients = gradients(trainable);
                gradients.insert("head.weight".to_owned(), verdict.by_weight.clone());
                gradients.insert("head.bias".to_owned(), verdict.by_bias.clone());
                let errors = distances(&golden, "gradient", &gradients).into_iter();
                let errors = errors.map(|tensor| (tensor.apart / tensor.norm, tensor.name));
                assert_worst(&format!("{what}, gradients"), bounds.gradient, errors);
            }
            trainable
                .update(&mut |values, gradients| {
                    let numbers = gradients.iter().copied().map(f64::from);
                    rules[0].step(numbers, |at, change| values[at] = (f64::from(values[at]) + change) as f32);
                    gradients.fill(0.0);
                })
                .unwrap();
            rules[1].step(verdict.by_weight.into_iter(), |at, change| head.weight[at] += change);
            rules[2].step(verdict.by_bias.into_iter(), |at, change| head.bias[at] += change);

            let steps = step + 1;
            if steps == 1 || steps == losses.len() {
                let mut after = values(trainable);
                let mut start = before.clone();
                let first = Head::seeded();
                start.extend([("head.weight".to_owned(), first.weight), ("head.bias".to_owned(), first.bias)]);
                after.extend([
                    ("head.weight".to_owned(), head.weight.clone()),
                    ("head.bias".to_owned(), head.bias.clone()),
                ]);
                let change = |(name, after): (&String, &Vec<f64>)| {
                    let change = after.iter().zip(&start[name]).map(|(after, before)| after - before);
                    (name.clone(), change.collect())
                };
                let changes: HashMap<String, Vec<f64>> = after.iter().map(change).collect();
                let distances = distances(&golden, &format!("delta_{steps}"), &changes);
                // Each step rounds each number, by half its last digit's worth at most. That is no error of a gradient, but in
                // a small change of large numbers it is to be seen.
                let change = |tensor: &Distance| {
                    let rounding = f64::from(f32::EPSILON) / 2.0 * norm(&after[&tensor.name]) * (steps as f64).sqrt();
                    ((tensor.apart - rounding) / tensor.norm, tensor.name.clone())
                };
                let tensor = |tensor: &Distance| (tensor.apart / norm(&after[&tensor.name]), tensor.name.clone());
                let last = usize::from(steps > 1);
                let what = format!("{what}, after {steps} steps");
                assert_worst(&format!("{what}, changes"), bounds.changes[last], distances.iter().map(change));
                assert_worst(&format!("{what}, tensors"), bounds.tensors[last], distances.iter().map(tensor));
            }
        }
    }
}

#[test]
fn the_network_of_2015_trains_as_in_pytorch() {
    let file = "finetune_tf2015.safetensors";
    Lesson { variant: Variant::Tf2015, file, freeze: CUT, batch_norm: BatchNorm::Frozen }.assert_learnt();
}

#[test]
fn with_nothing_frozen_the_network_of_2015_trains_as_in_pytorch() {
    let file = "finetune_tf2015_whole.safetensors";
    let freeze = FreezePoint::Nothing;
    Lesson { variant: Variant::Tf2015, file, freeze, batch_norm: BatchNorm::Frozen }.assert_learnt();
}

#[test]
fn torchvisions_network_with_its_gamma_trains_as_in_pytorch() {
    let file = "finetune_torchvision.safetensors";
    Lesson { variant: Variant::Torchvision, file, freeze: CUT, batch_norm: BatchNorm::Frozen }.assert_learnt();
}

#[test]
fn batch_norm_of_the_batch_and_its_running_statistics_train_as_in_pytorch() {
    let file = "finetune_torchvision_batch_norm.safetensors";
    let momentum = golden_metadata(file)["batch_norm_momentum"].parse().unwrap();
    let batch_norm = BatchNorm::Train { momentum };
    Lesson { variant: Variant::Torchvision, file, freeze: CUT, batch_norm }.assert_learnt();
}

#[test]
fn gradients_are_those_of_float64_where_no_unit_is_too_close_to_zero() {
    // Where the batch's statistics are used, a layer's rounding moves all units of the next one: only behind few layers are there
    // inputs with no unit too close.
    for (variant, batch_norm, cut) in [
        (Variant::Tf2015, BatchNorm::Frozen, CUT),
        (Variant::Torchvision, BatchNorm::Frozen, CUT),
        (Variant::Torchvision, BatchNorm::Train { momentum: 0.1 }, FreezePoint::Layers(229)),
    ] {
        let (weights, three) = of_variant(variant);
        let network = Network::new(variant);
        let mut oracle = Plain::new(&network, &weights, &cut, batch_norm, &Device::Cpu, DType::F64).unwrap();
        // Small images have few units; should one of them be too close, the others of five still speak for the engine.
        let side = if batch_norm == BatchNorm::Frozen { 107 } else { 139 };
        let inputs: Vec<Vec<Tensor>> = (0..5)
            .map(|i| {
                let image = three.narrow(2, 30 * i, side).unwrap().narrow(3, 150 - 25 * i, side).unwrap();
                maps(oracle.border(), &weights, &image)
            })
            .collect();
        let by_features: Vec<f32> = units("by features").take(3 * FEATURES).map(|u| u - 0.5).collect();
        let by_features = Tensor::from_vec(by_features, (3, FEATURES), &Device::Cpu).unwrap();
        let of_input = |trainable: &mut dyn Trainable, maps: &[Tensor]| {
            trainable.update(&mut |_, gradients| gradients.fill(0.0)).unwrap();
            trainable.features(maps, Pass::Train).unwrap();
            trainable.backward(&by_features).unwrap();
            gradients(trainable)
        };
        let expected: Vec<_> = inputs.iter().map(|maps| of_input(&mut oracle, maps)).collect();
        for (engine, open) in ENGINES {
            let mut trainable = open(&network, &weights, &cut, batch_norm);
            let mut errors: Vec<f64> = Vec::new();
            for (maps, expected) in inputs.iter().zip(&expected) {
                let found = of_input(trainable.as_mut(), maps);
                let error = |(name, expected): (&String, &Vec<f64>)| {
                    let difference: Vec<f64> = found[name].iter().zip(expected).map(|(a, b)| a - b).collect();
                    norm(&difference) / norm(expected)
                };
                errors.push(expected.iter().map(error).fold(0.0, f64::max));
            }
            errors.sort_by(f64::total_cmp);
            println!("{variant}, {batch_norm:?}, {cut}, {engine}: {errors:?}");
            assert!(errors[2] < 1e-4, "{variant}, {batch_norm:?}, {cut}, {engine}: relative L2 {errors:?}");
        }
    }
}

/// Small images, for what need not be seen on large ones.
fn small_images() -> Tensor {
    golden_pixels(&Preset::Tf.preprocess().normalise).narrow(2, 90, 107).unwrap().narrow(3, 80, 99).unwrap()
}

#[test]
fn at_any_cut_features_before_training_are_those_of_the_frozen_network() {
    let weights = Weights::embedded().unwrap();
    let network = Network::new(weights.variant());
    let images = small_images();
    let expected = Cpu::new(network.clone(), &weights).unwrap().run(&images).unwrap();
    for (engine, open) in ENGINES {
        for freeze in ["none", "41", "87", "150", "151", "mixed7", "231", "249", "290", "312"] {
            let freeze: FreezePoint = freeze.parse().unwrap();
            let mut trainable = open(&network, &weights, &freeze, BatchNorm::Frozen);
            let maps = maps(trainable.border(), &weights, &images);
            for pass in [Pass::Evaluate, Pass::Train] {
                let features = trainable.features(&maps, pass).unwrap();
                assert_eq!(features.dims(), [3, FEATURES]);
                let error = relative_l2(&features, &expected);
                assert!(error < 2e-5, "{engine}, {freeze}, {pass:?}: relative L2 {error:e}");
            }
        }
    }
}

#[test]
fn parameters_are_those_past_the_cut_with_torchvisions_names_and_shapes_end_to_end() {
    for variant in [Variant::Tf2015, Variant::Torchvision] {
        let (weights, _) = of_variant(variant);
        let network = Network::new(variant);
        let expected: HashMap<String, Vec<usize>> = expected_tensors(&network).collect();
        for (engine, open) in ENGINES {
            for freeze in ["none", "150", "151", "291", "312"] {
                let freeze: FreezePoint = freeze.parse().unwrap();
                let trainable = open(&network, &weights, &freeze, BatchNorm::Train { momentum: 0.1 });
                for (kind, parameters) in [("values", trainable.parameters()), ("statistics", trainable.statistics())] {
                    let mut end = 0;
                    for parameter in parameters {
                        let shape = &expected[&parameter.name];
                        assert_eq!(&parameter.shape, shape, "{engine}, {}", parameter.name);
                        assert_eq!(parameter.range, end..end + shape.iter().product::<usize>(), "{engine}");
                        assert_eq!(parameter.name.contains(".running_"), kind == "statistics");
                        end = parameter.range.end;
                    }
                    if kind == "values" {
                        assert_eq!(end, freeze.trainable_parameters(&network).unwrap(), "{engine}, {freeze}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_weights_given_and_what_is_frozen_do_not_move_by_a_bit() {
    let weights = Weights::embedded().unwrap();
    let pristine = Weights::embedded().unwrap();
    let network = Network::new(weights.variant());
    // Between kernel and batch norm of two convolutions: kernels past the border that stay.
    let freeze = FreezePoint::Layers(291);
    for (engine, open) in ENGINES {
        let mut trainable = open(&network, &weights, &freeze, BatchNorm::Frozen);
        let maps = maps(trainable.border(), &weights, &small_images());
        let kept: Vec<Vec<f32>> = maps.iter().map(|maps| maps.flatten_all().unwrap().to_vec1().unwrap()).collect();
        let before = values(trainable.as_mut());
        let features = trainable.features(&maps, Pass::Train).unwrap();
        trainable.backward(&features).unwrap();
        let mut moved = false;
        let rule = &mut |values: &mut [f32], gradients: &mut [f32]| {
            moved = gradients.iter().any(|&gradient| gradient != 0.0);
            values.iter_mut().zip(gradients).for_each(|(value, gradient)| *value -= 1e-3 * *gradient);
        };
        trainable.update(rule).unwrap();
        assert!(moved, "{engine}");
        assert_ne!(values(trainable.as_mut()), before, "{engine}");
        for (maps, kept) in maps.iter().zip(kept) {
            assert_eq!(maps.flatten_all().unwrap().to_vec1::<f32>().unwrap(), kept, "{engine}");
        }
        for (node, _) in network.convolutions() {
            let [now, then] = [&weights, &pristine].map(|weights| {
                let convolution = weights.convolution(&node.name).unwrap();
                [&convolution.kernel, &convolution.beta, &convolution.mean, &convolution.variance]
                    .map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            });
            assert_eq!(now, then, "{engine}: {}", node.name);
        }
    }
}

#[test]
fn gradients_add_up_until_the_rule_sets_them_to_zero() {
    let weights = Weights::embedded().unwrap();
    let network = Network::new(weights.variant());
    for (engine, open) in ENGINES {
        let mut trainable = open(&network, &weights, &"mixed9".parse().unwrap(), BatchNorm::Frozen);
        let maps = maps(trainable.border(), &weights, &small_images());
        let mut together = Vec::new();
        for passes in [[[0, 1, 2].as_slice()].as_slice(), &[&[0, 1], &[2]]] {
            for images in passes {
                let features = trainable.features(&batch(&maps, images), Pass::Train).unwrap();
                trainable.backward(&features.ones_like().unwrap()).unwrap();
            }
            let take = &mut |_: &mut [f32], gradients: &mut [f32]| {
                together.push(gradients.to_vec());
                gradients.fill(0.0);
            };
            trainable.update(take).unwrap();
        }
        let [whole, parts] = together.as_slice() else { panic!("two") };
        let as_tensor = |numbers: &[f32]| Tensor::from_slice(numbers, numbers.len(), &Device::Cpu).unwrap();
        let error = relative_l2(&as_tensor(parts), &as_tensor(whole));
        assert!(error < 1e-5, "{engine}: relative L2 {error:e}");
        trainable.update(&mut |_, gradients| assert!(gradients.iter().all(|&gradient| gradient == 0.0))).unwrap();
    }
}

#[test]
fn evaluating_changes_nothing_and_leaves_nothing_to_go_back_through() {
    let weights = Weights::embedded().unwrap();
    let network = Network::new(weights.variant());
    for (engine, open) in ENGINES {
        let mut trainable = open(&network, &weights, &"mixed9".parse().unwrap(), BatchNorm::Train { momentum: 0.1 });
        let maps = maps(trainable.border(), &weights, &small_images());
        let before = values(trainable.as_mut());
        let features = trainable.features(&maps, Pass::Evaluate).unwrap();
        assert_eq!(values(trainable.as_mut()), before, "{engine}");
        assert!(trainable.backward(&features).is_err(), "{engine}");
        let learning = trainable.features(&maps, Pass::Train).unwrap();
        assert!(relative_l2(&learning, &features) > 1e-3, "{engine}: the batch's statistics are others");
        assert_ne!(values(trainable.as_mut()), before, "{engine}: running statistics follow");
        trainable.backward(&learning).unwrap();
        assert!(trainable.backward(&learning).is_err(), "{engine}: a pass is gone back through once");
    }
}

#[test]
fn values_and_statistics_that_a_rule_sets_are_there_and_are_used() {
    let weights = Weights::embedded().unwrap();
    let network = Network::new(weights.variant());
    for (engine, open) in ENGINES {
        let freeze = "mixed9".parse().unwrap();
        let mut trained = open(&network, &weights, &freeze, BatchNorm::Train { momentum: 0.1 });
        let maps = maps(trained.border(), &weights, &small_images());
        let features = trained.features(&maps, Pass::Train).unwrap();
        trained.backward(&features).unwrap();
        let (mut values, mut statistics) = (Vec::new(), Vec::new());
        let step = &mut |now: &mut [f32], gradients: &mut [f32]| {
            now.iter_mut().zip(gradients).for_each(|(value, gradient)| *value -= 1e-3 * *gradient);
            values = now.to_vec();
        };
        trained.update(step).unwrap();
        trained.update_statistics(&mut |now| statistics = now.to_vec()).unwrap();
        let bits = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = bits(trained.features(&maps, Pass::Evaluate).unwrap());

        let mut resumed = open(&network, &weights, &freeze, BatchNorm::Train { momentum: 0.1 });
        assert_ne!(bits(resumed.features(&maps, Pass::Evaluate).unwrap()), expected, "{engine}");
        resumed.update(&mut |now, _| now.copy_from_slice(&values)).unwrap();
        resumed.update_statistics(&mut |now| now.copy_from_slice(&statistics)).unwrap();
        assert_eq!(bits(resumed.features(&maps, Pass::Evaluate).unwrap()), expected, "{engine}");
    }
}

#[test]
fn maps_that_are_not_the_borders_are_an_error() {
    let weights = Weights::embedded().unwrap();
    let network = Network::new(weights.variant());
    for (engine, open) in ENGINES {
        let mut trainable = open(&network, &weights, &CUT, BatchNorm::Frozen);
        let maps = |channels| Tensor::zeros((1, 5, 5, channels), DType::F32, &Device::Cpu).unwrap();
        assert!(trainable.features(&[], Pass::Evaluate).is_err(), "{engine}");
        assert!(trainable.features(&[maps(1087)], Pass::Evaluate).is_err(), "{engine}");
        assert!(trainable.features(&[maps(1088), maps(1088)], Pass::Evaluate).is_err(), "{engine}");
        assert!(trainable.features(&[maps(1088)], Pass::Evaluate).is_ok(), "{engine}");
    }
}
