//! `headstock fit-head` as a user meets it: embeddings in, a head and honest numbers out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::fs;
use std::path::PathBuf;

use assert_cmd::assert::Assert;
use headstock::dataset::Candidate;
use headstock::embeddings::{Format, PrincipalAxes, Provenance, Table};
use headstock::head::{Dense, Head, HeldOut, Linear, Model, Scaler, most_probable};
use headstock::scores::Scores;
use ndarray::{Array2, Axis};
use serde_json::Value;
use support::heads::{linear_head, numbers, write_embeddings};
use support::headstock;
use tempfile::TempDir;

const FEATURES: usize = 12;

/// By what the rows were made, of which no test here runs anything.
fn provenance() -> Provenance {
    let [weights, variant, preprocess, version] = ["abc", "tf2015", "{\"preset\":\"tf\"}", "0.0.1"].map(str::to_owned);
    Provenance { weights, variant, preprocess, version }
}

/// Rows of some images, not all of which can be told apart.
#[derive(Clone)]
struct Rows {
    paths: Vec<String>,
    numbers: Array2<f32>,
}

/// So many rows of each class, from `seed`; the centres of the classes are always the same.
fn rows(classes: &[(&str, usize)], seed: u64) -> Rows {
    let centres = numbers(26, FEATURES, 77) * 0.6;
    let paths: Vec<String> =
        classes.iter().flat_map(|(class, count)| (0..*count).map(move |i| format!("{class}/{i:03}.png"))).collect();
    let mut numbers = numbers(paths.len(), FEATURES, seed);
    for (mut row, path) in numbers.rows_mut().into_iter().zip(&paths) {
        row += &centres.row(usize::from(path.as_bytes()[0] - b'a'));
    }
    Rows { paths, numbers }
}

/// A folder with embeddings, and what `fit-head` makes of them.
struct Desk(TempDir);

impl Desk {
    fn new(rows: &Rows) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.put("rows.safetensors", rows, &provenance());
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, rows: &Rows, provenance: &Provenance) {
        let paths: Vec<&str> = rows.paths.iter().map(String::as_str).collect();
        write_embeddings(&self.path(name), &self.path("images"), &paths, &rows.numbers, provenance);
    }

    fn fit(&self, flags: &[&str]) -> Assert {
        let mut command = headstock();
        command.args(["fit-head", "rows.safetensors"]).current_dir(self.0.path()).args(flags).assert()
    }

    fn head(&self, flags: &[&str]) -> Head {
        self.fit(flags).success();
        Head::read(&self.path("head.safetensors")).unwrap()
    }

    /// The head's file.
    fn bytes(&self, flags: &[&str]) -> Vec<u8> {
        self.fit(flags).success();
        fs::read(self.path("head.safetensors")).unwrap()
    }

    /// What is said where it fails, which leaves no head behind.
    fn refusal(&self, flags: &[&str]) -> String {
        let refusal = stderr(&self.fit(flags).code(1));
        assert!(!self.path("head.safetensors").exists());
        assert!(refusal.starts_with("error: "), "{refusal}");
        refusal
    }
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn three_classes() -> Rows {
    rows(&[("a", 40), ("b", 30), ("c", 30)], 5)
}

const DENSE: [&str; 8] = ["--head", "dense", "--hidden", "7", "--epochs", "4", "--learning-rate", "0.01"];

fn linear(head: &Head) -> &Linear {
    match &head.model {
        Model::Linear(linear) => linear,
        Model::Dense(_) => panic!("the head is dense"),
    }
}

/// Logits by the head's formula, in float64.
fn logits(model: &Model, rows: &Array2<f32>) -> Array2<f64> {
    let affine = |rows: Array2<f64>, weight: &Array2<f32>, bias: &[f32]| {
        let bias: Array2<f64> = Array2::from_shape_fn((1, bias.len()), |(_, k)| f64::from(bias[k]));
        rows.dot(&weight.mapv(f64::from).t()) + bias
    };
    let rows = rows.mapv(f64::from);
    match model {
        Model::Linear(Linear { weight, bias }) => affine(rows, weight, bias),
        Model::Dense(Dense { weight1, bias1, weight2, bias2 }) => {
            affine(affine(rows, weight1, bias1).mapv(|x| x.max(0.0)), weight2, bias2)
        }
    }
}

fn softmax(mut logits: Array2<f64>) -> Array2<f64> {
    for mut row in logits.rows_mut() {
        row.mapv_inplace(f64::exp);
        let sum = row.sum();
        row /= sum;
    }
    logits
}

fn close(a: f64, b: f64, tolerance: f64, what: &str) {
    assert!((a - b).abs() <= tolerance, "{what}: {a} against {b}");
}

/// The rows with these paths.
fn of_paths(rows: &Rows, paths: &[String]) -> Array2<f32> {
    let position = |path: &String| rows.paths.iter().position(|other| other == path).unwrap();
    rows.numbers.select(Axis(0), &paths.iter().map(position).collect::<Vec<_>>())
}

/// The positions of the rows that are held out.
fn held_out_rows(rows: &Rows, held_out: &HeldOut) -> Vec<usize> {
    (0..rows.paths.len()).filter(|&row| held_out.paths.contains(&rows.paths[row])).collect()
}

mod refusals {
    use super::*;

    fn refusal_of(rows: &Rows) -> String {
        Desk::new(rows).refusal(&[])
    }

    #[test]
    fn classes_that_cannot_be_learnt_are_named() {
        let said = refusal_of(&rows(&[("apples", 9)], 1));
        assert!(said.contains("one class, 'apples'") && said.contains("Add a folder"), "{said}");
        let said = refusal_of(&rows(&[("a", 9), ("b", 1), ("c", 1)], 1));
        assert!(said.contains("fewer than two images") && said.contains("2 classes: 'b', 'c'"), "{said}");
        let said = refusal_of(&Rows { paths: ["1.png", "2.png"].map(str::to_owned).into(), numbers: numbers(2, 3, 1) });
        assert!(said.contains("rows.safetensors has no labels") && said.contains("folder a class"), "{said}");
        let said = Desk::new(&rows(&[("a", 9), ("b", 2)], 1)).refusal(&["--validation", "0.5"]);
        assert!(said.contains("'b' has 1 image to learn from") && said.contains("lower --validation"), "{said}");
        let said = Desk::new(&rows(&[("a", 2), ("b", 2)], 1)).refusal(&[]);
        assert!(said.contains("--validation 0.2 of classes this small is not one image"), "{said}");
    }

    #[test]
    fn more_classes_than_images_are_told() {
        let desk = Desk(tempfile::tempdir().unwrap());
        let classes = ["a", "b", "c", "d"].map(str::to_owned);
        let images = ["a/1.png", "b/1.png"].map(|path| Candidate { path: path.to_owned(), class: Some(0) });
        let provenance = provenance();
        let images = images.iter().collect();
        let table = Table { provenance: &provenance, classes: &classes, root: "", images, columns: 3 };
        Format::Safetensors.write(&desk.path("rows.safetensors"), &table, &mut [0; 24].as_slice()).unwrap();
        let said = desk.refusal(&[]);
        assert!(said.contains("4 classes and only 2 images"), "{said}");
    }

    #[test]
    fn a_number_that_is_none_names_its_image() {
        for number in [f32::NAN, f32::INFINITY] {
            let mut rows = three_classes();
            rows.numbers[[41, 3]] = number;
            let said = refusal_of(&rows);
            assert!(said.contains("rows.safetensors: the row of b/001.png") && said.contains("not finite"), "{said}");
        }
    }

    #[test]
    fn rows_without_numbers_are_refused() {
        let Rows { paths, .. } = three_classes();
        let numbers = Array2::zeros((paths.len(), 0));
        let said = refusal_of(&Rows { paths, numbers });
        assert!(said.contains("rows.safetensors"), "{said}");
    }

    #[test]
    fn files_that_are_no_embeddings_are_told_apart() {
        let desk = Desk::new(&three_classes());
        let path = desk.path("rows.safetensors");
        let good = fs::read(&path).unwrap();
        let replaced = |from: &str, to: &str| {
            let at = good.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            [&good[..at], to.as_bytes(), &good[at + from.len()..]].concat()
        };
        fs::write(&path, replaced("headstock.embeddings/1", "headstock.embeddings/2")).unwrap();
        let said = desk.refusal(&[]);
        assert!(said.contains("rows.safetensors") && said.contains("headstock.embeddings/2"), "{said}");
        fs::write(&path, replaced("headstock.embeddings/1", "somebody.elses/file..1")).unwrap();
        let said = desk.refusal(&[]);
        assert!(said.contains("rows.safetensors") && said.contains("somebody.elses/file..1"), "{said}");
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(desk.refusal(&[]).contains("rows.safetensors"));
        fs::write(&path, b"text").unwrap();
        assert!(desk.refusal(&[]).contains("rows.safetensors"));
        linear_head(&["a", "b"], 4, provenance()).write(&path).unwrap();
        let said = desk.refusal(&[]);
        assert!(said.contains("rows.safetensors") && said.contains("head"), "{said}");
    }

    #[test]
    fn a_test_of_another_make_is_refused() {
        let desk = Desk::new(&three_classes());
        let test = |rows: &Rows, provenance: &Provenance| {
            desk.put("test.safetensors", rows, provenance);
            desk.refusal(&["--test", "test.safetensors"])
        };
        let other = |change: fn(&mut Provenance)| {
            let mut other = provenance();
            change(&mut other);
            other
        };
        let said = test(&three_classes(), &other(|p| p.preprocess = "{\"preset\":\"keras\"}".to_owned()));
        assert!(
            said.contains("preprocessing") && said.contains("keras") && said.contains("test.safetensors"),
            "{said}"
        );
        let said = test(&three_classes(), &other(|p| p.weights = "def".to_owned()));
        assert!(said.contains("abc") && said.contains("def"), "{said}");
        let narrow = Rows { numbers: numbers(100, 5, 1), ..three_classes() };
        let said = test(&narrow, &provenance());
        assert!(said.contains("rows of 5 numbers") && said.contains("have 12"), "{said}");
        let said = test(&rows(&[("x", 3), ("y", 3)], 1), &provenance());
        assert!(said.contains("test.safetensors has no row of a class that is learnt"), "{said}");
        // By another version of the program, but the same network and recipe: fine.
        desk.put("test.safetensors", &three_classes(), &other(|p| p.version = "9".to_owned()));
        desk.fit(&["--test", "test.safetensors"]).success();
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_before_the_work() {
        let mut bad = three_classes();
        bad.numbers[[0, 0]] = f32::NAN;
        let desk = Desk::new(&bad);
        fs::create_dir(desk.path("folder")).unwrap();
        let before = fs::read(desk.path("rows.safetensors")).unwrap();
        for (flags, what) in [
            (&["--out", "nowhere/head.safetensors"][..], "the folder nowhere is not there"),
            (&["--metrics", "nowhere/metrics.json"], "the folder nowhere is not there"),
            (&["--out", "folder"], "folder is a folder"),
            (&["--out", "rows.safetensors"], "--out rows.safetensors is a file that this run reads"),
            (&["--out", "folder/../rows.safetensors"], "is a file that this run reads"),
            (&["--metrics", "rows.safetensors"], "--metrics rows.safetensors is a file that this run reads"),
            (&["--metrics", "head.safetensors"], "is a file that this run reads or writes already"),
        ] {
            let said = desk.refusal(flags);
            assert!(said.contains(what), "{flags:?}: {said}");
        }
        assert_eq!(fs::read(desk.path("rows.safetensors")).unwrap(), before);
    }

    #[test]
    fn flags_that_make_no_sense_are_wrong_usage() {
        let desk = Desk::new(&three_classes());
        for flags in [
            ["--validation", "1"],
            ["--validation", "nan"],
            ["--folds", "1"],
            ["--alpha", "0"],
            ["--alpha", "1,x"],
            ["--target-precision", "1.5"],
            ["--threads", "0"],
            ["--head", "deep"],
        ] {
            let said = stderr(&desk.fit(&flags).code(2));
            assert!(said.contains(flags[0]), "{said}");
        }
        let said = desk.refusal(&["--alpha", "1e300"]);
        assert!(said.contains("alpha is 1e300"), "{said}");
    }
}

#[test]
fn the_metrics_are_those_of_the_head_on_the_held_out_rows() {
    let rows = three_classes();
    let desk = Desk::new(&rows);
    for flags in [&[][..], &["--class-weight", "balanced"], &DENSE] {
        let assert = desk.fit(&[&["--metrics", "metrics.json", "--target-precision", "0.9"], flags].concat()).success();
        let json: Value = serde_json::from_slice(&fs::read(desk.path("metrics.json")).unwrap()).unwrap();
        let head = Head::read(&desk.path("head.safetensors")).unwrap();
        let held_out = head.held_out.as_ref().unwrap();
        assert_eq!((held_out.set.as_str(), json["set"].as_str().unwrap()), ("validation", "validation"));
        assert_eq!(held_out.paths.len(), 8 + 6 + 6, "a fifth of each class");
        assert_eq!(head.classes, ["a", "b", "c"]);

        let p = softmax(logits(&head.model, &of_paths(&rows, &held_out.paths)));
        let (mut right, mut loss, mut confusion) = (0, 0.0, [[0_u64; 3]; 3]);
        for ((path, label), p) in held_out.paths.iter().zip(&held_out.labels).zip(p.rows()) {
            assert_eq!(head.classes[*label], path[..1]);
            let called = most_probable(p.mapv(|p| p as f32).view()).unwrap();
            right += u32::from(called == *label);
            confusion[*label][called] += 1;
            loss -= p[*label].ln() / 20.0;
        }
        let number = |name: &str| json[name].as_f64().unwrap();
        close(number("accuracy"), f64::from(right) / 20.0, 1e-12, "accuracy");
        close(number("log_loss"), loss, 1e-5, "log loss");
        close(number("temperature"), head.temperature, 0.0, "temperature");
        assert_eq!(json["confusion"], serde_json::to_value(confusion).unwrap());
        assert_eq!(json["rows"], 20);
        assert_eq!(json["fit"], head.fit);
        assert_eq!(json["thresholds"], serde_json::to_value(&head.thresholds).unwrap());
        for (name, in_head) in serde_json::to_value(&held_out.metrics).unwrap().as_object().unwrap() {
            assert_eq!(&json[name], in_head, "{name}");
        }
        for (ours, theirs) in held_out.probabilities.iter().zip(&p) {
            close(f64::from(*ours), *theirs, 1e-5, "probability");
        }
        let said = stdout(&assert);
        assert!(said.contains("judged by 20 images held out"), "{said}");
        assert!(said.contains(&format!("accuracy           {:.4}", number("accuracy"))), "{said}");
        // Before the temperature.
        let cold = softmax(logits(&head.model, &of_paths(&rows, &held_out.paths)) * head.temperature);
        let before: f64 = held_out.labels.iter().zip(cold.rows()).map(|(label, p)| -p[*label].ln() / 20.0).sum();
        close(number("log_loss_before"), before, 1e-5, "log loss before");
    }
}

#[test]
fn held_out_rows_are_never_learnt_from() {
    let rows = three_classes();
    for flags in [&[][..], &DENSE] {
        let desk = Desk::new(&rows);
        let head = desk.head(flags);
        let held_out = head.held_out.as_ref().unwrap();
        let mut changed = rows.clone();
        let looked_at = held_out_rows(&rows, held_out);
        assert_eq!(looked_at.len(), 20);
        for (&row, other) in looked_at.iter().zip(numbers(20, FEATURES, 99).rows()) {
            changed.numbers.row_mut(row).assign(&(&other * 50.0));
        }
        desk.put("rows.safetensors", &changed, &provenance());
        let other = desk.head(flags);
        assert!(other.model == head.model && other.temperature == head.temperature);
        assert_ne!(other.held_out.as_ref().unwrap().metrics, held_out.metrics);
        // A row that is learnt from does change it.
        let learnt = (0..100).find(|row| !looked_at.contains(row)).unwrap();
        changed.numbers[[learnt, 0]] += 1.0;
        desk.put("rows.safetensors", &changed, &provenance());
        assert_ne!(desk.head(flags).model, head.model);
    }
}

#[test]
fn what_is_held_out_lies_on_the_map_of_what_is_learnt_from() {
    let rows = three_classes();
    let head = Desk::new(&rows).head(&[]);
    let held_out = head.held_out.as_ref().unwrap();
    let looked_at = held_out_rows(&rows, held_out);
    let learnt: Vec<usize> = (0..rows.paths.len()).filter(|row| !looked_at.contains(row)).collect();
    let learnt = rows.numbers.select(Axis(0), &learnt);
    let scaler = Scaler::fit(learnt.view());
    let axes = PrincipalAxes::of(scaler.transform(learnt.view()).view(), 2);
    let rows = of_paths(&rows, &held_out.paths);
    assert_eq!(held_out.map, axes.coordinates(scaler.transform(rows.view()).view()));
    assert!(held_out.images.as_ref().unwrap().ends_with("images"));
}

#[test]
fn without_a_validation_part_every_row_is_learnt_from_and_judged_out_of_fold() {
    let rows = three_classes();
    let desk = Desk::new(&rows);
    for flags in [&[][..], &DENSE] {
        let assert = desk.fit(&[&["--validation", "0"], flags].concat()).success();
        assert!(stdout(&assert).contains("100 images out of fold, each judged by a fit that did not see it"));
        let head = Head::read(&desk.path("head.safetensors")).unwrap();
        let held_out = head.held_out.unwrap();
        assert_eq!((held_out.set.as_str(), held_out.paths), ("out of fold", rows.paths.clone()));
        assert_eq!(head.fit["rows"], 100);
        // The temperature is the best one for these very rows.
        let before = head.fit["log_loss_before"].as_f64().unwrap();
        assert!(held_out.metrics.log_loss <= before + 1e-6, "{} against {before}", held_out.metrics.log_loss);
        let own: f64 =
            held_out.labels.iter().zip(held_out.probabilities.rows()).map(|(l, p)| -f64::from(p[*l]).ln()).sum();
        close(held_out.metrics.log_loss, own / 100.0, 1e-6, "log loss");
    }
}

#[test]
fn a_test_file_judges_by_the_names_of_its_classes() {
    let desk = Desk::new(&three_classes());
    let test = rows(&[("b", 20), ("c", 15), ("d", 5)], 6);
    desk.put("test.safetensors", &test, &provenance());
    let assert = desk.fit(&["--test", "test.safetensors", "--metrics", "m.json"]).success();
    assert!(stderr(&assert).contains("5 rows are of test.safetensors of a class that is not learnt: left out"));
    assert!(stdout(&assert).contains("judged by 35 images of the test file"));
    let head = Head::read(&desk.path("head.safetensors")).unwrap();
    assert_eq!(head.fit["rows"], 100, "no row is held out beside it");
    let held_out = head.held_out.as_ref().unwrap();
    assert_eq!((held_out.set.as_str(), held_out.paths.as_slice()), ("test", &test.paths[..35]));
    assert!(held_out.paths.iter().zip(&held_out.labels).all(|(path, &label)| head.classes[label] == path[..1]));
    let p = softmax(logits(&head.model, &of_paths(&test, &held_out.paths)));
    let right =
        p.rows().into_iter().zip(&held_out.labels).filter(|(p, label)| p.iter().all(|&q| q <= p[**label])).count();
    close(held_out.metrics.accuracy, right as f64 / 35.0, 1e-12, "accuracy");
    assert!(right > 15, "{right} of 35 with the names mixed up would be chance");
    // Nothing of the head but what is told of it depends on the test.
    let alone = desk.head(&["--validation", "0"]);
    assert_eq!((alone.model, alone.temperature), (head.model, head.temperature));
}

#[test]
fn each_class_counts_as_much_as_asked_for() {
    let rows = rows(&[("a", 60), ("b", 25), ("c", 10)], 8);
    let desk = Desk::new(&rows);
    for (weight, flag) in [([1.0; 3], "none"), ([95.0 / 180.0, 95.0 / 75.0, 95.0 / 30.0], "balanced")] {
        let head = desk.head(&["--validation", "0", "--class-weight", flag]);
        assert_eq!(head.fit["class_weight"], flag);
        // Intercepts have no penalty: at the optimum the weighted probabilities of a class add up to its weighted rows.
        let p = softmax(logits(&head.model, &rows.numbers) * head.temperature);
        for (class, (name, count)) in [("a", 60.0), ("b", 25.0), ("c", 10.0)].into_iter().enumerate() {
            let weight_of = |path: &str| weight[usize::from(path.as_bytes()[0] - b'a')];
            let sum: f64 = p.rows().into_iter().zip(&rows.paths).map(|(p, path)| weight_of(path) * p[class]).sum();
            close(sum, weight[class] * count, 0.02, name);
        }
    }
    // Where classes are of one size both are the same.
    let desk = Desk::new(&self::rows(&[("a", 20), ("b", 20)], 8));
    assert_eq!(desk.head(&[]).model, desk.head(&["--class-weight", "balanced"]).model);
}

#[test]
fn the_precision_asked_for_is_reached_on_the_validation_rows() {
    let rows = rows(&[("a", 90), ("b", 90), ("c", 90)], 9);
    let desk = Desk::new(&rows);
    let (mut reached, mut kept_back) = (0, 0);
    for precision in ["0.5", "0.9", "0.97"] {
        let assert = desk.fit(&["--target-precision", precision]).success();
        assert!(stdout(&assert).contains(&format!("thresholds for a precision of {precision}:")));
        let head = Head::read(&desk.path("head.safetensors")).unwrap();
        let held_out = head.held_out.as_ref().unwrap();
        let (mut called, mut right) = ([0; 3], [0; 3]);
        for (p, &label) in held_out.probabilities.rows().into_iter().zip(&held_out.labels) {
            match head.decide(p, None) {
                Some(class) => {
                    called[class] += 1;
                    right[class] += i32::from(class == label);
                }
                None => kept_back += 1,
            }
        }
        for class in 0..3 {
            let least: f64 = precision.parse().unwrap();
            assert!(f64::from(right[class]) >= least * f64::from(called[class]), "{class}: {right:?} of {called:?}");
            reached += called[class];
        }
    }
    assert!(reached > 50 && kept_back > 0, "{reached} {kept_back}");
}

#[test]
fn near_duplicates_across_the_split_are_named() {
    let mut rows = three_classes();
    let desk = Desk::new(&rows);
    let plain = desk.fit(&["--metrics", "m.json"]).success();
    assert!(!stderr(&plain).contains("all but equals"));
    let looked_at =
        held_out_rows(&rows, Head::read(&desk.path("head.safetensors")).unwrap().held_out.as_ref().unwrap());
    let learnt: Vec<usize> = (0..100).filter(|row| !looked_at.contains(row)).collect();
    // A copy in another light across the split, one within the rows that are learnt from.
    let copy = rows.numbers.row(learnt[3]).mapv(|x| x * 1.1);
    rows.numbers.row_mut(looked_at[2]).assign(&copy);
    let same = rows.numbers.row(learnt[6]).to_owned();
    rows.numbers.row_mut(learnt[5]).assign(&same);
    desk.put("rows.safetensors", &rows, &provenance());
    let said = stderr(&desk.fit(&["--metrics", "m.json"]).success());
    let (left, right) = (&rows.paths[looked_at[2]], &rows.paths[learnt[3]]);
    assert!(said.contains("1 image that the head is judged by all but equals one"), "{said}");
    assert!(said.contains(&format!("  {left} and {right} (1.0000)")), "{said}");
    let json: Value = serde_json::from_slice(&fs::read(desk.path("m.json")).unwrap()).unwrap();
    assert_eq!(json["near_duplicates"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&json["near_duplicates"][0][0], &json["near_duplicates"][0][1]),
        (&left.as_str().into(), &right.as_str().into())
    );
    // And nothing is said with --quiet.
    assert_eq!(stderr(&desk.fit(&["--quiet"]).success()), "");
}

#[test]
fn the_same_rows_and_flags_give_the_same_bytes_for_any_number_of_threads() {
    let desk = Desk::new(&rows(&[("a", 300), ("b", 250), ("c", 200)], 4));
    for flags in [&[][..], &DENSE, &["--alpha", "10,1", "--validation", "0"]] {
        let with = |threads| desk.bytes(&[&["--threads", threads], flags].concat());
        let one = with("1");
        assert!(one == with("2") && one == with("3") && one == desk.bytes(flags), "{flags:?}");
        assert!(one != desk.bytes(&[&["--seed", "1"], flags].concat()));
    }
}

#[test]
fn what_score_says_is_the_heads_formula() {
    let rows = three_classes();
    let desk = Desk::new(&rows);
    for flags in [&[][..], &DENSE] {
        let head = desk.head(flags);
        let mut score = headstock();
        score.args(["score", "--head", "head.safetensors", "--embeddings", "rows.safetensors"]);
        score.current_dir(desk.0.path()).assert().success();
        let scores = Scores::read(&desk.path("scores.csv")).unwrap();
        assert_eq!(scores.rows.len(), 100);
        let p = softmax(logits(&head.model, &rows.numbers));
        for (row, (path, p)) in scores.rows.iter().zip(rows.paths.iter().zip(p.rows())) {
            assert_eq!(&row.path, path);
            row.probabilities.iter().zip(p).for_each(|(ours, theirs)| close(f64::from(*ours), *theirs, 1e-5, path));
        }
    }
}

#[test]
fn a_dense_head_is_fitted_as_told() {
    let desk = Desk::new(&three_classes());
    let assert = desk.fit(&DENSE).success();
    let said = stderr(&assert);
    assert!(said.contains("fold 5 of 5: 4 epochs") && said.contains("dense head on 80 images"), "{said}");
    let head = Head::read(&desk.path("head.safetensors")).unwrap();
    let Model::Dense(dense) = &head.model else { panic!("the head is linear") };
    assert_eq!(dense.weight1.dim(), (7, FEATURES));
    assert_eq!((&head.fit["head"], &head.fit["hidden"], &head.fit["epochs"]), (&"dense".into(), &7.into(), &4.into()));
    let history = head.fit["history"].as_array().unwrap();
    let losses: Vec<f64> = history.iter().map(|epoch| epoch["validation"]["loss"].as_f64().unwrap()).collect();
    let best = head.fit["best_epoch"].as_u64().unwrap() as usize;
    assert!(losses.iter().all(|&loss| loss >= losses[best - 1]), "{losses:?}, {best}");
    let long =
        desk.head(&["--head", "dense", "--hidden", "5", "--epochs", "90", "--learning-rate", "0.1", "--patience", "2"]);
    assert!(long.fit["history"].as_array().unwrap().len() < 90, "training stops early");
}

#[test]
fn small_classes_have_fewer_folds_and_it_is_said() {
    let desk = Desk::new(&rows(&[("a", 20), ("b", 4)], 3));
    let assert = desk.fit(&["--validation", "0.25", "--alpha", "1"]).success();
    assert!(stderr(&assert).contains("the smallest class has 3 images to learn from: 3 folds"), "{}", stderr(&assert));
    let head = Head::read(&desk.path("head.safetensors")).unwrap();
    assert_eq!((&head.fit["folds"], &head.fit["alpha"]), (&3.into(), &1.0.into()));
}

#[test]
fn features_that_are_constant_or_all_but_nothing_make_no_head_that_cannot_be_read() {
    let mut rows = three_classes();
    rows.numbers.column_mut(0).fill(7.0);
    rows.numbers.column_mut(1).mapv_inplace(|x| x * 1e-40);
    rows.numbers.column_mut(2).mapv_inplace(|x| x * 1e30);
    let desk = Desk::new(&rows);
    assert!(desk.head(&DENSE).held_out.unwrap().metrics.log_loss.is_finite());
    let head = desk.head(&[]);
    assert!(head.held_out.as_ref().unwrap().metrics.accuracy > 0.5);
    assert!(linear(&head).weight.column(0).iter().all(|&weight| weight.abs() < 1e-6), "a constant tells nothing");
}
