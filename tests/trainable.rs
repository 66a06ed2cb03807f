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
use support::lessons::{
    CUT, FEATURES, Lesson, OF_FLOAT32, STRICT, batch, gradients, maps, norm, of_variant, six_images, values,
};
use support::{golden_metadata, golden_pixels, relative_l2, units};

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

/// Holds `Plain` in float64, and every engine, to PyTorch.
fn assert_learnt(lesson: &Lesson) {
    let (weights, three) = of_variant(lesson.variant);
    let network = Network::new(lesson.variant);
    let border = Border::new(&network, &lesson.freeze).unwrap();
    let images = six_images(&three);
    let Lesson { freeze, batch_norm, .. } = lesson;
    let mut oracle = Plain::new(&network, &weights, freeze, *batch_norm, &Device::Cpu, DType::F64).unwrap();
    lesson.assert_learnt_by("float64", &mut oracle, &maps_in_float64(&border, &weights, &images), &STRICT);
    let crossing = maps(&border, &weights, &images);
    for (engine, open) in ENGINES {
        let mut trainable = open(&network, &weights, freeze, *batch_norm);
        lesson.assert_learnt_by(engine, trainable.as_mut(), &crossing, &OF_FLOAT32);
    }
}

#[test]
fn the_network_of_2015_trains_as_in_pytorch() {
    let file = "finetune_tf2015.safetensors";
    assert_learnt(&Lesson { variant: Variant::Tf2015, file, freeze: CUT, batch_norm: BatchNorm::Frozen });
}

#[test]
fn with_nothing_frozen_the_network_of_2015_trains_as_in_pytorch() {
    let file = "finetune_tf2015_whole.safetensors";
    let freeze = FreezePoint::Nothing;
    assert_learnt(&Lesson { variant: Variant::Tf2015, file, freeze, batch_norm: BatchNorm::Frozen });
}

#[test]
fn torchvisions_network_with_its_gamma_trains_as_in_pytorch() {
    let file = "finetune_torchvision.safetensors";
    assert_learnt(&Lesson { variant: Variant::Torchvision, file, freeze: CUT, batch_norm: BatchNorm::Frozen });
}

#[test]
fn batch_norm_of_the_batch_and_its_running_statistics_train_as_in_pytorch() {
    let file = "finetune_torchvision_batch_norm.safetensors";
    let momentum = golden_metadata(file)["batch_norm_momentum"].parse().unwrap();
    let batch_norm = BatchNorm::Train { momentum };
    assert_learnt(&Lesson { variant: Variant::Torchvision, file, freeze: CUT, batch_norm });
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
