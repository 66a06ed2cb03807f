//! Class activation maps: exact, in the right place, and no other scores for drawing them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::fs;

use candle_core::Device;
use headstock::engine::{Engine, EngineChoice, Precision};
use headstock::explain::{activation_map, contrast_map, overlay};
use headstock::head::Model;
use headstock::image::Preset;
use headstock::inception::{Network, Variant};
use headstock::pipeline::{Batch, FeatureMaps};
use headstock::weights::Weights;
use image::{Rgb, RgbImage};
use ndarray::{Array2, Array3, ArrayView2};
use support::heads::{dense_head, linear_head, numbers, provenance};
use support::{folder_of_photos, golden_pixels, headstock};

const CLASSES: [&str; 3] = ["a", "b", "c"];

fn mean(map: &Array2<f32>) -> f64 {
    map.iter().map(|&value| f64::from(value)).sum::<f64>() / map.len() as f64
}

#[test]
fn of_the_real_network_the_maps_mean_is_the_logit_less_the_bias_and_the_means_are_the_features() {
    let weights = Weights::embedded().unwrap();
    for choice in [EngineChoice::Auto, EngineChoice::Reference] {
        maps_pool_to_the_features(choice, &weights);
    }
}

fn maps_pool_to_the_features(choice: EngineChoice, weights: &Weights) {
    let whole = choice.open(Network::new(Variant::Tf2015), weights, &[Device::Cpu], Precision::Auto).unwrap();
    let (cut, _) = FeatureMaps::network(Variant::Tf2015).unwrap();
    let cut = choice.open(cut, weights, &[Device::Cpu], Precision::Auto).unwrap();
    let pixels = golden_pixels(&Preset::Tf.preprocess().normalise).narrow(0, 0, 2).unwrap();
    let numbers = |engine: &dyn Engine| engine.run(&pixels).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();

    let mut batch = Batch { candidates: 3, rows: numbers(cut.as_ref()), rejected: vec![(1, "broken".to_owned())] };
    let maps = FeatureMaps::take(&mut batch).unwrap();
    let features = numbers(whole.as_ref());
    assert_eq!(batch.rows, features, "pooled, the maps are what the whole network gives, to the bit");

    let head = linear_head(&CLASSES, 2048, provenance(Preset::Tf));
    let logits = head.logits(ArrayView2::from_shape((2, 2048), &features).unwrap());
    let Model::Linear(linear) = &head.model else { unreachable!() };
    assert_eq!(maps.images().count(), 2);
    for (maps, logits) in maps.images().zip(logits.rows()) {
        assert_eq!(maps.dim(), (2048, 8, 8));
        for (class, &logit) in logits.iter().enumerate() {
            let ours = mean(&activation_map(linear, class, maps));
            let expected = f64::from(logit - linear.bias[class]);
            assert!((ours - expected).abs() < 1e-4, "class {class}: {ours} against {expected}");
        }
    }
}

#[test]
fn the_contrast_is_the_map_less_the_mean_of_the_other_classes_maps() {
    let head = linear_head(&CLASSES, 6, provenance(Preset::Tf));
    let Model::Linear(linear) = &head.model else { unreachable!() };
    let features = Array3::from_shape_vec((6, 2, 4), numbers(6, 8, 5).into_raw_vec_and_offset().0).unwrap();
    let maps: Vec<_> = (0..3).map(|class| activation_map(linear, class, features.view())).collect();
    for class in 0..3 {
        let others: Vec<usize> = (0..3).filter(|&other| other != class).collect();
        let expected = &maps[class] - &((&maps[others[0]] + &maps[others[1]]) / 2.0);
        let ours = contrast_map(linear, class, features.view());
        assert!(ours.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}

#[test]
fn the_last_maps_lie_evenly_in_the_image() {
    for variant in [Variant::Tf2015, Variant::Keras, Variant::Torchvision] {
        let (network, grid) = FeatureMaps::network(variant).unwrap();
        assert_eq!(network.shapes([299, 299]).unwrap().last(), Some(&[2048, 8, 8]));
        // Five strides of 2; and 299 is the side that leaves nothing over, so both edges are equally far.
        assert_eq!(grid.step, 32.0);
        assert_eq!(grid.first, 299.0 - (grid.first + 7.0 * grid.step));
    }
}

/// The colour that a place of the map has where only that place speaks for the class, and the picture is grey.
fn glow(preset: Preset, size: (u32, u32), place: (usize, usize)) -> RgbImage {
    let (_, grid) = FeatureMaps::network(Variant::Tf2015).unwrap();
    let mut map = Array2::from_elem((8, 8), -1.0);
    map[place] = 3.0;
    let picture = RgbImage::from_pixel(size.0, size.1, Rgb([128; 3]));
    overlay(&picture, map.view(), &preset.preprocess(), grid)
}

/// The middle of all that is coloured, in parts of the width and height.
fn centre_of_colour(picture: &RgbImage) -> (f64, f64) {
    let (mut x_sum, mut y_sum, mut sum) = (0.0, 0.0, 0.0);
    for (x, y, Rgb([red, green, blue])) in picture.enumerate_pixels() {
        let colour = f64::from(*red.max(green).max(blue) - *red.min(green).min(blue));
        x_sum += colour * (f64::from(x) + 0.5);
        y_sum += colour * (f64::from(y) + 0.5);
        sum += colour;
    }
    (x_sum / sum / f64::from(picture.width()), y_sum / sum / f64::from(picture.height()))
}

fn close(ours: (f64, f64), expected: (f64, f64)) {
    let far = (ours.0 - expected.0).abs().max((ours.1 - expected.1).abs());
    assert!(far < 0.005, "{ours:?} against {expected:?}");
}

#[test]
fn a_place_glows_where_the_network_sees_it_in_a_squashed_picture_of_any_shape() {
    let at = |place: usize| (37.5 + 32.0 * place as f64) / 299.0;
    for size in [(299, 299), (700, 300), (100, 600), (1600, 400)] {
        for place in [(2, 5), (4, 3)] {
            let picture = glow(Preset::Tf, size, place);
            close(centre_of_colour(&picture), (at(place.1), at(place.0)));
        }
    }
    assert_eq!(glow(Preset::Tf, (1600, 400), (0, 0)).dimensions(), (800, 200), "large pictures are made smaller");
    assert_eq!(glow(Preset::Tf, (60, 40), (0, 0)).dimensions(), (60, 40), "small ones stay");
}

#[test]
fn a_place_glows_where_the_network_sees_it_in_a_cropped_picture_and_what_it_does_not_see_is_dark() {
    // The shorter side, 342 pixels, is the network's scale; of 684 x 342 it sees the 299 x 299 in the middle.
    let picture = glow(Preset::Torchvision, (684, 342), (3, 3));
    let at = 37.5 + 32.0 * 3.0;
    let (left, top) = ((684.0 - 299.0) / 2.0, (342.0 - 299.0) / 2.0);
    close(centre_of_colour(&picture), ((left + at) / 684.0, (top + at) / 342.0));
    for (x, y, pixel) in picture.enumerate_pixels() {
        let seen = (192..491).contains(&x) && (22..321).contains(&y);
        assert_eq!(pixel.0.iter().all(|&value| value < 100), !seen, "at {x}, {y}: {pixel:?}");
    }
}

#[test]
fn a_map_without_a_place_that_speaks_for_the_class_leaves_the_picture_grey() {
    let (_, grid) = FeatureMaps::network(Variant::Tf2015).unwrap();
    let picture = RgbImage::from_fn(50, 40, |x, y| Rgb([x as u8, y as u8, 200]));
    for map in [Array2::from_elem((8, 8), -0.5), Array2::zeros((8, 8))] {
        let drawn = overlay(&picture, map.view(), &Preset::Tf.preprocess(), grid);
        assert!(drawn.pixels().all(|Rgb([r, g, b])| r == g && g == b));
    }
}

#[test]
fn explain_draws_a_picture_an_image_and_changes_no_score() {
    let images = folder_of_photos(&["a/1.png", "b/2.png", "a/1.jpg"]);
    fs::write(images.path().join("broken.png"), "text").unwrap();
    let out = tempfile::tempdir().unwrap();
    linear_head(&CLASSES, 2048, provenance(Preset::Tf)).write(&out.path().join("head.safetensors")).unwrap();
    let score = |flags: &[&str]| {
        let mut command = headstock();
        command.current_dir(out.path()).args(["score", "--head", "head.safetensors", "--images"]).arg(images.path());
        command.args(flags).assert()
    };
    score(&["--out", "plain.csv"]).success();
    score(&["--out", "explained.csv", "--explain", "maps", "--batch-size", "2"]).success();
    let read = |name: &str| fs::read(out.path().join(name)).unwrap();
    assert_eq!(read("plain.csv"), read("explained.csv"));
    for name in ["maps/a/1.png.map.jpg", "maps/a/1.jpg.map.jpg", "maps/b/2.png.map.jpg"] {
        let picture = image::load_from_memory(&read(name)).unwrap();
        assert_eq!((picture.width(), picture.height()), (60, 40), "{name}");
    }
    assert!(!out.path().join("maps/broken.png.map.jpg").exists());

    let inside = images.path().join("maps");
    let assert = score(&["--explain", inside.to_str().unwrap()]).code(1);
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("lies in the folder of the images"));
    dense_head(&CLASSES, 2048, provenance(Preset::Tf)).write(&out.path().join("head.safetensors")).unwrap();
    let assert = score(&["--explain", "maps2"]).code(1);
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("needs a linear head"));
    assert!(!out.path().join("maps2").exists());
}
