//! FID and KID: the mathematics held to pytorch-fid, torch-fidelity and NumPy, and `headstock fid` as a user meets it.
//!
//! The goldens are written by `scripts/golden_fid.py`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use headstock::fid::{
    FrechetError, KernelError, Moments, RandomState, Statistics, StatisticsError, StatisticsFile, Subsets,
    frechet_distance, kernel_distance,
};
use ndarray::Array2;
use serde_json::Value;
use support::{folder_of_photos, headstock, under_tests, units};

fn golden() -> Value {
    serde_json::from_str(&fs::read_to_string(under_tests("golden/fid.json")).unwrap()).unwrap()
}

/// A list of numbers.
fn numbers(json: &Value) -> Vec<f64> {
    json.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// A list of rows.
fn matrix(json: &Value) -> Array2<f32> {
    let rows: Vec<Vec<f64>> = json.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j] as f32)
}

fn statistics(rows: &Array2<f32>) -> Statistics {
    let mut moments = Moments::new(rows.ncols());
    moments.push(rows.as_slice().unwrap());
    moments.finish().unwrap()
}

fn close(value: f64, expected: f64, relative: f64, what: &str) {
    assert!((value - expected).abs() <= relative * expected.abs(), "{what}: {value}, not {expected}");
}

/// Rows far from zero that differ little, where a sum of squares minus a square of sums has nothing left.
fn rows_far_from_zero(rows: usize, columns: usize) -> Array2<f32> {
    let numbers = units("far").take(rows * columns).map(|u| 1000.0 + u);
    Array2::from_shape_vec((rows, columns), numbers.collect()).unwrap()
}

// --- statistics ------------------------------------------------------------------------------------------------------

#[test]
fn mean_and_covariance_are_numpys() {
    for case in golden()["rows"].as_array().unwrap() {
        let rows = matrix(&case["a"]);
        let Statistics { mean, covariance } = statistics(&rows);
        let expected: Vec<f64> = case["covariance"].as_array().unwrap().iter().flat_map(numbers).collect();
        for (value, expected) in mean.iter().zip(numbers(&case["mean"])) {
            close(*value, expected, 1e-14, "mean");
        }
        for (i, expected) in expected.iter().enumerate() {
            let value = covariance[(i / mean.len(), i % mean.len())];
            assert!((value - expected).abs() < 1e-14, "{}: {value}, not {expected}", case["name"]);
        }
    }
}

#[test]
fn rows_far_from_zero_keep_their_covariance() {
    let (count, columns) = (1100, 5);
    let rows = rows_far_from_zero(count, columns);
    let Statistics { mean, covariance } = statistics(&rows);
    let wide = rows.mapv(f64::from);
    for i in 0..columns {
        close(mean[i], wide.column(i).sum() / count as f64, 1e-14, "mean");
        for j in 0..columns {
            let products = wide.rows().into_iter().map(|row| (row[i] - mean[i]) * (row[j] - mean[j]));
            let expected = products.sum::<f64>() / (count - 1) as f64;
            assert!((covariance[(i, j)] - expected).abs() < 1e-14, "{i} {j}: {} {expected}", covariance[(i, j)]);
        }
    }
}

#[test]
fn statistics_are_the_same_bits_however_the_rows_come_and_on_any_number_of_threads() {
    let rows = rows_far_from_zero(600, 300);
    let all = rows.as_slice().unwrap();
    let expected = statistics(&rows);
    for (threads, together) in [(1, 1), (2, 7), (3, 256), (5, 599)] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| {
            let mut moments = Moments::new(300);
            all.chunks(300 * together).for_each(|rows| moments.push(rows));
            assert_eq!(moments.rows(), 600);
            moments.finish().unwrap()
        });
        assert_eq!(found, expected, "{threads} threads, {together} rows at a time");
    }
}

#[test]
fn sets_that_are_merged_are_one_set() {
    let rows = rows_far_from_zero(500, 6);
    let all = rows.as_slice().unwrap();
    let expected = statistics(&rows);
    for cut in [0, 1, 255, 256, 400, 500] {
        let (mut first, mut second) = (Moments::new(6), Moments::new(6));
        first.push(&all[..cut * 6]);
        second.push(&all[cut * 6..]);
        first.merge(second);
        assert_eq!(first.rows(), 500);
        let found = first.finish().unwrap();
        for i in 0..6 {
            close(found.mean[i], expected.mean[i], 1e-14, "mean");
            for j in 0..6 {
                assert!((found.covariance[(i, j)] - expected.covariance[(i, j)]).abs() < 1e-13, "cut at {cut}");
            }
        }
    }
}

#[test]
fn fewer_than_two_rows_and_numbers_that_are_not_finite_have_no_covariance() {
    let of = |rows: &[f32]| {
        let mut moments = Moments::new(2);
        moments.push(rows);
        moments.finish().unwrap_err()
    };
    assert_eq!(of(&[]), StatisticsError::TooFew(0));
    assert_eq!(of(&[1.0, 2.0]), StatisticsError::TooFew(1));
    for bad in [f32::NAN, f32::INFINITY] {
        assert_eq!(of(&[1.0, 2.0, bad, 2.0, 1.0, 1.0]), StatisticsError::NotFinite);
    }
}

// --- FID -------------------------------------------------------------------------------------------------------------

#[test]
fn the_frechet_distance_is_pytorch_fids_and_torch_fidelitys() {
    for case in golden()["rows"].as_array().unwrap() {
        let distance = frechet_distance(&statistics(&matrix(&case["a"])), &statistics(&matrix(&case["b"]))).unwrap();
        for package in ["pytorch_fid", "torch_fidelity"] {
            // Their roots of what is zero but for rounding are the square root of rounding.
            close(distance, case[package].as_f64().unwrap(), 1e-6, &format!("{package}, {}", case["name"]));
        }
    }
}

/// Of commuting covariances the trace of the root is a sum of roots.
#[test]
fn the_frechet_distance_of_independent_features_is_a_sum_over_them() {
    let set = |variances: &[f64], mean: f64| Statistics {
        mean: vec![mean; variances.len()],
        covariance: faer::Mat::from_fn(3, 3, |i, j| if i == j { variances[i] } else { 0.0 }),
    };
    let (a, b) = (set(&[4.0, 9.0, 0.0], 1.0), set(&[1.0, 25.0, 16.0], 3.0));
    let expected = 3.0 * 4.0 + 1.0 + 4.0 + 16.0;
    close(frechet_distance(&a, &b).unwrap(), expected, 1e-14, "distance");
    close(frechet_distance(&b, &a).unwrap(), expected, 1e-14, "the other way round");
    // All images alike: what is left is the mean and the other's spread.
    close(frechet_distance(&set(&[0.0; 3], 1.0), &b).unwrap(), 12.0 + 42.0, 1e-14, "no spread");
}

#[test]
fn a_set_is_at_no_distance_from_itself_of_full_rank_or_not() {
    for rows in [300, 10] {
        let set = statistics(&rows_far_from_zero(rows, 40));
        assert!(frechet_distance(&set, &set).unwrap().abs() < 1e-9);
    }
}

#[test]
fn sets_of_different_features_have_no_distance() {
    let (a, b) = (rows_far_from_zero(9, 3), rows_far_from_zero(9, 4));
    assert_eq!(frechet_distance(&statistics(&a), &statistics(&b)), Err(FrechetError::Features(3, 4)));
    let subsets = Subsets { count: 1, size: 2, seed: 0 };
    assert_eq!(kernel_distance(a.view(), b.view(), &subsets), Err(KernelError::Features(3, 4)));
}

// --- KID -------------------------------------------------------------------------------------------------------------

#[test]
fn subsets_are_those_that_numpy_draws() {
    for case in golden()["choices"].as_array().unwrap() {
        let mut random = RandomState::new(case["seed"].as_u64().unwrap() as u32);
        for draw in case["draws"].as_array().unwrap() {
            let chosen: Vec<usize> = numbers(&draw["chosen"]).into_iter().map(|x| x as usize).collect();
            assert_eq!(random.choice(draw["population"].as_u64().unwrap() as usize, chosen.len()), chosen);
        }
    }
}

#[test]
fn the_kernel_distance_is_torch_fidelitys() {
    for case in golden()["rows"].as_array().unwrap() {
        let of = |key: &str| case[key].as_u64().unwrap();
        let subsets =
            Subsets { count: of("subsets") as usize, size: of("subset_size") as usize, seed: of("seed") as u32 };
        let (a, b) = (matrix(&case["a"]), matrix(&case["b"]));
        let distance = kernel_distance(a.view(), b.view(), &subsets).unwrap();
        close(distance.mean, case["kid"].as_f64().unwrap(), 1e-10, "KID");
        close(distance.standard_deviation, case["kid_deviation"].as_f64().unwrap(), 1e-10, "its deviation");
        close(distance.standard_error * (subsets.count as f64).sqrt(), distance.standard_deviation, 1e-14, "its error");
    }
}

#[test]
fn subsets_that_cannot_be_drawn_are_refused() {
    let rows = rows_far_from_zero(9, 3);
    let of = |count, size| kernel_distance(rows.view(), rows.view(), &Subsets { count, size, seed: 0 });
    assert_eq!(of(1, 10), Err(KernelError::TooFew { size: 10, rows: 9 }));
    assert_eq!(of(1, 1), Err(KernelError::NoPairs));
    assert_eq!(of(0, 5), Err(KernelError::NoPairs));
    let mut bad = rows.clone();
    bad[(8, 2)] = f32::NAN;
    let subsets = Subsets { count: 1, size: 5, seed: 0 };
    assert_eq!(kernel_distance(rows.view(), bad.view(), &subsets), Err(KernelError::NotFinite));
}

// --- mu_sigma.npz ----------------------------------------------------------------------------------------------------

#[test]
fn files_that_numpy_wrote_are_read() {
    let expected = statistics(&matrix(&golden()["rows"][0]["a"]));
    for (name, bound) in [("mu_sigma", 1e-14), ("mu_sigma_stored", 1e-14), ("mu_sigma_float32", 1e-6)] {
        let file = StatisticsFile::read(&under_tests("golden").join(format!("{name}.npz"))).unwrap();
        assert_eq!(file.origin, None);
        for i in 0..12 {
            assert!((file.statistics.mean[i] - expected.mean[i]).abs() < bound, "{name}");
            for j in 0..12 {
                let (value, expected) = (file.statistics.covariance[(i, j)], expected.covariance[(i, j)]);
                assert!((value - expected).abs() < bound, "{name}: {value}, not {expected}");
            }
        }
    }
}

#[test]
fn statistics_come_back_as_they_were_and_are_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let file = StatisticsFile { statistics: statistics(&rows_far_from_zero(70, 33)), origin: None };
    file.write(&path("a.npz")).unwrap();
    file.write(&path("b.npz")).unwrap();
    assert_eq!(StatisticsFile::read(&path("a.npz")).unwrap(), file);
    assert_eq!(fs::read(path("a.npz")).unwrap(), fs::read(path("b.npz")).unwrap());
}

// --- the verb --------------------------------------------------------------------------------------------------------

fn fid(arguments: &[&str]) -> Assert {
    headstock().arg("fid").args(arguments).assert()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn guitars(class: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/guitars").join(class)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// FID and KID of two folders beside a golden, which is by the full float32 weights: KID as far as the package has one.
fn hold_folders(a: &Path, b: &Path, recipe: &str, golden: &Value, bound: f64) {
    let folder = tempfile::tempdir().unwrap();
    let metrics = folder.path().join("metrics.json");
    let [subsets, size] = ["subsets", "subset_size"].map(|key| golden[key].to_string());
    let kid = ["--kid", "--kid-subsets", &subsets, "--kid-subset-size", &size];
    let assert =
        fid(&[&[text(a), text(b), "--recipe", recipe, "--metrics", text(&metrics)], kid.as_slice()].concat()).success();
    let (found, expected) = (json(&metrics), &golden[recipe]);
    close(found["fid"].as_f64().unwrap(), expected["fid"].as_f64().unwrap(), bound, recipe);
    if let Some(kid) = expected["kid"].as_f64() {
        close(found["kid"]["mean"].as_f64().unwrap(), kid, bound, "KID");
        close(
            found["kid"]["standard_deviation"].as_f64().unwrap(),
            expected["kid_deviation"].as_f64().unwrap(),
            bound,
            "±",
        );
    }
    assert_eq!(found["sets"][1]["recipe"], recipe);
    let (said, warned) = (stdout(&assert), stderr(&assert));
    assert!(said.starts_with(&format!("FID  {:.6}\nKID  ", found["fid"].as_f64().unwrap())), "{said}");
    let images = found["sets"][1]["images"].as_u64().unwrap();
    assert!(said.contains(&format!(": {images} images, {recipe}, weights fe97c2489fa1 (tf2015)")), "{said}");
    assert!(warned.contains(&format!("has {images} images. Fewer than 2,048")), "{warned}");
}

/// What is left between is the float16 of the embedded weights.
#[test]
fn two_folders_are_as_far_apart_as_each_package_says() {
    let golden_pictures = tempfile::tempdir().unwrap();
    for name in ["pixels_0.png", "pixels_1.png", "pixels_2.png", "photo.png"] {
        fs::copy(under_tests("golden").join(name), golden_pictures.path().join(name)).unwrap();
    }
    let (sources, golden) = (under_tests("golden/preprocess/sources"), &golden()["pictures"]);
    for recipe in ["pytorch-fid", "torch-fidelity", "clean-fid"] {
        hold_folders(&sources, golden_pictures.path(), recipe, golden, 1e-3);
    }
}

/// Beside the float16, Pillow's decoder of JPEG, which smooths colours stored at half the size by a level or two otherwise.
#[test]
fn two_folders_of_jpegs_are_nearly_as_far_apart_as_pytorch_fid_says() {
    hold_folders(&guitars("les_paul"), &guitars("sg"), "pytorch-fid", &golden()["guitars"], 3e-3);
}

#[test]
fn folders_embeddings_and_statistics_of_the_same_images_are_interchangeable() {
    let images = folder_of_photos(&["a/1.png", "a/2.png", "b/3.png", "4.png"]);
    let other = folder_of_photos(&["0.png", "1.png", "2.png"]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (rows, saved, metrics) = (path("rows.safetensors"), path("mu_sigma.npz"), path("metrics.json"));
    let extract = ["extract", "--preprocess", "fid", "--images", text(images.path()), "--out", text(&rows)];
    headstock().args(extract).assert().success();
    fid(&[text(images.path()), "--save-stats", text(&saved)]).success();

    let distance = |arguments: &[&str]| {
        fid(&[arguments, &["--metrics", text(&metrics)]].concat()).success();
        json(&metrics)["fid"].as_f64().unwrap()
    };
    let expected = distance(&[text(images.path()), text(other.path())]);
    assert!(expected > 0.1);
    assert_eq!(distance(&[text(&rows), text(other.path())]), expected);
    assert_eq!(distance(&[text(&saved), text(other.path())]), expected);
    close(distance(&[text(other.path()), "--stats", text(&saved)]), expected, 1e-12, "the other way round");
    assert!(distance(&[text(&rows), text(&saved)]).abs() < 1e-6);
    let origin = StatisticsFile::read(&saved).unwrap().origin.unwrap();
    assert_eq!(origin.rows, 4);
}

#[test]
fn sets_made_by_different_recipes_or_networks_are_refused_before_any_image_is_read() {
    let images = folder_of_photos(&["1.png", "2.png"]);
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.safetensors");
    headstock().args(["extract", "--images", text(images.path()), "--out", text(&rows)]).assert().success();
    let assert = fid(&[text(&rows), text(images.path())]).failure();
    let said = stderr(&assert);
    for part in ["rows.safetensors and of", "another preprocessing", "\"tf\"", "\"fid\"", "--recipe"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("at a time"), "{said}");

    // Both by the same preset is all right, and said to be no recipe of FID.
    let assert = fid(&[text(&rows), text(&rows)]).success();
    assert!(stderr(&assert).contains("preprocessing of `tf`, which is no recipe of FID"), "{}", stderr(&assert));
}

#[test]
fn kid_of_statistics_alone_or_of_too_few_images_is_refused_with_the_way_out() {
    let npz = under_tests("golden/mu_sigma.npz");
    let assert = fid(&[text(&npz), text(&npz), "--kid"]).failure();
    assert!(stderr(&assert).contains("only their mean and covariance"), "{}", stderr(&assert));
    let images = folder_of_photos(&["1.png", "2.png", "3.png"]);
    let assert = fid(&[text(images.path()), text(images.path()), "--kid", "--kid-subset-size", "4"]).failure();
    assert!(stderr(&assert).contains("subsets of 4 images cannot be drawn from 3"), "{}", stderr(&assert));
    let assert = fid(&[text(images.path()), text(images.path()), "--kid"]).success();
    assert!(stdout(&assert).contains("(100 subsets of 3; "), "{}", stdout(&assert));
    assert!(stderr(&assert).contains("its ± tells nothing; use --kid-subset-size"), "{}", stderr(&assert));
}

#[test]
fn statistics_of_another_program_are_taken_and_said_to_be_of_unknown_origin() {
    let npz = under_tests("golden/mu_sigma.npz");
    let stored = under_tests("golden/mu_sigma_stored.npz");
    let assert = fid(&[text(&npz), text(&stored)]).success();
    assert!(stderr(&assert).contains("mu_sigma.npz does not say by what it was made"), "{}", stderr(&assert));
    assert!(stdout(&assert).contains("statistics of unknown origin"), "{}", stdout(&assert));
    let images = folder_of_photos(&["1.png", "2.png"]);
    let assert = fid(&[text(&npz), text(images.path())]).failure();
    assert!(stderr(&assert).contains("has 12 features an image, and"), "{}", stderr(&assert));
}

#[test]
fn images_that_cannot_be_read_are_skipped_and_named() {
    let images = folder_of_photos(&["1.png", "2.png", "3.png"]);
    let whole = folder_of_photos(&["1.png", "2.png", "3.png"]);
    fs::write(images.path().join("2b.png"), b"no image").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let metrics = folder.path().join("metrics.json");
    let arguments = [text(images.path()), text(whole.path()), "--metrics", text(&metrics)];
    let assert = fid(&arguments).success();
    assert!(stderr(&assert).contains("2b.png: not an image"), "{}", stderr(&assert));
    let found = json(&metrics);
    assert_eq!((&found["sets"][0]["images"], &found["sets"][0]["rejected"][0]["path"]), (&3.into(), &"2b.png".into()));
    assert!(found["fid"].as_f64().unwrap().abs() < 1e-6);
    fid(&[&arguments, ["--strict"].as_slice()].concat()).code(1);
}

#[test]
fn one_image_has_no_covariance_and_a_missing_side_is_wrong_usage() {
    let images = folder_of_photos(&["1.png"]);
    let assert = fid(&[text(images.path()), text(images.path())]).failure();
    assert!(stderr(&assert).contains("a covariance needs two images or more"), "{}", stderr(&assert));
    fid(&[text(images.path())]).code(2);
    let assert = fid(&[text(images.path()), "/no/such/place"]).failure();
    assert!(stderr(&assert).contains("/no/such/place"), "{}", stderr(&assert));
}
