//! `headstock score` as a user meets it: the program, its files, its words, its exit codes.
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
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use headstock::embeddings::Provenance;
use headstock::head::Head;
use headstock::image::Preset;
use headstock::metrics::Metrics;
use headstock::scores::Scores;
use ndarray::{Array2, array};
use support::heads::{linear_head, numbers, provenance, write_embeddings};
use support::{folder_of_photos, headstock};
use tempfile::TempDir;

/// A folder with a head, and embeddings of 4 numbers a row, and what `score` makes of them.
struct Desk {
    folder: TempDir,
}

/// By what the rows on the desk were made; no network is needed to score them.
fn of_the_desk() -> Provenance {
    let [weights, variant, preprocess, version] = ["abc", "tf2015", "{\"preset\":\"tf\"}", "0.0.1"].map(str::to_owned);
    Provenance { weights, variant, preprocess, version }
}

const CLASSES: [&str; 3] = ["a", "b", "c"];

impl Desk {
    fn new(head: &Head, paths: &[&str], rows: &Array2<f32>) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        head.write(&desk.path("head.safetensors")).unwrap();
        write_embeddings(&desk.path("rows.safetensors"), &desk.path("images"), paths, rows, &of_the_desk());
        desk
    }

    /// The usual head on random rows.
    fn with_rows(paths: &[&str]) -> Self {
        Self::new(&linear_head(&CLASSES, 4, of_the_desk()), paths, &(numbers(paths.len(), 4, 3) * 20.0))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn score(&self, flags: &[&str]) -> Assert {
        let mut command = headstock();
        command.arg("score").arg("--head").arg(self.path("head.safetensors"));
        command.arg("--embeddings").arg(self.path("rows.safetensors"));
        command.current_dir(self.folder.path()).args(flags).assert()
    }

    fn scores(&self, flags: &[&str]) -> Scores {
        self.score(flags).success();
        Scores::read(&self.path("scores.csv")).unwrap()
    }

    /// What is said of it, where it fails.
    fn refusal(&self, flags: &[&str]) -> String {
        stderr(&self.score(flags).code(1))
    }
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

fn decisions(scores: &Scores) -> Vec<Option<usize>> {
    scores.rows.iter().map(|row| row.class).collect()
}

#[test]
fn images_and_their_embeddings_get_the_same_scores_in_every_format() {
    let images = folder_of_photos(&["a/1.png", "b/2.png", "z/deep/3.png", "4.png"]);
    fs::write(images.path().join("a/broken.png"), "text").unwrap();
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name);
    linear_head(&CLASSES, 2048, provenance(Preset::Tf)).write(&path("head.safetensors")).unwrap();
    let run = |verb: &[&str]| headstock().current_dir(out.path()).args(verb).assert().success();
    let images = images.path().to_str().unwrap();
    run(&["extract", "--images", images, "--out", "rows.safetensors"]);

    let score = ["score", "--head", "head.safetensors"];
    run(&[&score[..], &["--images", images, "--batch-size", "3"]].concat());
    let rejected = fs::read_to_string(path("scores.csv.rejected.csv")).unwrap();
    assert!(rejected.contains("a/broken.png"), "{rejected}");
    for flags in [&["--out", "e.csv"][..], &["--out", "e.jsonl"], &["--out", "top", "--format", "jsonl", "--top", "2"]]
    {
        run(&[&score[..], &["--embeddings", "rows.safetensors"], flags].concat());
    }
    assert_eq!(fs::read(path("scores.csv")).unwrap(), fs::read(path("e.csv")).unwrap());

    let scores = Scores::read(&path("e.csv")).unwrap();
    assert_eq!(scores, Scores::read(&path("e.jsonl")).unwrap());
    assert_eq!(scores.classes, CLASSES);
    let paths: Vec<&str> = scores.rows.iter().map(|row| row.path.as_str()).collect();
    assert_eq!(paths, ["4.png", "a/1.png", "b/2.png", "z/deep/3.png"]);
    for row in &scores.rows {
        let sum: f64 = row.probabilities.iter().map(|&p| f64::from(p)).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
    let top = Scores::read(&path("top")).unwrap();
    assert_eq!(top.top, Some(2));
    for (row, whole) in top.rows.iter().zip(&scores.rows) {
        let mut rest = whole.probabilities.clone();
        rest.sort_by(f32::total_cmp);
        let named: f32 = row.probabilities.iter().sum();
        assert!((named - rest[1] - rest[2]).abs() < 1e-6 && row.probability() == rest[2]);
    }
}

#[test]
fn the_bytes_are_the_same_for_any_number_of_threads() {
    let paths: Vec<String> = (0..1100).map(|row| format!("{row:04}.png")).collect();
    let desk = Desk::with_rows(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    desk.score(&["--threads", "1"]).success();
    let one = fs::read(desk.path("scores.csv")).unwrap();
    desk.score(&["--threads", "5"]).success();
    assert!(fs::read(desk.path("scores.csv")).unwrap() == one);
    let limited = desk.scores(&["--limit", "700"]);
    assert_eq!(limited.rows.len(), 700);
    assert_eq!(fs::read_dir(desk.folder.path()).unwrap().count(), 3, "nothing temporary is left");
}

/// A head of three classes whose probabilities are the softmax of the rows themselves.
fn plain_head() -> Head {
    let mut head = linear_head(&CLASSES, 3, of_the_desk());
    let weight = Array2::eye(3);
    head.model = headstock::head::Model::Linear(headstock::head::Linear { weight, bias: vec![0.0; 3] });
    head
}

/// Rows of these probabilities.
fn rows_of(probabilities: &Array2<f32>) -> Array2<f32> {
    probabilities.mapv(f32::ln)
}

#[test]
fn below_the_threshold_it_is_unsure_by_the_flag_or_by_the_heads_own_for_the_class() {
    let rows = rows_of(&array![[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]);
    let mut head = plain_head();
    let paths = ["1.png", "2.png", "3.png"];
    let desk = Desk::new(&head, &paths, &rows);
    assert_eq!(decisions(&desk.scores(&[])), [Some(0), Some(1), Some(2)]);
    assert_eq!(decisions(&desk.scores(&["--threshold", "0.55"])), [Some(0), None, Some(2)]);
    assert_eq!(decisions(&desk.scores(&["--threshold", "1"])), [None; 3]);
    let text = fs::read_to_string(desk.path("scores.csv")).unwrap();
    assert_eq!(text.matches(",unsure,").count(), 3, "{text}");

    head.thresholds = Some(vec![0.7, 0.4, 0.7]);
    head.write(&desk.path("head.safetensors")).unwrap();
    assert_eq!(decisions(&desk.scores(&[])), [None, Some(1), Some(2)]);
    assert_eq!(decisions(&desk.scores(&["--threshold", "0"])), [Some(0), Some(1), Some(2)]);
}

#[test]
fn a_class_that_is_called_unsure_is_refused_where_it_could_be_mistaken() {
    let mut head = linear_head(&["a", "unsure"], 4, of_the_desk());
    let desk = Desk::new(&head, &["1.png"], &numbers(1, 4, 1));
    desk.score(&[]).success();
    assert!(desk.refusal(&["--threshold", "0.5"]).contains("has a class 'unsure'"));
    head.classes[1] = "a".to_owned();
    head.write(&desk.path("head.safetensors")).unwrap();
    assert!(desk.refusal(&[]).contains("names the class \"a\" twice"));
}

#[test]
fn a_row_that_gives_no_number_is_rejected_and_its_neighbours_are_kept() {
    let names: Vec<String> = (0..1100).map(|row| format!("{row:04}.png")).collect();
    let mut rows = numbers(1100, 3, 4);
    let damaged = [1, 511, 512, 900];
    for (row, value) in damaged.into_iter().zip([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]) {
        rows[[row, 2]] = value;
    }
    let desk = Desk::new(&plain_head(), &names.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
    let scores = desk.scores(&[]);
    let kept = (0..1100).filter(|row| !damaged.contains(row));
    assert_eq!(scores.rows.len(), 1096);
    for (score, row) in scores.rows.iter().zip(kept) {
        assert_eq!(score.path, names[row]);
        assert_eq!(score.class, headstock::head::most_probable(rows.row(row)), "{}", score.path);
    }
    let rejected = fs::read_to_string(desk.path("scores.csv.rejected.csv")).unwrap();
    let listed: Vec<&str> = rejected.lines().skip(1).map(|line| line.split_once(',').unwrap().0).collect();
    assert_eq!(listed, damaged.map(|row| names[row].as_str()));
    desk.score(&["--strict"]).code(1);
}

#[test]
fn rows_that_the_head_was_not_fitted_for_are_refused_with_both_values() {
    let desk = Desk::with_rows(&["a/1.png"]);
    let refused_with = |change: fn(&mut Provenance), words: [&str; 2]| {
        let mut head = linear_head(&CLASSES, 4, of_the_desk());
        change(&mut head.provenance);
        head.write(&desk.path("head.safetensors")).unwrap();
        let said = desk.refusal(&[]);
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert!(!desk.path("scores.csv").exists());
    };
    refused_with(|of| of.weights = "def".to_owned(), ["weights def", "weights abc"]);
    refused_with(|of| of.variant = "keras".to_owned(), ["keras", "tf2015"]);
    refused_with(|of| of.preprocess = "{\"preset\":\"timm\"}".to_owned(), ["timm", "\"tf\""]);

    linear_head(&CLASSES, 5, of_the_desk()).write(&desk.path("head.safetensors")).unwrap();
    assert!(desk.refusal(&[]).contains("takes rows of 5 numbers, and the rows have 4"));
    let mut head = linear_head(&CLASSES, 4, of_the_desk());
    head.provenance.version = "9.9.9".to_owned();
    head.provenance.preprocess = "{ \"preset\": \"tf\" }".to_owned();
    head.write(&desk.path("head.safetensors")).unwrap();
    desk.score(&[]).success();
}

#[test]
fn a_network_that_the_head_was_not_fitted_for_is_refused_with_both_values() {
    let images = folder_of_photos(&["1.png"]);
    let out = tempfile::tempdir().unwrap();
    let refused_with = |features: usize, change: fn(&mut Provenance), words: [&str; 2]| {
        let mut head = linear_head(&CLASSES, features, provenance(Preset::Tf));
        change(&mut head.provenance);
        head.write(&out.path().join("head.safetensors")).unwrap();
        let mut command = headstock();
        command.current_dir(out.path()).args(["score", "--head", "head.safetensors", "--images"]).arg(images.path());
        let said = stderr(&command.assert().code(1));
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    refused_with(2048, |of| of.weights = "def".to_owned(), ["weights def", "weights fe97c2489fa1efe0"]);
    refused_with(2048, |of| of.variant = "torchvision".to_owned(), ["torchvision", "tf2015"]);
    refused_with(2048, |of| of.preprocess = of.preprocess.replace("299", "9999999"), ["no", "9999999"]);
    refused_with(2048, |of| of.preprocess = "none".to_owned(), ["preprocessing is none that", "none"]);
    refused_with(7, |_| {}, ["takes rows of 7 numbers", "2048"]);
}

#[test]
fn evaluate_measures_what_lies_in_folders_of_the_heads_classes() {
    // By hand: of five rows with a known class the first, second and fourth are right.
    let rows = rows_of(&array![
        [0.6, 0.3, 0.1],
        [0.5, 0.25, 0.25],
        [0.7, 0.2, 0.1],
        [0.1, 0.8, 0.1],
        [0.2, 0.4, 0.4],
        [0.9, 0.05, 0.05],
        [0.9, 0.05, 0.05],
    ]);
    let paths = ["a/1.png", "a/2.png", "b/1.png", "b/2.png", "c/1.png", "other/1.png", "stray.png"];
    let desk = Desk::new(&plain_head(), &paths, &rows);
    let assert = desk.score(&["--evaluate", "--metrics", "m.json", "--threshold", "0.99"]).success();
    assert!(stderr(&assert).contains("2 images lie in no folder named as a class"), "{}", stderr(&assert));
    assert!(!assert.get_output().stdout.is_empty());

    let metrics: Metrics = serde_json::from_slice(&fs::read(desk.path("m.json")).unwrap()).unwrap();
    assert_eq!((metrics.rows, metrics.accuracy), (5, 0.6));
    assert_eq!(metrics.confusion, [[2, 0, 0], [1, 1, 0], [0, 1, 0]]);
    let loss = -(0.6_f64.ln() + 0.5_f64.ln() + 0.2_f64.ln() + 0.8_f64.ln() + 0.4_f64.ln()) / 5.0;
    assert!((metrics.log_loss - loss).abs() < 1e-6);
    assert_eq!(Scores::read(&desk.path("scores.csv")).unwrap().rows.len(), 7);
}

#[test]
fn evaluate_is_refused_where_no_image_has_a_class_of_the_head() {
    for paths in [&["1.png", "2.png"][..], &["x/1.png", "y/2.png"]] {
        let desk = Desk::with_rows(paths);
        let said = desk.refusal(&["--evaluate"]);
        assert!(
            said.contains("none of the images lies in a folder named as a class") && said.contains("a, b, c"),
            "{said}"
        );
        assert!(!desk.path("scores.csv").exists());
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let desk = Desk::with_rows(&["1.png"]);
    for flags in [
        &["--images", "."][..],
        &["--threshold", "1.5"],
        &["--threshold", "NaN"],
        &["--top", "0"],
        &["--metrics", "m.json"],
        &["--explain", "maps"],
        &["--format", "xml"],
        &["--resume", "--restart"],
        &["--device", "cpu"],
        &["--weights", "head.safetensors"],
    ] {
        assert!(!stderr(&desk.score(flags).code(2)).is_empty(), "{flags:?}");
    }
    headstock().args(["score", "--images", "."]).assert().code(2);
    headstock().args(["score", "--head", "nowhere.safetensors", "--images", "."]).assert().code(2);
    let no_head = headstock()
        .current_dir(desk.folder.path())
        .args(["score", "--head", "rows.safetensors", "--images", "."])
        .assert()
        .code(1);
    assert!(stderr(&no_head).contains("not headstock.head/1"), "{}", stderr(&no_head));
    let no_place = desk.refusal(&["--out", "nowhere/scores.csv"]);
    assert!(no_place.contains("nowhere is not there"), "{no_place}");
}

#[test]
fn quiet_is_quiet_and_a_finished_run_says_what_came_of_it() {
    let desk = Desk::with_rows(&["1.png", "2.png"]);
    let said = stderr(&desk.score(&["--threshold", "1"]).success());
    assert!(said.contains("2 rows of") && said.contains("scores.csv: 2 images, 2 unsure"), "{said}");
    assert_eq!(stderr(&desk.score(&["--quiet"]).success()), "");
}

/// The folder `sorted`, as paths.
fn tree(folder: &Path) -> Vec<String> {
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = files.filter(|entry| !entry.file_type().is_dir());
    files.map(|file| file.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect()
}

/// Four images: two are called a, one b, one is unsure below 0.5.
fn desk_with_images() -> Desk {
    let rows = rows_of(&array![[0.9, 0.05, 0.05], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]]);
    let paths = ["x/1.png", "y/1.png", "y/2.png", "z.png"];
    let desk = Desk::new(&plain_head(), &paths, &rows);
    for path in paths {
        let path = desk.path("images").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, path.to_str().unwrap()).unwrap();
    }
    desk
}

const SORTED: [&str; 4] = ["a/x/1.png", "a/y/1.png", "b/y/2.png", "unsure/z.png"];

#[test]
fn sort_into_lays_images_out_by_class_as_often_as_one_likes() {
    let desk = desk_with_images();
    let flags = ["--sort-into", "sorted/here", "--threshold", "0.5"];
    for _ in 0..2 {
        desk.score(&flags).success();
        assert_eq!(tree(&desk.path("sorted/here")), SORTED);
    }
    for path in SORTED {
        let (_, image) = path.split_once('/').unwrap();
        let image = desk.path("images").join(image);
        assert!(same_file::is_same_file(&image, desk.path("sorted/here").join(path)).unwrap());
    }
    // A copy is as good as a link.
    let copy = desk.path("sorted/here/a/x/1.png");
    fs::remove_file(&copy).unwrap();
    fs::copy(desk.path("images/x/1.png"), &copy).unwrap();
    desk.score(&flags).success();
}

#[test]
fn sort_into_writes_over_nothing_and_goes_on_when_the_way_is_free() {
    let desk = desk_with_images();
    fs::create_dir_all(desk.path("sorted/a/x")).unwrap();
    fs::write(desk.path("sorted/a/x/1.png"), "mine").unwrap();
    let flags = ["--sort-into", "sorted", "--threshold", "0.5"];
    let said = desk.refusal(&flags);
    assert!(said.contains("1 image could not be laid out") && said.contains("is something else"), "{said}");
    assert_eq!(fs::read(desk.path("sorted/a/x/1.png")).unwrap(), b"mine");
    assert_eq!(tree(&desk.path("sorted")), SORTED, "the others are laid out");
    assert_eq!(Scores::read(&desk.path("scores.csv")).unwrap().rows.len(), 4);

    fs::remove_file(desk.path("sorted/a/x/1.png")).unwrap();
    desk.score(&[&flags[..], &["--resume"]].concat()).success();
    assert!(same_file::is_same_file(desk.path("images/x/1.png"), desk.path("sorted/a/x/1.png")).unwrap());
}

#[cfg(unix)]
#[test]
fn sort_into_links_what_a_link_leads_to() {
    let desk = desk_with_images();
    fs::rename(desk.path("images/z.png"), desk.path("images/y/elsewhere.png")).unwrap();
    std::os::unix::fs::symlink("y/elsewhere.png", desk.path("images/z.png")).unwrap();
    desk.score(&["--sort-into", "sorted"]).success();
    let laid = desk.path("sorted/a/z.png");
    assert!(laid.symlink_metadata().unwrap().is_file());
    assert!(same_file::is_same_file(desk.path("images/y/elsewhere.png"), laid).unwrap());
}

#[test]
fn sort_into_never_leaves_its_folder() {
    for class in ["../up", "/top", "..", ".", "", "a/b", "nul\0"] {
        let desk = desk_with_images();
        let mut head = plain_head();
        head.classes[0] = class.to_owned();
        head.write(&desk.path("head.safetensors")).unwrap();
        let before = tree(desk.folder.path());
        let said = desk.refusal(&["--sort-into", "sorted"]);
        assert!(said.contains("cannot be the name of a folder"), "{class:?}: {said}");
        assert_eq!(tree(desk.folder.path()), before);
    }
    // Nor does it fetch anything from outside the images' folder.
    let desk = desk_with_images();
    fs::write(desk.path("secret"), "secret").unwrap();
    write_embeddings(
        &desk.path("rows.safetensors"),
        &desk.path("images"),
        &["../secret"],
        &numbers(1, 3, 1),
        &of_the_desk(),
    );
    assert!(desk.refusal(&["--sort-into", "sorted"]).contains("leads out of the folder"));
    assert_eq!(tree(&desk.path("sorted")), [""; 0]);
}

#[test]
fn sort_into_stays_apart_from_the_images() {
    let desk = desk_with_images();
    for place in ["images", "images/sorted", "images/x", "images/../images/sorted"] {
        let said = desk.refusal(&["--sort-into", place]);
        assert!(said.contains("lies in the folder of the images"), "{place}: {said}");
        assert!(!desk.path("images/sorted").exists());
    }
    let mut head = plain_head();
    head.classes[2] = "images".to_owned();
    head.write(&desk.path("head.safetensors")).unwrap();
    assert!(desk.refusal(&["--sort-into", "."]).contains("would be that of the images"));

    fs::remove_dir_all(desk.path("images")).unwrap();
    assert!(desk.refusal(&["--sort-into", "sorted"]).contains("which is not there"));
    assert!(!desk.path("scores.csv").exists(), "all of it was refused before any work");
}
