//! `headstock inspect` as a user meets it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use headstock::embeddings::EmbeddingsFile;
use headstock::weights::Weights;
use support::{folder_of_photos, headstock, under_tests, written};

fn stdout_of(arguments: &[&str]) -> String {
    let assert = headstock().arg("inspect").args(arguments).assert().success();
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

#[test]
fn layers_tell_index_block_kind_shape_parameters_and_what_is_frozen() {
    let table = stdout_of(&["layers", "--format", "csv"]);
    let mut csv = csv::Reader::from_reader(table.as_bytes());
    let records: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    let frozen = csv.headers().unwrap().iter().position(|name| name == "frozen").unwrap();
    assert_eq!(records.len(), 312);
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record[0], index.to_string());
        assert_eq!(&record[frozen], if index < 150 { "true" } else { "false" });
    }
    let line: Vec<&str> = records[153].iter().collect();
    let expected = "153,conv2d_43,Conv2D,Mixed_6c = mixed5,Mixed_6c.branch7x7_3,convolution 7x1,17,17,192,215040,false";
    assert_eq!(line.join(","), expected);

    let text = stdout_of(&["layers"]);
    assert!(text.ends_with("and 17,366,976 parameters are trained.\n"), "{text}");
    let text = stdout_of(&["layers", "--freeze", "none"]);
    assert!(text.contains("21,802,784 parameters") && !text.contains(" frozen\n"));
    headstock().args(["inspect", "layers", "--freeze", "mixed11"]).assert().code(1);
    headstock().args(["inspect", "layers", "--freeze", "everything"]).assert().code(2);
}

#[test]
fn a_reader_that_wants_no_more_lines_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_headstock"))
        .args(["inspect", "layers"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn filters_are_drawn_in_their_colours_32_of_them() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("filters.png");
    headstock().args(["inspect", "filters", "--out"]).arg(&file).assert().success();
    let picture = image::open(&file).unwrap().to_rgb8();
    // Eight filters of 3x3 in a row, 24 pixels a weight, 8 between and around; four rows.
    assert_eq!(picture.dimensions(), (8 * 80 + 8, 4 * 80 + 8));
    let kernel = Weights::embedded().unwrap().convolution("Conv2d_1a_3x3").unwrap().kernel.clone();
    for (filter, y, x) in [(0, 0, 0), (9, 1, 2), (31, 2, 1)] {
        let weights: Vec<Vec<Vec<f32>>> = kernel.get(filter).unwrap().to_vec3().unwrap();
        let largest = weights.iter().flatten().flatten().fold(0.0_f32, |largest, w| largest.max(w.abs()));
        let at = |index: usize, of: usize| (8 + index * 80 + of * 24 + 12) as u32;
        let pixel = picture.get_pixel(at(filter % 8, x), at(filter / 8, y));
        for channel in 0..3 {
            let expected = 127.5 + 127.5 * weights[channel][y][x] / largest;
            assert!((f32::from(pixel[channel]) - expected).abs() <= 0.51, "filter {filter}");
        }
    }
    headstock().args(["inspect", "filters", "--out", "filters.gif"]).assert().code(1);
}

#[test]
fn embeddings_tell_rows_classes_and_provenance_and_are_read_as_they_were_written() {
    let images = folder_of_photos(&["cat/1.png", "cat/2.png", "dog/3.png", "stray.png"]);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("e.safetensors");
    headstock().args(["extract", "--images"]).arg(images.path()).arg("--out").arg(&file).assert().success();

    let text = stdout_of(&["embeddings", file.to_str().unwrap()]);
    for line in [
        "rows        4 of 2048 numbers",
        "variant     tf2015",
        "classes     cat  2 rows",
        "            dog  1 row",
        "            1 row in no class",
        "not finite  none",
    ] {
        assert!(text.lines().any(|other| other == line), "{line:?} in\n{text}");
    }

    let expected = written(&file);
    let mut read = EmbeddingsFile::open(&file).unwrap();
    assert_eq!((&read.paths, &read.classes, &read.labels), (&expected.paths, &expected.classes, &expected.labels));
    let mut rows = Vec::new();
    read.for_each_row(|row| rows.push(row.to_vec())).unwrap();
    assert_eq!(rows, expected.rows);
}

#[test]
fn a_file_that_holds_no_embeddings_is_an_error_that_says_what_it_is() {
    let out = tempfile::tempdir().unwrap();
    let reason = |path: &Path| EmbeddingsFile::open(path).unwrap_err().to_string();
    let weights = under_tests("../data/inception_v3_2015.safetensors");
    assert!(reason(&weights).contains("headstock.backbone/1, not headstock.embeddings/1"), "{}", reason(&weights));
    assert!(reason(&under_tests("golden/photo.jpg")).contains("no safetensors file"));

    let images = folder_of_photos(&["cat/1.png"]);
    let file = out.path().join("e.safetensors");
    headstock().args(["extract", "--images"]).arg(images.path()).arg("--out").arg(&file).assert().success();
    let whole = fs::read(&file).unwrap();
    for len in (0..whole.len()).step_by(97) {
        fs::write(&file, &whole[..len]).unwrap();
        assert!(EmbeddingsFile::open(&file).is_err(), "cut at {len}");
    }
    headstock().args(["inspect", "embeddings"]).arg(&file).assert().code(1);
}
