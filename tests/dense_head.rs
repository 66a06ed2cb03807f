//! Training of the dense head: held to Keras step by step (`scripts/golden_dense.py`), and to what must be true of any.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

use std::error::Error as _;

use headstock::head::Linear;
use headstock::head::dense::{Dense, DenseError, DenseParams, Dropout, Epoch, Samples, Trainer, Training, Validation};
use ndarray::{Array1, Array2, s};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Rows of three classes: a centre a class, and noise around it.
fn clusters(count: usize, features: usize, noise: f32, seed: u64) -> (Array2<f32>, Vec<usize>) {
    let centres = Array2::from_shape_simple_fn((3, features), {
        let mut rng = rng(0);
        move || rng.random::<f32>() * 2.0 - 1.0
    });
    let mut rng = rng(seed);
    let labels: Vec<usize> = (0..count).map(|_| rng.random_range(0..3)).collect();
    let rows = Array2::from_shape_fn((count, features), |(row, column)| {
        centres[[labels[row], column]] + noise * (rng.random::<f32>() * 2.0 - 1.0)
    });
    (rows, labels)
}

fn samples((rows, labels): &(Array2<f32>, Vec<usize>)) -> Samples<'_> {
    Samples { rows: rows.view(), labels, weights: None }
}

fn params(epochs: usize) -> DenseParams {
    DenseParams {
        hidden: 40.try_into().unwrap(),
        epochs: epochs.try_into().unwrap(),
        learning_rate: 1e-3,
        ..DenseParams::default()
    }
}

fn fit(params: &DenseParams, train: Samples<'_>, watch: Option<Samples<'_>>) -> Training {
    params.fit(train, watch, 3, &mut |_| ()).unwrap()
}

fn bits(dense: &Dense) -> Vec<u32> {
    let matrices = dense.weight1.iter().chain(&dense.weight2);
    matrices.chain(&dense.bias1).chain(&dense.bias2).map(|number| number.to_bits()).collect()
}

mod keras {
    use super::*;

    pub fn golden() -> Value {
        serde_json::from_str(include_str!("golden/dense.json")).unwrap()
    }

    pub fn matrix(value: &Value) -> Array2<f32> {
        let rows: Vec<Vec<f32>> = serde_json::from_value(value.clone()).unwrap();
        Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
    }

    pub fn vector<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
        serde_json::from_value(value.clone()).unwrap()
    }

    pub fn dense(value: &Value) -> Dense {
        Dense {
            weight1: matrix(&value["weight1"]),
            bias1: vector(&value["bias1"]),
            weight2: matrix(&value["weight2"]),
            bias2: vector(&value["bias2"]),
        }
    }

    pub fn close(ours: f64, theirs: f64, what: &str) {
        assert!((ours - theirs).abs() <= 1e-5 * theirs.abs(), "{what}: {ours} against {theirs}");
    }
}

#[test]
fn every_step_is_keras_with_class_weights_and_a_batch_that_is_not_full() {
    let golden = keras::golden();
    let (rows, labels) = (keras::matrix(&golden["rows"]), keras::vector(&golden["labels"]));
    let weights = keras::vector(&golden["weights"]);
    let train = Samples { rows: rows.view(), labels: &labels, weights: Some(&weights) };
    let learning_rate = golden["learning_rate"].as_f64().unwrap();
    let mut trainer = Trainer::new(&keras::dense(&golden["start"]), learning_rate, None).unwrap();

    let order: Vec<usize> = (0..train.len()).collect();
    let batch_size = golden["batch_size"].as_u64().unwrap() as usize;
    assert_ne!(order.len() % batch_size, 0);
    let mut losses = keras::vector::<f64>(&golden["losses"]).into_iter();
    for (epoch, epoch_loss) in keras::vector::<f64>(&golden["epoch_losses"]).into_iter().enumerate() {
        let mut mean = 0.0;
        for positions in order.chunks(batch_size) {
            let loss = f64::from(trainer.step(train.batch(positions)).unwrap());
            keras::close(loss, losses.next().unwrap(), &format!("a loss of epoch {epoch}"));
            mean += loss * positions.len() as f64 / order.len() as f64;
        }
        keras::close(mean, epoch_loss, &format!("epoch {epoch}"));
    }
    assert_eq!(losses.next(), None);

    let (ours, theirs) = (trainer.dense().unwrap(), keras::dense(&golden["end"]));
    let pairs = [(&ours.weight1, &theirs.weight1), (&ours.weight2, &theirs.weight2)];
    for (ours, theirs) in pairs.into_iter().flat_map(|(ours, theirs)| ours.iter().zip(theirs)) {
        keras::close(f64::from(*ours), f64::from(*theirs), "a weight");
    }
    let biases = ours.bias1.iter().zip(&theirs.bias1).chain(ours.bias2.iter().zip(&theirs.bias2));
    biases.for_each(|(ours, theirs)| keras::close(f64::from(*ours), f64::from(*theirs), "a bias"));
}

#[test]
fn watched_rows_say_what_keras_evaluate_says() {
    let golden = keras::golden();
    let watch = &golden["watch"];
    let (rows, labels, weights) =
        (keras::matrix(&watch["rows"]), keras::vector(&watch["labels"]), keras::vector(&watch["weights"]));
    let watched = Samples { rows: rows.view(), labels: &labels, weights: Some(&weights) };
    let ours = Validation::of(&keras::dense(&golden["end"]), &watched);
    keras::close(ours.loss, watch["loss"].as_f64().unwrap(), "loss");
    keras::close(ours.accuracy, watch["accuracy"].as_f64().unwrap(), "accuracy");
}

#[test]
fn first_weights_are_glorots_and_biases_zero() {
    let dense = Dense::glorot_uniform(300, 100, 20, &mut rng(3));
    for (weight, shape) in [(&dense.weight1, (100, 300)), (&dense.weight2, (20, 100))] {
        assert_eq!(weight.dim(), shape);
        let limit = (6.0 / (shape.0 + shape.1) as f32).sqrt();
        let largest = weight.fold(0.0_f32, |largest, number| largest.max(number.abs()));
        assert!(largest <= limit && largest > 0.99 * limit);
        // A uniform's variance is limit² / 3; its mean, of n numbers, strays by limit / sqrt(3 n).
        let count = weight.len() as f32;
        let variance = weight.mapv(|number| number * number).sum() / count;
        assert!((variance * 3.0 / (limit * limit) - 1.0).abs() < 0.08, "{variance}");
        assert!((weight.sum() / count).abs() < 4.0 * limit / (3.0 * count).sqrt());
    }
    assert!(dense.bias1.iter().chain(&dense.bias2).all(|&bias| bias == 0.0));
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    // Large enough that products are split.
    let (train, watch) = (clusters(150, 400, 1.0, 1), clusters(70, 400, 1.0, 2));
    let params = DenseParams { hidden: 256.try_into().unwrap(), dropout: 0.3, ..params(2) };
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let training = pool.install(|| fit(&params, samples(&train), Some(samples(&watch))));
        (bits(&training.dense), training.history)
    };
    let one = with(1);
    for threads in [2, 3] {
        assert!(with(threads) == one, "{threads} threads differ from one");
    }
}

#[test]
fn the_seed_decides_the_result() {
    let train = clusters(60, 10, 1.0, 1);
    let with = |seed| bits(&fit(&DenseParams { seed, dropout: 0.2, ..params(2) }, samples(&train), None).dense);
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

#[test]
fn dropout_changes_neither_the_first_weights_nor_the_order_of_the_rows() {
    let train = clusters(60, 10, 1.0, 1);
    let with = |dropout| bits(&fit(&DenseParams { dropout, ..params(2) }, samples(&train), None).dense);
    assert_eq!(with(0.0), with(1e-12), "a dropout too small to leave anything out");
    assert_ne!(with(0.0), with(0.5));
}

#[test]
fn what_dropout_keeps_makes_up_for_what_it_leaves_out() {
    // With logits near zero the loss is linear in the hidden units, so that its mean over many masks is that without any.
    let (rows, labels) = clusters(64, 10, 1.0, 4);
    let rows = rows.mapv(f32::abs);
    let start = Dense {
        weight1: Array2::from_elem((50, 10), 0.1),
        bias1: vec![0.0; 50],
        weight2: Array2::from_shape_fn((3, 50), |(class, _)| [1e-3, 0.0, 0.0][class]),
        bias2: vec![0.0; 3],
    };
    let train = Samples { rows: rows.view(), labels: &labels, weights: None };
    let positions: Vec<usize> = (0..64).collect();
    let mean_loss = |dropout: Option<Dropout>| {
        let mut trainer = Trainer::new(&start, f64::MIN_POSITIVE, dropout).unwrap();
        let losses = (0..40).map(|_| f64::from(trainer.step(train.batch(&positions)).unwrap()) - 3.0_f64.ln());
        losses.sum::<f64>() / 40.0
    };
    let (none, some) = (mean_loss(None), mean_loss(Some(Dropout { rate: 0.5, rng: rng(1) })));
    assert!((some / none - 1.0).abs() < 0.05, "{some} with, {none} without");
}

#[test]
fn an_epochs_loss_is_the_mean_over_its_rows_whatever_the_batches() {
    let train = clusters(50, 10, 1.0, 1);
    // A step so small that no weight moves: the loss is then that of the first weights.
    let loss = |batch_size: usize| {
        let params =
            DenseParams { batch_size: batch_size.try_into().unwrap(), learning_rate: f64::MIN_POSITIVE, ..params(1) };
        let epoch = fit(&params, samples(&train), Some(samples(&train))).history[0];
        (epoch.train_loss, epoch.validation.unwrap().loss)
    };
    for batch_size in [1, 7, 32, 50, 1000] {
        let (trained, watched) = loss(batch_size);
        assert!((trained / watched - 1.0).abs() < 1e-6, "batches of {batch_size}: {trained} against {watched}");
    }
}

#[test]
fn classes_that_lie_apart_are_learned() {
    let (train, fresh) = (clusters(200, 20, 1.0, 1), clusters(200, 20, 1.0, 2));
    let mut seen: Vec<Epoch> = Vec::new();
    let training = params(30).fit(samples(&train), None, 3, &mut |epoch| seen.push(*epoch)).unwrap();
    assert_eq!(seen, training.history);
    assert!(Validation::of(&training.dense, &samples(&fresh)).accuracy > 0.97);
}

#[test]
fn training_ends_when_patience_does_and_the_best_epoch_is_kept() {
    // Labels without any sense: what is learned of them is wrong elsewhere.
    let (rows, _) = clusters(60, 20, 1.0, 1);
    let mut noise = rng(9);
    let labels: Vec<usize> = (0..60).map(|_| noise.random_range(0..3)).collect();
    let (train, watch) = ((rows.slice(s![..40, ..]), &labels[..40]), (rows.slice(s![40.., ..]), &labels[40..]));
    let as_samples = |(rows, labels)| Samples { rows, labels, weights: None };
    let (train, watch) = (as_samples(train), as_samples(watch));
    let training = fit(&DenseParams { patience: 4.try_into().unwrap(), ..params(200) }, train, Some(watch));

    let losses: Vec<f64> = training.history.iter().map(|epoch| epoch.validation.unwrap().loss).collect();
    let best = losses[training.best_epoch];
    assert!(losses.len() < 200);
    assert_eq!(losses.len(), training.best_epoch + 4 + 1);
    assert!(losses[..training.best_epoch].iter().all(|&loss| loss > best));
    assert!(losses[training.best_epoch..].iter().all(|&loss| loss >= best));
    assert_eq!(Validation::of(&training.dense, &watch).loss, best);

    let unwatched = fit(&params(30), train, None);
    assert_eq!((unwatched.history.len(), unwatched.best_epoch), (30, 29));
}

#[test]
fn watching_rows_does_not_change_what_is_learned() {
    let (train, watch) = (clusters(60, 10, 0.5, 1), clusters(30, 10, 0.5, 2));
    let (watched, unwatched) =
        (fit(&params(5), samples(&train), Some(samples(&watch))), fit(&params(5), samples(&train), None));
    assert_eq!(watched.best_epoch, 4, "of these rows the last epoch is the best");
    assert_eq!(bits(&watched.dense), bits(&unwatched.dense));
}

#[test]
fn training_that_diverges_says_what_to_do() {
    let train = clusters(60, 10, 1.0, 1);
    let error =
        DenseParams { learning_rate: 1e25, ..params(3) }.fit(samples(&train), None, 3, &mut |_| ()).unwrap_err();
    assert!(matches!(error, DenseError::Diverged { .. }));
    assert!(error.to_string().contains("lower the learning rate (--learning-rate"), "{error}");
}

#[test]
fn what_cannot_be_trained_is_refused_with_its_reason() {
    let good = clusters(10, 4, 1.0, 1);
    let wide = clusters(10, 5, 1.0, 1);
    let none = (Array2::zeros((0, 4)), Vec::new());
    let short = (good.0.clone(), good.1[1..].to_vec());
    let beyond = (good.0.clone(), vec![3; 10]);
    let not_finite = (Array2::from_shape_fn((10, 4), |at| if at == (7, 2) { f32::NAN } else { 1.0 }), good.1.clone());
    let infinite = [f32::INFINITY; 10];
    let said = |params: &DenseParams, train: Samples<'_>, watch| {
        let error = params.fit(train, watch, 3, &mut |_| ()).unwrap_err();
        format!("{error}: {}", error.source().map_or_else(String::new, ToString::to_string))
    };
    let train = samples(&good);
    let cases = [
        (said(&params(1), samples(&none), None), "train on cannot be used: there are no rows"),
        (said(&params(1), samples(&short), None), "10 rows, 9 labels and 10 weights"),
        (said(&params(1), Samples { weights: Some(&[1.0]), ..train }, None), "10 rows, 10 labels and 1 weights"),
        (said(&params(1), train, Some(samples(&wide))), "watch cannot be used: rows of 5 numbers where 4 should be"),
        (said(&params(1), train, Some(samples(&beyond))), "the label 3 is beyond the 3 classes"),
        (said(&params(1), samples(&not_finite), None), "row 7 or its weight is not finite"),
        (said(&params(1), Samples { weights: Some(&infinite), ..train }, None), "row 0 or its weight is not finite"),
        (said(&DenseParams { learning_rate: f64::NAN, ..params(1) }, train, None), "learning rate NaN"),
        (said(&DenseParams { dropout: 1.0, ..params(1) }, train, None), "dropout of 1"),
        (said(&DenseParams { hidden: usize::MAX.try_into().unwrap(), ..params(1) }, train, None), "too large"),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    }
}

proptest! {
    #[test]
    fn a_folded_head_says_of_raw_rows_what_it_said_of_standardised_ones(seed in 0_u64..1000, temperature in 0.1_f64..10.0) {
        let mut rng = rng(seed);
        let mut numbers = |rows: usize, columns: usize| {
            Array2::from_shape_simple_fn((rows, columns), || rng.random::<f32>() * 2.0 - 1.0)
        };
        let (rows, dense) = (
            numbers(9, 30),
            Dense {
                weight1: numbers(12, 30),
                bias1: numbers(1, 12).into_raw_vec_and_offset().0,
                weight2: numbers(4, 12),
                bias2: numbers(1, 4).into_raw_vec_and_offset().0,
            },
        );
        let linear = Linear { weight: numbers(4, 30), bias: vec![0.1, -0.2, 0.3, 0.0] };
        let mean: Array1<f64> = numbers(1, 30).row(0).mapv(f64::from);
        let scale: Array1<f64> = numbers(1, 30).row(0).mapv(|x| f64::from(x).abs() + 0.3);
        let standardised =
            Array2::from_shape_fn(rows.dim(), |(i, j)| ((f64::from(rows[[i, j]]) - mean[j]) / scale[j]) as f32);

        let divide = |logits: Array2<f32>| logits.mapv(|logit| (f64::from(logit) / temperature) as f32);
        let of_dense = divide(dense.logits(standardised.view()));
        let of_linear = divide(linear.logits(standardised.view()));
        let dense = dense.fold_scaler(mean.view(), scale.view()).fold_temperature(temperature);
        let linear = linear.fold_scaler(mean.view(), scale.view()).fold_temperature(temperature);
        for (folded, before) in [(dense.logits(rows.view()), of_dense), (linear.logits(rows.view()), of_linear)] {
            let largest = before.fold(1.0_f32, |largest, logit| largest.max(logit.abs()));
            for (folded, before) in folded.iter().zip(&before) {
                prop_assert!((folded - before).abs() < 1e-5 * largest.max(10.0), "{} against {}", folded, before);
            }
        }
    }
}
