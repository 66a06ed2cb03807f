//! Checkpoints that PyTorch, torchvision, timm, pytorch-fid and Keras wrote (`scripts/golden_checkpoints.py`): every number of them, and
//! the features that these libraries compute with them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use candle_core::Tensor;
use half::bf16;
use headstock::engine::{self, DeviceChoice, EngineChoice};
use headstock::image::{Normalise, Preset};
use headstock::inception::{Network, Variant};
use headstock::weights::{Container, Names, Precision, Report, Weights, WeightsError, expected_tensors};
use support::{golden, golden_pixels, relative_l2, seed_of, under_tests, units};
use zip::ZipArchive;

/// How far features may be from the owning library's own, relative L2.
const TOLERANCE: f64 = 2e-5;

/// The only file of an archive of this name, or of one in it.
fn member(archive: &[u8], name: &str) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// A checkpoint, byte for byte as its library wrote it.
fn checkpoint(name: &str) -> Vec<u8> {
    let all = std::fs::read(under_tests("golden/checkpoints.zip")).unwrap();
    member(&member(&all, &format!("{name}.zip")), name)
}

/// The formula of `scripts/golden_checkpoints.py`: all numbers of the tensor of this name, the last index fastest.
fn periodic(name: &str, shape: &[usize]) -> Vec<f32> {
    const PERIOD: usize = 61;
    const STEPS: [usize; 4] = [3, 5, 7, 11];
    let table: Vec<f32> = units("periodic").take(PERIOD).collect();
    let phase = (seed_of(name) % PERIOD as u64) as usize;
    let number = |u: f32| match name.rsplit_once('.').unwrap() {
        (conv, "weight") if conv.ends_with("conv") || conv == "fc" => {
            let fan_in: usize = shape[1..].iter().product();
            (u * 2.0 - 1.0) * (1.5 / fan_in as f64).sqrt() as f32
        }
        (_, "weight" | "running_var") => 0.5 + u,
        _ => (u - 0.5) * 0.5,
    };
    let count: usize = shape.iter().product();
    let place = |mut index: usize| {
        let mut place = phase;
        for axis in (0..shape.len()).rev() {
            place += STEPS[axis] * (index % shape[axis]);
            index /= shape[axis];
        }
        place % PERIOD
    };
    let numbers: Vec<f32> = table.iter().map(|&u| number(u)).collect();
    (0..count).map(|index| numbers[place(index)]).collect()
}

/// Holds every tensor to the formula, rounded as the file's numbers are. Where the variant has no scale, it is in the kernel and the mean.
fn require_numbers(weights: &Weights, scaled: bool, round: fn(f32) -> f32) {
    let of = |name: &str, shape: &[usize]| -> Vec<f32> { periodic(name, shape).into_iter().map(round).collect() };
    for (name, shape) in expected_tensors(&Network::new(weights.variant())) {
        let (node, part) = name.rsplit_once(".conv.").or_else(|| name.rsplit_once(".bn.")).unwrap();
        let mut numbers = of(&name, &shape);
        if scaled && !weights.variant().has_gamma() && ["weight", "running_mean"].contains(&part) {
            let gamma = of(&format!("{node}.bn.weight"), &shape[..1]);
            let each = numbers.len() / gamma.len();
            numbers.chunks_mut(each).zip(gamma).for_each(|(chunk, scale)| chunk.iter_mut().for_each(|n| *n *= scale));
        }
        let read: Vec<f32> = weights.tensor(&name).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert!(read == numbers, "{name} is not what was written");
        assert_eq!(weights.tensor(&name).unwrap().dims(), shape, "{name}");
    }
}

/// The features of the first golden picture, `[1, 2048]`.
fn features(weights: &Weights, normalise: &Normalise) -> Tensor {
    let devices = DeviceChoice::Cpu.open().unwrap().devices;
    let engine =
        EngineChoice::Auto.open(Network::new(weights.variant()), weights, &devices, engine::Precision::Auto).unwrap();
    engine.run(&golden_pixels(normalise).narrow(0, 0, 1).unwrap()).unwrap()
}

fn require_features(weights: &Weights, preset: Preset, library: &str) {
    let golden = golden("checkpoints.safetensors");
    let features = features(weights, &preset.preprocess().normalise);
    let distance = relative_l2(&features, &golden[library]);
    println!("{library}: relative L2 {distance:.1e}");
    assert!(distance < TOLERANCE, "{library}: {distance:.1e}");
    if let (Some(logits), Some(classifier)) = (golden.get(&format!("{library}_logits")), weights.classifier()) {
        let own = features.matmul(&classifier.weight.t().unwrap()).unwrap().broadcast_add(&classifier.bias).unwrap();
        let distance = relative_l2(&own, logits);
        assert!(distance < TOLERANCE, "{library}: its logits are {distance:.1e} off");
    }
}

const fn as_it_is(number: f32) -> f32 {
    number
}

#[test]
fn torchvision_checkpoints_of_both_formats_of_torch_save_give_torchvisions_features() {
    for (name, container) in [("torchvision.pth", Container::Torch), ("torchvision_legacy.pth", Container::TorchLegacy)]
    {
        let weights = Weights::from_bytes(&checkpoint(name), None).unwrap();
        assert_eq!(weights.variant(), Variant::Torchvision, "{container}");
        assert_eq!(weights.classifier().unwrap().outputs(), 1000);
        require_numbers(&weights, true, as_it_is);
        require_features(&weights, Preset::Torchvision, "torchvision");
    }
}

#[test]
fn a_checkpoint_of_a_training_run_in_float64_behind_prefixes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lightning.ckpt");
    std::fs::write(&path, checkpoint("lightning.ckpt")).unwrap();
    let report = Report::of_file(&path, None).unwrap();
    assert_eq!((report.container, report.names, report.applied.len()), (Container::Torch, Names::Torchvision, 470));
    assert_eq!(report.numbers, [("F64".to_owned(), 470)].into());
    assert_eq!((report.variant, report.classifier), (Some(Variant::Torchvision), Some(1000)));
    assert!(report.unused.contains(&"optimizer_states.0.state.0.exp_avg".to_owned()) || report.unused.len() > 100);
    require_numbers(&Weights::from_file(&path, None).unwrap(), true, as_it_is);
}

#[test]
fn torch_script_is_read_by_the_names_of_its_modules_and_not_run() {
    let weights = Weights::from_bytes(&checkpoint("script.pt"), None).unwrap();
    require_numbers(&weights, true, as_it_is);
    assert_eq!(weights.classifier().unwrap().outputs(), 1000);
}

#[test]
fn timms_bfloat16_safetensors_give_timms_features() {
    let weights = Weights::from_bytes(&checkpoint("timm.safetensors"), None).unwrap();
    require_numbers(&weights, true, |number| bf16::from_f32(number).to_f32());
    require_features(&weights, Preset::Timm, "timm");
    let weights = Weights::from_bytes(&checkpoint("timm.bin"), None).unwrap();
    require_numbers(&weights, true, as_it_is);
}

#[test]
fn pytorch_fids_weights_and_module_are_the_network_of_2015_and_give_its_features() {
    let weights = Weights::from_bytes(&checkpoint("fid.pth"), None).unwrap();
    assert_eq!((weights.variant(), weights.classifier().unwrap().outputs()), (Variant::Tf2015, 1008));
    require_numbers(&weights, true, as_it_is);
    require_features(&weights, Preset::Tf, "fid");
    let module = Weights::from_bytes(&checkpoint("fid_module.pth"), None).unwrap();
    assert_eq!((module.variant(), module.classifier().is_none()), (Variant::Tf2015, true));
    require_numbers(&module, true, as_it_is);
}

#[test]
fn keras_files_of_every_format_are_the_same_network_and_give_keras_features() {
    for name in ["keras.weights.h5", "keras.keras", "keras.h5", "keras_notop.h5"] {
        let weights = Weights::from_bytes(&checkpoint(name), None).unwrap();
        assert_eq!(weights.variant(), Variant::Keras, "{name}");
        assert_eq!(weights.classifier().is_some(), name != "keras_notop.h5", "{name}");
        require_numbers(&weights, false, as_it_is);
        if name == "keras.keras" {
            require_features(&weights, Preset::Keras, "keras");
        }
    }
}

#[test]
fn what_names_or_classifier_say_of_the_variant_is_not_overruled() {
    for (name, file, asked) in [
        ("keras_notop.h5", Variant::Keras, Variant::Tf2015),
        ("fid.pth", Variant::Tf2015, Variant::Torchvision),
        ("fid_module.pth", Variant::Tf2015, Variant::Keras),
    ] {
        let error = Weights::from_bytes(&checkpoint(name), Some(asked)).unwrap_err();
        assert!(
            matches!(error, WeightsError::VariantConflict { file: f, asked: a } if f == file && a == asked),
            "{error}"
        );
    }
}

#[test]
fn converted_weights_are_the_same_and_need_to_be_told_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("converted.safetensors");
    let weights = Weights::from_bytes(&checkpoint("keras.keras"), None).unwrap();
    weights.write(&path, Precision::F32, Some("{\"preset\":\"keras\"}")).unwrap();
    let read = Weights::from_file(&path, None).unwrap();
    assert_eq!((read.variant(), read.preprocess()), (Variant::Keras, Some("{\"preset\":\"keras\"}")));
    assert_eq!(read.classifier().unwrap().outputs(), 1000);
    require_numbers(&read, false, as_it_is);

    weights.write(&path, Precision::F16, None).unwrap();
    let report = Report::of_file(&path, None).unwrap();
    assert_eq!(report.numbers, [("F16".to_owned(), 94), ("F32".to_owned(), 3 * 94)].into());
}

#[test]
fn weights_of_tensors_in_memory_are_those_of_a_file() {
    let network = Network::new(Variant::Tf2015);
    let mut tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)> = expected_tensors(&network)
        .map(|(name, shape)| {
            let numbers = periodic(&name, &shape);
            (name, (shape, numbers))
        })
        .collect();
    for (name, shape) in [("fc.weight", vec![1008, 2048]), ("fc.bias", vec![1008])] {
        tensors.insert(name.to_owned(), (shape.clone(), periodic(name, &shape)));
    }
    let weights = Weights::from_tensors(Variant::Tf2015, "0".to_owned(), None, tensors.clone()).unwrap();
    require_numbers(&weights, false, as_it_is);
    assert_eq!((weights.sha256(), weights.classifier().unwrap().outputs()), ("0", 1008));

    tensors.get_mut("Mixed_5b.branch1x1.bn.bias").unwrap().1.pop();
    tensors.remove("Mixed_7c.branch1x1.bn.bias");
    let error = Weights::from_tensors(Variant::Tf2015, "0".to_owned(), None, tensors).unwrap_err().to_string();
    for part in ["Mixed_5b.branch1x1.bn.bias", "1 missing", "Mixed_7c.branch1x1.bn.bias"] {
        assert!(error.contains(part), "{error}");
    }
}
