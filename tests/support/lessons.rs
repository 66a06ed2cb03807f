//! Steps of training that PyTorch took, for whoever trains: goldens by `scripts/golden_finetune.py`.
//!
//! ```text
//! six images ─▶ maps that cross ─▶ trainable ─▶ features ─▶ head ─▶ loss       held to the golden file: the gradients at the start,
//!                                      ▲────────── gradients, SGD ◀──╯          the loss of each step, the change of every tensor
//! ```

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use headstock::engine::trainable::{BatchNorm, Pass, Trainable, channels_last};
use headstock::engine::{Cpu, Engine};
use headstock::image::Preset;
use headstock::inception::{Border, FreezePoint, Network, Variant};
use headstock::weights::Weights;

use super::sketch::distance;
use super::{golden, golden_metadata, golden_pixels, seeded_weights, under_tests, units};

pub const CUT: FreezePoint = FreezePoint::Layers(150);
pub const CLASSES: usize = 3;
pub const FEATURES: usize = 2048;
/// Of step s, the images s and s+2 (modulo 6).
pub const BATCH: [usize; 2] = [0, 2];

/// The network of the binary, also where it has none inside.
pub fn published() -> Weights {
    Weights::from_bytes(&std::fs::read(under_tests("../data/inception_v3_2015.safetensors")).unwrap(), None).unwrap()
}

/// Weights and input pixels of a variant: the network of the binary, or the seeded one.
pub fn of_variant(variant: Variant) -> (Weights, Tensor) {
    match variant {
        Variant::Tf2015 => (published(), golden_pixels(&Preset::Tf.preprocess().normalise)),
        _ => (
            Weights::from_bytes(&seeded_weights(variant), None).unwrap(),
            golden_pixels(&Preset::Torchvision.preprocess().normalise),
        ),
    }
}

/// What crosses the border of these images, by the fast engine.
pub fn maps(border: &Border, weights: &Weights, images: &Tensor) -> Vec<Tensor> {
    let network = Network::new(weights.variant());
    let run = |trunk| channels_last(&Cpu::new(trunk, weights).unwrap().run(images).unwrap()).unwrap();
    border.trunks(&network).into_iter().map(run).collect()
}

/// The middle of three golden images, and their mirror images.
pub fn six_images(three: &Tensor) -> Tensor {
    let three = three.narrow(2, 48, 203).unwrap().narrow(3, 48, 203).unwrap().contiguous().unwrap();
    let backwards = Tensor::from_iter((0..203_u32).rev(), &Device::Cpu).unwrap();
    Tensor::cat(&[&three, &three.index_select(&backwards, 3).unwrap()], 0).unwrap()
}

pub fn batch(maps: &[Tensor], chosen: &[u32]) -> Vec<Tensor> {
    let chosen = Tensor::new(chosen, &Device::Cpu).unwrap();
    maps.iter().map(|maps| maps.index_select(&chosen, 0).unwrap()).collect()
}

/// The linear head of the goldens, in float64.
pub struct Head {
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
}

/// What cross-entropy says of a batch.
pub struct Verdict {
    pub loss: f64,
    pub by_features: Tensor,
    pub by_weight: Vec<f64>,
    pub by_bias: Vec<f64>,
}

impl Head {
    pub fn seeded() -> Self {
        let numbers =
            |name, scale: f32, length| units(name).take(length).map(|u| f64::from(scale * (u * 2.0 - 1.0))).collect();
        Self { weight: numbers("head.weight", 0.02, CLASSES * FEATURES), bias: numbers("head.bias", 0.1, CLASSES) }
    }

    pub fn judge(&self, features: &Tensor, labels: &[usize]) -> Verdict {
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
pub struct Sgd {
    pub rate: f64,
    pub momentum: f64,
    pub velocity: Vec<f64>,
}

impl Sgd {
    pub fn step(&mut self, gradients: impl Iterator<Item = f64>, mut change: impl FnMut(usize, f64)) {
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
pub fn values(trainable: &mut dyn Trainable) -> HashMap<String, Vec<f64>> {
    let (mut flat, mut statistics) = (Vec::new(), Vec::new());
    trainable.update(&mut |values, _| flat = values.to_vec()).unwrap();
    trainable.update_statistics(&mut |values| statistics = values.to_vec()).unwrap();
    let of = |parameters: &[headstock::engine::trainable::Parameter], flat: &[f32]| -> Vec<_> {
        let tensor = |range: std::ops::Range<usize>| flat[range].iter().copied().map(f64::from).collect();
        parameters.iter().map(|parameter| (parameter.name.clone(), tensor(parameter.range.clone()))).collect()
    };
    of(trainable.parameters(), &flat).into_iter().chain(of(trainable.statistics(), &statistics)).collect()
}

pub fn gradients(trainable: &mut dyn Trainable) -> HashMap<String, Vec<f64>> {
    let mut flat = Vec::new();
    trainable.update(&mut |_, gradients| flat = gradients.to_vec()).unwrap();
    let tensor = |range: std::ops::Range<usize>| flat[range].iter().copied().map(f64::from).collect();
    trainable.parameters().iter().map(|p| (p.name.clone(), tensor(p.range.clone()))).collect()
}

pub fn norm(numbers: &[f64]) -> f64 {
    numbers.iter().map(|number| number * number).sum::<f64>().sqrt()
}

/// How far a tensor is from the golden one.
pub struct Distance {
    pub name: String,
    /// The estimated norm of the difference.
    pub apart: f64,
    /// The norm of the golden one.
    pub norm: f64,
}

/// The golden file's sketches under a prefix held to tensors, each by its name, and none left over.
pub fn distances(golden: &HashMap<String, Tensor>, prefix: &str, found: &HashMap<String, Vec<f64>>) -> Vec<Distance> {
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
pub fn assert_worst(what: &str, bound: f64, errors: impl Iterator<Item = (f64, String)>) {
    let (error, name) = errors.fold((0.0, String::new()), |worst, next| if next.0 > worst.0 { next } else { worst });
    println!("{what}: {error:.1e}, {name}");
    assert!(error < bound, "{what}, {name}: relative L2 {error:e}");
}

/// Bounds on the relative L2 errors of each tensor. After one step, and after all:
pub struct Bounds {
    /// Of its gradient, at the start.
    pub gradient: f64,
    /// Of its change.
    pub changes: [f64; 2],
    /// Of the tensor.
    pub tensors: [f64; 2],
}

/// In float64.
pub const STRICT: Bounds = Bounds { gradient: 1e-6, changes: [1e-5, 1e-4], tensors: [1e-6, 1e-6] };

/// Where float32 cannot tell on which side of zero a unit is, the gradients below it are off by 1e-3 to 2e-2, whoever computes
/// them (the golden files know what becomes of PyTorch's own float32), and steps add up. So gradients and changes get the room
/// that this takes; where there is no such unit, another test holds them to float64.
pub const OF_FLOAT32: Bounds = Bounds { gradient: 5e-2, changes: [5e-2, 3e-1], tensors: [1e-4, 1e-3] };

/// Some steps of training that PyTorch took.
pub struct Lesson {
    pub variant: Variant,
    pub file: &'static str,
    pub freeze: FreezePoint,
    pub batch_norm: BatchNorm,
}

impl Lesson {
    /// Trains as the golden script does, and holds every trained tensor to it.
    pub fn assert_learnt_by(&self, who: &str, trainable: &mut dyn Trainable, crossing: &[Tensor], bounds: &Bounds) {
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
            let features = features.to_device(&Device::Cpu).unwrap();
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
