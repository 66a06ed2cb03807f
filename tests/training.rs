//! The parts of fine-tuning, held to PyTorch's; and the loop, on a network so small that all of it can be seen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

use std::collections::BTreeSet;
use std::ops::Range;

use candle_core::{Device, Tensor};
use headstock::engine::trainable::{Parameter, Pass, Trainable, clip_scale, squared_norm};
use headstock::finetune::{
    CrossEntropy, Decay, Ending, Item, Maps, Observer, Optimiser, Rows, Rule, Source, TrainError, TrainableHead,
    Trainer, TrainingParams, Views,
};
use headstock::head::{Dense, Linear, Model};
use headstock::history::{Epoch, Step};
use headstock::image::augment::{adjust_brightness, adjust_contrast, adjust_saturation};
use headstock::image::{DecodeOptions, Preset};
use headstock::inception::{Border, FreezePoint, Network, Variant};
use headstock::pipeline::Loader;
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/training.json")).unwrap()
}

fn vector<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
    serde_json::from_value(value.clone()).unwrap()
}

fn matrix(value: &Value) -> Array2<f32> {
    let rows: Vec<Vec<f32>> = serde_json::from_value(value.clone()).unwrap();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn close<'a>(ours: impl IntoIterator<Item = &'a f32>, theirs: impl IntoIterator<Item = f64>, what: &str) {
    let (ours, theirs): (Vec<f32>, Vec<f64>) = (ours.into_iter().copied().collect(), theirs.into_iter().collect());
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!((f64::from(*ours) - theirs).abs() <= 2e-6 * theirs.abs().max(1.0), "{what}: {ours} against {theirs}");
    }
}

fn follows(golden: &Value, rule: Rule, rate: f64, decay: f64, what: &str) {
    let mut values: Vec<f32> = vector(&golden["start"]);
    let all: Range<usize> = 0..values.len();
    let mut optimiser = Optimiser::new(rule, decay, vec![all], values.len());
    let gradients: Vec<Vec<f32>> = vector(&golden["gradients"]);
    let theirs: Vec<Vec<f64>> = vector(&golden["values"]);
    for (step, (mut gradients, theirs)) in gradients.into_iter().zip(theirs).enumerate() {
        // A scale is a factor of the gradient, and powers of two round nothing.
        for gradient in &mut gradients {
            *gradient *= 4.0;
        }
        optimiser.step(&mut values, &mut gradients, rate, 0.25);
        close(&values, theirs, &format!("{what}, step {step}"));
        assert!(gradients.iter().all(|&gradient| gradient == 0.0), "gradients begin anew");
    }
}

#[test]
fn every_step_of_sgd_and_adamw_is_pytorchs() {
    let golden = golden();
    let sgd = |momentum| Rule::Sgd { momentum };
    follows(&golden["sgd"]["plain"], sgd(0.9), 0.1, 0.0, "SGD");
    follows(&golden["sgd"]["decayed"], sgd(0.9), 0.1, 0.05, "SGD with decay");
    follows(&golden["sgd"]["without_momentum"], sgd(0.0), 0.1, 0.0, "SGD without momentum");
    follows(&golden["adamw"]["plain"], Rule::ADAMW, 0.01, 0.0, "AdamW");
    follows(&golden["adamw"]["decayed"], Rule::ADAMW, 0.01, 0.1, "AdamW with decay");
}

#[test]
fn only_the_ranges_that_are_named_decay_wherever_threads_cut_the_vector() {
    const LEN: usize = 200_000;
    let decayed = vec![3..10, 65_530..65_540, 65_541..140_000, 199_999..LEN];
    for rule in [Rule::Sgd { momentum: 0.9 }, Rule::ADAMW] {
        let mut optimiser = Optimiser::new(rule, 0.5, decayed.clone(), LEN);
        let (mut values, mut gradients) = (vec![1.0; LEN], vec![0.0; LEN]);
        optimiser.step(&mut values, &mut gradients, 0.1, 1.0);
        for (position, value) in values.into_iter().enumerate() {
            let decays = decayed.iter().any(|range| range.contains(&position));
            assert_eq!(value, if decays { 0.95 } else { 1.0 }, "{rule:?} at {position}");
        }
    }
}

#[test]
fn an_optimisers_bits_do_not_depend_on_the_threads() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let start: Vec<f32> = (0..300_001).map(|_| rng.random::<f32>() - 0.5).collect();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut optimiser = Optimiser::new(Rule::ADAMW, 0.1, vec![5..20, 30..200_000], start.len());
            let mut values = start.clone();
            for step in 0..3 {
                let mut gradients: Vec<f32> = start.iter().map(|x| x * (step as f32 - 0.7)).collect();
                let norm = squared_norm(&gradients).sqrt();
                optimiser.step(&mut values, &mut gradients, 1e-3, clip_scale(norm, Some(1.0)));
            }
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        })
    };
    assert!(with(1) == with(3));
}

#[test]
fn clipping_is_pytorchs() {
    for golden in golden()["clipped"].as_array().unwrap() {
        let gradients: Vec<Vec<f32>> = vector(&golden["gradients"]);
        let norm = gradients.iter().map(|gradients| squared_norm(gradients)).sum::<f64>().sqrt();
        assert!((norm - golden["norm"].as_f64().unwrap()).abs() < 1e-6 * norm);
        let scale = clip_scale(norm, golden["limit"].as_f64()) as f32;
        for (ours, theirs) in gradients.iter().zip(vector::<Vec<f64>>(&golden["clipped"])) {
            close(&ours.iter().map(|gradient| gradient * scale).collect::<Vec<_>>(), theirs, "a clipped gradient");
        }
    }
    assert_eq!(clip_scale(1e30, None), 1.0);
}

#[test]
fn the_loss_and_its_gradient_are_pytorchs_with_class_weights_and_smoothing() {
    for golden in golden()["cross_entropy"].as_array().unwrap() {
        let loss = CrossEntropy {
            class_weights: vector(&golden["weights"]),
            smoothing: golden["smoothing"].as_f64().unwrap(),
        };
        let (logits, labels) = (matrix(&golden["logits"]), vector::<usize>(&golden["labels"]));
        let (ours, gradient) = loss.with_gradient(logits.view(), &labels, loss.weight(&labels));
        let theirs = golden["loss"].as_f64().unwrap();
        assert!((ours - theirs).abs() < 1e-6 * theirs, "{ours} against {theirs}");
        let theirs: Vec<Vec<f64>> = vector(&golden["gradient"]);
        close(&gradient, theirs.concat(), "the gradient");
    }
}

#[test]
fn a_head_and_its_gradients_are_pytorchs() {
    for golden in golden()["heads"].as_array().unwrap() {
        let layers = golden["layers"].as_array().unwrap();
        let part = |layer: usize| (matrix(&layers[layer]["weight"]), vector(&layers[layer]["bias"]));
        let model = if layers.len() == 1 {
            let (weight, bias) = part(0);
            Model::Linear(Linear { weight, bias })
        } else {
            let ((weight1, bias1), (weight2, bias2)) = (part(0), part(1));
            Model::Dense(Dense { weight1, bias1, weight2, bias2 })
        };
        let mut head = TrainableHead::new(&model);
        assert_eq!(head.model().unwrap(), model);
        let (features, labels) = (matrix(&golden["features"]), vector::<usize>(&golden["labels"]));
        let pass = head.forward(features.view()).unwrap();
        close(&pass.logits, vector::<Vec<f64>>(&golden["logits"]).concat(), "logits");
        let loss = CrossEntropy { class_weights: vec![1.0; 4], smoothing: 0.0 };
        let (_, by_logits) = loss.with_gradient(pass.logits.view(), &labels, loss.weight(&labels));
        let by_features = head.backward(features.view(), &pass, by_logits.clone()).unwrap();
        close(&by_features, vector::<Vec<f64>>(&golden["by_features"]).concat(), "by the features");
        let theirs = vector::<Vec<f64>>(&golden["gradients"]).concat();
        close(head.gradients(), theirs.clone(), "by the weights");
        // A second pass adds to the first.
        let _ = head.backward(features.view(), &pass, by_logits).unwrap();
        close(head.gradients(), theirs.into_iter().map(|gradient| 2.0 * gradient), "twice");
        assert!(head.forward(features.slice(ndarray::s![.., ..3])).is_err());
    }
}

#[test]
fn colours_are_torchvisions_to_the_byte() {
    let golden = &golden()["colours"];
    let side = |name: &str| golden[name].as_u64().unwrap() as u32;
    let picture = || image::RgbImage::from_raw(side("width"), side("height"), vector(&golden["bytes"])).unwrap();
    for adjusted in golden["adjusted"].as_array().unwrap() {
        let adjust = match adjusted["way"].as_str().unwrap() {
            "brightness" => adjust_brightness,
            "contrast" => adjust_contrast,
            _ => adjust_saturation,
        };
        let mut ours = picture();
        adjust(&mut ours, adjusted["factor"].as_f64().unwrap() as f32);
        assert_eq!(ours.into_raw(), vector::<u8>(&adjusted["bytes"]), "{} {}", adjusted["way"], adjusted["factor"]);
    }
}

/// Numbers of an image at the border, and its features.
const INPUTS: usize = 6;
const FEATURES: usize = 5;
const CLASSES: usize = 3;

/// The smallest network that can be trained: features = maps times a matrix.
struct Affine {
    border: Border,
    parameters: Vec<Parameter>,
    values: Vec<f32>,
    gradients: Vec<f32>,
    kept: Option<Array2<f32>>,
}

impl Affine {
    fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let len = INPUTS * FEATURES;
        let shape = vec![INPUTS, FEATURES];
        Self {
            border: Border::new(&Network::new(Variant::Tf2015), &FreezePoint::Layers(249)).unwrap(),
            parameters: vec![Parameter { name: "affine.conv.weight".to_owned(), shape, range: 0..len }],
            values: (0..len).map(|_| rng.random::<f32>() - 0.5).collect(),
            gradients: vec![0.0; len],
            kept: None,
        }
    }
}

impl Trainable for Affine {
    fn border(&self) -> &Border {
        &self.border
    }

    fn features(&mut self, maps: &[Tensor], pass: Pass) -> candle_core::Result<Tensor> {
        let batch = maps[0].dim(0)?;
        let maps = Array2::from_shape_vec((batch, INPUTS), maps[0].flatten_all()?.to_vec1()?).unwrap();
        let weight = Array2::from_shape_vec((INPUTS, FEATURES), self.values.clone()).unwrap();
        let features = maps.dot(&weight);
        if pass == Pass::Train {
            self.kept = Some(maps);
        }
        Tensor::from_vec(features.iter().copied().collect(), (batch, FEATURES), &Device::Cpu)
    }

    fn backward(&mut self, by_features: &Tensor) -> candle_core::Result<()> {
        let maps = self.kept.take().expect("a pass to learn from came before");
        let by_features =
            Array2::from_shape_vec((maps.nrows(), FEATURES), by_features.flatten_all()?.to_vec1()?).unwrap();
        let gradient = maps.t().dot(&by_features);
        self.gradients.iter_mut().zip(&gradient).for_each(|(sum, gradient)| *sum += gradient);
        Ok(())
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn update(&mut self, rule: &mut dyn FnMut(&mut [f32], &mut [f32])) -> candle_core::Result<()> {
        rule(&mut self.values, &mut self.gradients);
        Ok(())
    }

    fn update_statistics(&mut self, rule: &mut dyn FnMut(&mut [f32])) -> candle_core::Result<()> {
        rule(&mut []);
        Ok(())
    }

    fn statistics(&self) -> &[Parameter] {
        &[]
    }

    fn device(&self) -> &Device {
        &Device::Cpu
    }
}

/// Images that are six numbers each; another view has other numbers.
struct Numbers(Array2<f32>);

impl Source for Numbers {
    fn batches<'a>(&'a self, batches: Vec<Vec<Item>>) -> Box<dyn Iterator<Item = Maps> + 'a> {
        Box::new(batches.into_iter().map(|items| {
            let numbers = |item: &Item| self.0.row(item.candidate).mapv(|x| x + 0.01 * item.view as f32).to_vec();
            let all: Vec<f32> = items.iter().flat_map(numbers).collect();
            Ok(vec![Tensor::from_vec(all, (items.len(), 1, 1, INPUTS), &Device::Cpu)?])
        }))
    }
}

/// So many images, of which those of a class lie about a place of their own, and their labels.
fn images(count: usize, noise: f32) -> (Numbers, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let labels: Vec<usize> = (0..count).map(|row| row % CLASSES).collect();
    let number = |(row, column): (usize, usize)| {
        let place = f32::from(u8::from(column % CLASSES == labels[row]));
        place + noise * (2.0 * rng.random::<f32>() - 1.0)
    };
    (Numbers(Array2::from_shape_fn((count, INPUTS), number)), labels)
}

fn rows(range: Range<usize>, labels: &[usize]) -> Rows {
    Rows { labels: labels[range.clone()].to_vec(), candidates: range.collect() }
}

fn params() -> TrainingParams {
    TrainingParams {
        epochs: 6.try_into().unwrap(),
        batch_size: 8.try_into().unwrap(),
        accumulate: 1.try_into().unwrap(),
        learning_rate: 0.1,
        warmup_steps: 3,
        decay: Decay::Cosine,
        rule: Rule::Sgd { momentum: 0.9 },
        weight_decay: 1e-3,
        clip_norm: Some(1.0),
        patience: 10.try_into().unwrap(),
        seed: 4,
    }
}

fn trainer(params: TrainingParams) -> Trainer {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let weight = Array2::from_shape_simple_fn((CLASSES, FEATURES), || rng.random::<f32>() - 0.5);
    let head = TrainableHead::new(&Model::Linear(Linear { weight, bias: vec![0.0; CLASSES] }));
    let loss = CrossEntropy { class_weights: vec![1.0, 2.0, 0.5], smoothing: 0.05 };
    Trainer::new(Box::new(Affine::new()), head, loss, params)
}

fn views(count: usize) -> Views {
    let loader = Loader { root: ".".into(), options: DecodeOptions::default(), preprocess: Preset::Tf.preprocess() };
    Views { loader, augmentations: BTreeSet::new(), count, seed: 0 }
}

/// Keeps a checkpoint after one step, or stops after one.
#[derive(Default)]
struct Eyes {
    steps: Vec<Step>,
    epochs: Vec<Epoch>,
    stop_after: Option<usize>,
    checkpoint: Option<std::path::PathBuf>,
}

impl Observer for Eyes {
    fn step(&mut self, record: &Step, _: usize) {
        self.steps.push(*record);
    }

    fn epoch(&mut self, record: &Epoch) {
        self.epochs.push(*record);
    }

    fn is_stop_wanted(&self) -> bool {
        self.stop_after == Some(self.steps.len())
    }

    fn wants_checkpoint(&self, _: usize) -> bool {
        false
    }

    fn checkpoint(&mut self, trainer: &mut Trainer) -> Result<(), TrainError> {
        self.checkpoint.as_ref().map_or(Ok(()), |path| trainer.write_checkpoint(path, &json!({ "of": "this" })))
    }
}

#[test]
fn a_training_stopped_after_any_step_goes_on_with_the_same_bits() {
    let (source, labels) = images(60, 1.0);
    let (train, watch) = (rows(0..45, &labels), rows(45..60, &labels));
    for rule in [Rule::Sgd { momentum: 0.9 }, Rule::ADAMW] {
        let params = TrainingParams { rule, accumulate: 2.try_into().unwrap(), ..params() };
        let mut whole = trainer(params.clone());
        let mut eyes = Eyes::default();
        whole.look_at_start(&source, &watch).unwrap();
        assert_eq!(whole.run(&source, &views(3), &train, &watch, &mut eyes).unwrap(), Ending::Done);
        let (steps, epochs) = (eyes.steps, eyes.epochs);
        assert_eq!((steps.len(), epochs.len()), (6 * 3, 6));
        let end = whole.snapshot().unwrap();

        let folder = tempfile::tempdir().unwrap();
        for stop in 1..=steps.len() {
            let path = folder.path().join(format!("{stop}.safetensors"));
            let mut killed = trainer(params.clone());
            killed.look_at_start(&source, &watch).unwrap();
            let mut eyes = Eyes { stop_after: Some(stop), checkpoint: Some(path.clone()), ..Eyes::default() };
            assert_eq!(killed.run(&source, &views(3), &train, &watch, &mut eyes).unwrap(), Ending::Stopped);
            let mut resumed = trainer(params.clone());
            resumed.restore(&path, &json!({ "of": "this" })).unwrap();
            let mut eyes = Eyes::default();
            assert_eq!(resumed.run(&source, &views(3), &train, &watch, &mut eyes).unwrap(), Ending::Done);
            assert_eq!(eyes.steps, steps[stop..], "stopped after {stop}");
            assert!(resumed.snapshot().unwrap() == end, "stopped after {stop}");
            assert_eq!(resumed.history(), whole.history());
            assert!(resumed.best() == whole.best());
        }
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused_and_so_is_one_that_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let mut one = trainer(params());
    one.write_checkpoint(&path, &json!({ "learning-rate": 0.1, "seed": 1 })).unwrap();
    let refused = |path: &std::path::Path, of: &Value| trainer(params()).restore(path, of).unwrap_err().to_string();
    let said = refused(&path, &json!({ "learning-rate": 0.1, "seed": 2 }));
    assert!(said.contains("`seed` has changed since; start over by --restart"), "{said}");
    let bytes = std::fs::read(&path).unwrap();
    for len in [0, 7, 100, bytes.len() - 1] {
        let torn = folder.path().join("torn.safetensors");
        std::fs::write(&torn, &bytes[..len]).unwrap();
        assert!(refused(&torn, &json!({})).contains("as a checkpoint"), "cut at {len}");
    }
    // Another head: as many tensors, not as many numbers.
    let wide = Model::Linear(Linear { weight: Array2::zeros((CLASSES + 1, FEATURES)), bias: vec![0.0; CLASSES + 1] });
    let loss = CrossEntropy { class_weights: vec![1.0; CLASSES + 1], smoothing: 0.0 };
    let mut other = Trainer::new(Box::new(Affine::new()), TrainableHead::new(&wide), loss, params());
    let before = other.snapshot().unwrap();
    let said = other.restore(&path, &json!({ "learning-rate": 0.1, "seed": 1 })).unwrap_err().to_string();
    assert!(said.contains("of another network or head"), "{said}");
    assert!(other.snapshot().unwrap() == before);
}

#[test]
fn batches_added_up_are_one_large_batch() {
    let (source, labels) = images(45, 1.0);
    let train = rows(0..45, &labels);
    let end = |batch_size: usize, accumulate: usize| {
        let params = TrainingParams {
            batch_size: batch_size.try_into().unwrap(),
            accumulate: accumulate.try_into().unwrap(),
            ..params()
        };
        let (mut trainer, mut eyes) = (trainer(params), Eyes::default());
        trainer.run(&source, &views(1), &train, &Rows::default(), &mut eyes).unwrap();
        (trainer.snapshot().unwrap(), eyes.steps)
    };
    let (whole, steps) = end(16, 1);
    for (batch_size, accumulate) in [(8, 2), (4, 4), (1, 16), (5, 3)] {
        let (pieces, their_steps) = end(batch_size, accumulate);
        if batch_size * accumulate == 16 {
            close(&pieces.parameters, whole.parameters.iter().map(|&x| f64::from(x)), "the network");
            close(&pieces.head, whole.head.iter().map(|&x| f64::from(x)), "the head");
            assert_eq!(their_steps.len(), steps.len());
        } else {
            assert!(pieces != whole);
        }
    }
}

#[test]
fn a_first_step_is_as_long_as_the_gradient_and_no_longer_than_clipping_allows() {
    let (source, labels) = images(8, 1.0);
    let train = rows(0..8, &labels);
    let moved = |learning_rate: f64, clip_norm| {
        let params = TrainingParams {
            epochs: 1.try_into().unwrap(),
            warmup_steps: 0,
            decay: Decay::Constant,
            weight_decay: 0.0,
            learning_rate,
            clip_norm,
            ..params()
        };
        let mut trainer = trainer(params);
        let before = trainer.snapshot().unwrap();
        trainer.run(&source, &views(1), &train, &Rows::default(), &mut Eyes::default()).unwrap();
        let after = trainer.snapshot().unwrap();
        let squares = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        (squares(&after.parameters, &before.parameters) + squares(&after.head, &before.head)).sqrt()
    };
    let norm = moved(0.1, None) / 0.1;
    assert!((moved(0.2, None) - 0.2 * norm).abs() < 1e-5 * norm);
    assert!((moved(0.1, Some(norm / 3.0)) - 0.1 * norm / 3.0).abs() < 1e-5 * norm);
    assert!((moved(0.1, Some(norm * 3.0)) - 0.1 * norm).abs() < 1e-5 * norm);
}

#[test]
fn classes_that_lie_apart_are_learned_and_the_best_epoch_is_kept() {
    let (source, labels) = images(90, 0.4);
    let (train, watch) = (rows(0..60, &labels), rows(60..90, &labels));
    let (mut trainer, mut eyes) = (trainer(params()), Eyes::default());
    let start = trainer.look_at_start(&source, &watch).unwrap().unwrap();
    trainer.run(&source, &views(1), &train, &watch, &mut eyes).unwrap();
    let history = trainer.history().clone();
    assert_eq!(history.epochs, eyes.epochs);
    let losses: Vec<f64> = history.epochs.iter().map(|epoch| epoch.validation.unwrap().loss).collect();
    let best = history.best_epoch.unwrap() - 1;
    assert!(losses.iter().all(|&loss| loss >= losses[best]) && losses[best] < start.loss);
    assert!(history.epochs[best].validation.unwrap().accuracy > 0.9);

    let snapshot = trainer.best().unwrap().clone();
    assert!(trainer.set(&snapshot).unwrap());
    let features = trainer.features(&source, &watch.candidates, &mut |_| ()).unwrap();
    assert_eq!(trainer.validation(features.view(), &watch.labels).unwrap().loss, losses[best]);
}

#[test]
fn patience_ends_a_training_that_gets_worse() {
    // Labels without any sense.
    let (source, _) = images(60, 1.0);
    let mut noise = ChaCha8Rng::seed_from_u64(7);
    let labels: Vec<usize> = (0..60).map(|_| noise.random_range(0..CLASSES)).collect();
    let (train, watch) = (rows(0..40, &labels), rows(40..60, &labels));
    let params = TrainingParams {
        epochs: 300.try_into().unwrap(),
        patience: 4.try_into().unwrap(),
        decay: Decay::Constant,
        ..params()
    };
    let mut trainer = trainer(params);
    trainer.run(&source, &views(1), &train, &watch, &mut Eyes::default()).unwrap();
    let history = trainer.history();
    assert!(history.epochs.len() < 300);
    assert_eq!(history.epochs.len(), history.best_epoch.unwrap() + 4);
}

#[test]
fn a_loss_that_is_no_number_ends_the_training_before_anything_is_moved_by_it() {
    let (mut source, labels) = images(60, 1.0);
    // The images of the fourth step and later ones: no number is as large as they make the loss.
    let order_of_steps = params();
    let (train, watch) = (rows(0..40, &labels), rows(40..60, &labels));
    let mut eyes = Eyes::default();
    let mut whole = trainer(order_of_steps.clone());
    whole.run(&source, &views(1), &train, &watch, &mut eyes).unwrap();

    source.0.row_mut(17).fill(f32::NAN);
    let (mut torn, mut eyes) = (trainer(order_of_steps), Eyes::default());
    let ending = torn.run(&source, &views(1), &train, &watch, &mut eyes).unwrap();
    let Ending::Diverged { step } = ending else { panic!("{ending:?}") };
    assert_eq!(step, eyes.steps.len() + 1);
    assert!(step <= 5, "every image is seen in the five steps of an epoch");
    let now = torn.snapshot().unwrap();
    assert!(now.parameters.iter().chain(&now.head).all(|number| number.is_finite()));
    assert!(torn.best().is_none(), "no epoch was whole");
}

#[test]
fn the_seed_decides_the_order_and_nothing_else_does() {
    let (source, labels) = images(45, 1.0);
    let train = rows(0..45, &labels);
    let losses = |seed| {
        let (mut trainer, mut eyes) = (trainer(TrainingParams { seed, ..params() }), Eyes::default());
        trainer.run(&source, &views(2), &train, &Rows::default(), &mut eyes).unwrap();
        eyes.steps.iter().map(|step| step.loss.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(losses(1), losses(1));
    assert_ne!(losses(1), losses(2));
}

#[test]
fn an_image_shows_each_of_its_views_once_in_as_many_epochs_and_not_all_images_the_same_one() {
    let views = views(4);
    for candidate in 0..9 {
        let seen: BTreeSet<usize> = (0..4).map(|epoch| views.of_epoch(candidate, epoch)).collect();
        assert_eq!(seen, (0..4).collect());
    }
    let first: BTreeSet<usize> = (0..9).map(|candidate| views.of_epoch(candidate, 0)).collect();
    assert_eq!(first.len(), 4);
}
