//! Weights files that are not what they should be.
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
use headstock::inception::Variant;
use headstock::weights::{Weights, WeightsError};
use support::{seeded_weights, under_tests};

fn tensors(bytes: &[u8]) -> HashMap<String, Tensor> {
    candle_core::safetensors::load_buffer(bytes, &Device::Cpu).unwrap()
}

fn bytes(tensors: &HashMap<String, Tensor>) -> Vec<u8> {
    safetensors::serialize(tensors.iter(), None).unwrap()
}

#[test]
fn the_embedded_weights_are_the_committed_file() {
    let weights = Weights::embedded().unwrap();
    assert_eq!(weights.variant(), Variant::Tf2015);
    // What scripts/convert_weights.py pins and `sha256sum data/inception_v3_2015.safetensors` prints.
    assert_eq!(weights.sha256(), "fe97c2489fa1efe0ed30fb57e401f35f44b8bdc38a95b6893bdbe71dbc70efd3");
    let file = under_tests("../data/inception_v3_2015.safetensors");
    assert_eq!(Weights::from_file(&file, None).unwrap().sha256(), weights.sha256());
}

#[test]
fn missing_unknown_and_misshaped_tensors_are_all_listed_at_once() {
    let mut tensors = tensors(&seeded_weights(Variant::Keras));
    tensors.remove("Mixed_5b.branch1x1.conv.weight").unwrap();
    tensors.remove("Mixed_7c.branch_pool.bn.running_var").unwrap();
    let stray = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    tensors.insert("Mixed_5b.branch1x1.conv.bias".to_owned(), stray.clone());
    tensors.insert("Conv2d_1a_3x3.bn.bias".to_owned(), stray);
    let whole = tensors["Conv2d_2a_3x3.conv.weight"].to_dtype(DType::I64).unwrap();
    tensors.insert("Conv2d_2a_3x3.conv.weight".to_owned(), whole);

    let error = Weights::from_bytes(&bytes(&tensors), Some(Variant::Keras)).unwrap_err();
    let WeightsError::Mismatch { mismatch, .. } = &error else { panic!("{error}") };
    assert_eq!(mismatch.missing, ["Mixed_5b.branch1x1.conv.weight", "Mixed_7c.branch_pool.bn.running_var"]);
    assert_eq!(mismatch.unknown, ["Mixed_5b.branch1x1.conv.bias"]);
    let text = error.to_string();
    for line in [
        "Mixed_5b.branch1x1.conv.weight",
        "Conv2d_1a_3x3.bn.bias: F32 [3], not F16, BF16, F32 or F64 [32]",
        "Conv2d_2a_3x3.conv.weight: I64 [32, 32, 3, 3], not F16, BF16, F32 or F64 [32, 32, 3, 3]",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn a_torchvision_checkpoint_is_known_by_its_gammas_and_its_own_classifier_is_passed_over() {
    let mut tensors = tensors(&seeded_weights(Variant::Torchvision));
    let one = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    for beyond in ["fc.weight", "fc.bias", "AuxLogits.conv0.conv.weight", "Conv2d_1a_3x3.bn.num_batches_tracked"] {
        tensors.insert(beyond.to_owned(), one.clone());
    }
    assert_eq!(Weights::from_bytes(&bytes(&tensors), None).unwrap().variant(), Variant::Torchvision);
}

#[test]
fn without_gammas_and_metadata_the_variant_must_be_told() {
    let tensors = tensors(&seeded_weights(Variant::Keras));
    let error = Weights::from_bytes(&bytes(&tensors), None).unwrap_err();
    assert!(error.to_string().contains("--variant"), "{error}");
    assert_eq!(Weights::from_bytes(&bytes(&tensors), Some(Variant::Tf2015)).unwrap().variant(), Variant::Tf2015);
}

#[test]
fn a_flag_that_contradicts_the_file_is_an_error_that_names_both() {
    let error = Weights::from_bytes(&seeded_weights(Variant::Keras), Some(Variant::Tf2015)).unwrap_err();
    assert!(matches!(error, WeightsError::VariantConflict { file: Variant::Keras, asked: Variant::Tf2015 }), "{error}");
}

#[test]
fn float16_kernels_are_read_as_the_same_numbers_in_float32() {
    let mut tensors = tensors(&seeded_weights(Variant::Keras));
    let name = "Mixed_6a.branch3x3.conv.weight";
    let half = tensors[name].to_dtype(DType::F16).unwrap();
    tensors.insert(name.to_owned(), half.clone());
    let weights = Weights::from_bytes(&bytes(&tensors), Some(Variant::Keras)).unwrap();
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let read = &weights.convolution("Mixed_6a.branch3x3").unwrap().kernel;
    assert_eq!(flat(read), flat(&half.to_dtype(DType::F32).unwrap()));
}

/// Of three channels of the first convolution, the second has a scale of 2 and the others of 1: in a variant without scales the
/// network is the same one if kernel and mean are twice as large.
#[test]
fn a_scale_where_the_variant_has_none_goes_into_kernel_and_mean() {
    let mut tensors = tensors(&seeded_weights(Variant::Keras));
    let plain = Weights::from_bytes(&bytes(&tensors), Some(Variant::Tf2015)).unwrap();
    let scale =
        Tensor::from_vec((0..32).map(|i| if i == 1 { 2.0_f32 } else { 1.0 }).collect(), 32, &Device::Cpu).unwrap();
    tensors.insert("Conv2d_1a_3x3.bn.weight".to_owned(), scale);
    let scaled = Weights::from_bytes(&bytes(&tensors), Some(Variant::Tf2015)).unwrap();
    assert!(scaled.tensor("Conv2d_1a_3x3.bn.weight").is_none());
    let flat =
        |weights: &Weights, name: &str| weights.tensor(name).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (name, each) in [("Conv2d_1a_3x3.conv.weight", 27), ("Conv2d_1a_3x3.bn.running_mean", 1)] {
        let mut expected = flat(&plain, name);
        expected[each..2 * each].iter_mut().for_each(|number| *number *= 2.0);
        assert_eq!(flat(&scaled, name), expected, "{name}");
    }
    assert_eq!(flat(&scaled, "Conv2d_1a_3x3.bn.bias"), flat(&plain, "Conv2d_1a_3x3.bn.bias"));
}

#[test]
fn a_checkpoint_of_another_network_is_told_by_one_of_its_names() {
    let tensor = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let other = [("layer1.0.conv1.weight".to_owned(), tensor)].into();
    let error = Weights::from_bytes(&bytes(&other), None).unwrap_err().to_string();
    assert!(error.contains("no Inception-v3") && error.contains("`layer1.0.conv1.weight`"), "{error}");
}

#[test]
fn cut_off_foreign_and_absent_files_are_errors() {
    let whole = seeded_weights(Variant::Keras);
    assert!(matches!(Weights::from_bytes(&whole[..whole.len() / 2], None), Err(WeightsError::Format(_))));
    assert!(matches!(Weights::from_bytes(b"no safetensors", None), Err(WeightsError::Format(_))));
    assert!(matches!(Weights::from_bytes(&[], None), Err(WeightsError::Format(_))));
    let absent = Weights::from_file(&under_tests("no such file"), None).unwrap_err();
    assert!(absent.to_string().contains("no such file"), "{absent}");
}
