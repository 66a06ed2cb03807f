//! `headstock extract` as a user meets it: the program, its files, its words, its exit codes.
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
use std::path::Path;

use assert_cmd::assert::Assert;
use support::{folder_of_photos, headstock, under_tests, written};
use tempfile::TempDir;

/// Runs `extract` over a folder, the output beside it in a folder of its own.
fn extract(images: &Path, out: &Path, flags: &[&str]) -> Assert {
    headstock().arg("extract").arg("--images").arg(images).arg("--out").arg(out).args(flags).assert()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn out_folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn rows_stand_in_byte_order_of_paths_with_classes_and_provenance() {
    // '.' sorts before '/', which sorts before 'b': an order of components would differ from that of bytes.
    let images = folder_of_photos(&["a/2.png", "a/10.png", "a.b/1.png", "ab/deep/er/1.png", "B/é.png", "empty/"]);
    let out = out_folder();
    let file = out.path().join("out.safetensors");
    extract(images.path(), &file, &[]).success();

    let written = written(&file);
    assert_eq!(written.paths, ["B/é.png", "a.b/1.png", "a/10.png", "a/2.png", "ab/deep/er/1.png"]);
    assert_eq!(written.classes, ["B", "a", "a.b", "ab"]);
    assert_eq!(written.labels, Some(vec![0, 2, 1, 1, 3]));
    assert_eq!(written.rows.len(), 5);
    assert!(written.rows.iter().all(|row| row.len() == 2048));
    assert_eq!(written.metadata["format"], "headstock.embeddings/1");
    assert_eq!(written.metadata["variant"], "tf2015");
    assert_eq!(written.metadata["weights"], "fe97c2489fa1efe0ed30fb57e401f35f44b8bdc38a95b6893bdbe71dbc70efd3");
    let preprocess: serde_json::Value = serde_json::from_str(&written.metadata["preprocess"]).unwrap();
    assert_eq!(preprocess["preset"], "tf");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "nothing temporary is left");
}

#[test]
fn a_flat_folder_has_no_classes_and_no_labels() {
    let images = folder_of_photos(&["2.png", "1.png"]);
    let out = out_folder();
    let file = out.path().join("out.safetensors");
    extract(images.path(), &file, &[]).success();
    let written = written(&file);
    assert_eq!(written.paths, ["1.png", "2.png"]);
    assert_eq!(written.classes, [""; 0]);
    assert_eq!(written.labels, None);
}

#[test]
fn an_image_beside_the_class_folders_is_kept_without_a_class() {
    let images = folder_of_photos(&["a/1.png", "stray.png"]);
    let out = out_folder();
    let file = out.path().join("out.safetensors");
    let assert = extract(images.path(), &file, &[]).success();
    assert_eq!(written(&file).labels, Some(vec![0, -1]));
    assert!(stderr(&assert).contains("1 image lies beside the class folders"), "{}", stderr(&assert));
}

#[test]
fn the_bytes_are_the_same_for_any_number_of_threads_and_any_batch_size() {
    let images = folder_of_photos(&["a/1.png", "a/2.png", "b/3.png", "b/4.png", "b/5.png"]);
    let out = out_folder();
    let bytes = |flags: &[&str]| {
        let file = out.path().join("out.safetensors");
        extract(images.path(), &file, flags).success();
        fs::read(file).unwrap()
    };
    let expected = bytes(&[]);
    assert!(bytes(&["--threads", "1", "--batch-size", "1"]) == expected);
    assert!(bytes(&["--threads", "2", "--batch-size", "3"]) == expected);
    assert!(bytes(&["--threads", "5", "--batch-size", "64"]) == expected);
    assert!(bytes(&["--batch-size", &usize::MAX.to_string()]) == expected, "no memory is taken by that number");
}

#[test]
fn npy_and_csv_hold_the_same_rows() {
    let images = folder_of_photos(&["a/1.png", "b,b/\"2\".png", "stray.png"]);
    let out = out_folder();
    let path = |name: &str| out.path().join(name);
    extract(images.path(), &path("out.safetensors"), &[]).success();
    let expected = written(&path("out.safetensors"));

    extract(images.path(), &path("out.npy"), &[]).success();
    let npy = fs::read(path("out.npy")).unwrap();
    assert_eq!(&npy[..8], b"\x93NUMPY\x01\x00");
    let header_len = usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    let header = std::str::from_utf8(&npy[10..10 + header_len]).unwrap();
    assert_eq!(header.trim_end(), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2048), }");
    assert!((10 + header_len) % 64 == 0 && header.ends_with('\n'));
    let numbers: Vec<f32> =
        npy[10 + header_len..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(numbers, expected.rows.concat());
    let index = fs::read_to_string(path("out.npy.rows.csv")).unwrap();
    assert_eq!(index, "row,path,class,label\n0,a/1.png,a,0\n1,\"b,b/\"\"2\"\".png\",\"b,b\",1\n2,stray.png,,-1\n");

    extract(images.path(), &path("text"), &["--format", "csv"]).success();
    let mut csv = csv::Reader::from_path(path("text")).unwrap();
    assert_eq!(csv.headers().unwrap().iter().take(4).collect::<Vec<_>>(), ["path", "class", "e0", "e1"]);
    for (record, (path, row)) in csv.records().zip(expected.paths.iter().zip(&expected.rows)) {
        let record = record.unwrap();
        assert_eq!(&record[0], path);
        let numbers: Vec<f32> = record.iter().skip(2).map(|number| number.parse().unwrap()).collect();
        assert_eq!(&numbers, row);
    }
}

#[test]
fn shards_hold_the_same_rows_in_numbered_files_and_none_of_an_earlier_run_is_left() {
    let images = folder_of_photos(&["a/1.png", "a/2.png", "b/3.png", "b/4.png", "b/5.png"]);
    let out = out_folder();
    let path = |name: &str| out.path().join(name);
    extract(images.path(), &path("whole.safetensors"), &[]).success();
    let whole = written(&path("whole.safetensors"));

    let shards = |rows: &str| extract(images.path(), &path("s.safetensors"), &["--shard-rows", rows]).success();
    shards("1");
    assert!(path("s-00004.safetensors").exists());
    shards("2");
    let (mut paths, mut labels, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for shard in 0..3 {
        let shard = written(&path(&format!("s-{shard:05}.safetensors")));
        assert_eq!(shard.classes, whole.classes);
        paths.extend(shard.paths);
        labels.extend(shard.labels.unwrap());
        rows.extend(shard.rows);
    }
    assert_eq!((paths, Some(labels), rows), (whole.paths, whole.labels, whole.rows));
    assert!(!path("s-00003.safetensors").exists() && !path("s-00004.safetensors").exists());
    assert!(!path("s.safetensors").exists());
}

#[test]
fn limit_takes_the_first_images_and_dry_run_takes_none() {
    let images = folder_of_photos(&["a/1.png", "b/2.png", "b/3.png", "notes/readme.txt.png/4.png"]);
    fs::write(images.path().join("b/notes.txt"), "no image").unwrap();
    let out = out_folder();
    let file = out.path().join("out.safetensors");
    let assert = extract(images.path(), &file, &["--dry-run"]).success();
    let said = stdout(&assert);
    assert!(said.contains("a      1 image\n") && said.contains("b      2 images\n"), "{said}");
    assert!(said.contains("4 images under") && said.contains("3 classes"), "{said}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);

    extract(images.path(), &file, &["--limit", "2"]).success();
    assert_eq!(written(&file).paths, ["a/1.png", "b/2.png"]);
    assert_eq!(written(&file).classes, ["a", "b", "notes"]);
}

#[test]
fn quiet_says_nothing_and_otherwise_nothing_but_results_goes_to_stdout() {
    let images = folder_of_photos(&["1.png"]);
    let out = out_folder();
    let file = out.path().join("out.safetensors");
    let assert = extract(images.path(), &file, &["--quiet"]).success();
    assert_eq!((stdout(&assert), stderr(&assert)), (String::new(), String::new()));
    let assert = extract(images.path(), &file, &[]).success();
    assert_eq!(stdout(&assert), "");
    assert!(stderr(&assert).contains("1 row of 2048 numbers"), "{}", stderr(&assert));
}

#[test]
fn a_broken_image_is_rejected_by_name_and_the_others_are_kept() {
    let images = folder_of_photos(&["a/1.png", "b/2.png"]);
    fs::write(images.path().join("a/broken.jpg"), "this is text, not a picture").unwrap();
    fs::write(images.path().join("a/empty.png"), "").unwrap();
    let out = out_folder();
    let file = out.path().join("out.safetensors");
    let assert = extract(images.path(), &file, &[]).success();
    assert!(stderr(&assert).contains("2 files could not be read"), "{}", stderr(&assert));
    assert_eq!(written(&file).paths, ["a/1.png", "b/2.png"]);
    let rejected = fs::read_to_string(out.path().join("out.safetensors.rejected.csv")).unwrap();
    let lines: Vec<&str> = rejected.lines().collect();
    assert_eq!(lines[0], "path,reason");
    assert!(lines[1].starts_with("a/broken.jpg,") && lines[2].starts_with("a/empty.png,"), "{rejected}");

    extract(images.path(), &file, &["--strict"]).code(1);
    assert_eq!(written(&file).paths.len(), 2, "--strict changes the exit code, not the file");

    fs::remove_file(images.path().join("a/broken.jpg")).unwrap();
    fs::remove_file(images.path().join("a/empty.png")).unwrap();
    extract(images.path(), &file, &["--strict"]).success();
    assert!(!out.path().join("out.safetensors.rejected.csv").exists(), "no list of rejects from another run is left");
}

#[test]
fn a_folder_without_a_readable_image_is_an_error_that_says_so() {
    let images = folder_of_photos(&["empty/"]);
    fs::write(images.path().join("notes.txt"), "no image").unwrap();
    let out = out_folder();
    let file = out.path().join("out.safetensors");
    let assert = extract(images.path(), &file, &[]).code(1);
    assert!(stderr(&assert).contains("no images under"), "{}", stderr(&assert));

    fs::write(images.path().join("broken.jpg"), "text").unwrap();
    let assert = extract(images.path(), &file, &[]).code(1);
    assert!(stderr(&assert).contains("none of the 1 image"), "{}", stderr(&assert));
    assert!(out.path().join("out.safetensors.rejected.csv").exists());
    assert!(!file.exists() && !out.path().join("out.safetensors.partial").exists());
}

#[test]
fn wrong_usage_ends_with_2_and_says_the_way_out() {
    let images = folder_of_photos(&["1.png"]);
    let out = out_folder();
    let file = out.path().join("out.safetensors");
    if cfg!(not(feature = "cuda")) {
        for device in ["cuda", "cuda:1", "cuda:0,1", "cuda:all"] {
            let assert = extract(images.path(), &file, &["--device", device]).code(2);
            assert!(stderr(&assert).contains("--features cuda"), "{device}: {}", stderr(&assert));
        }
    }
    if cfg!(not(feature = "metal")) {
        let assert = extract(images.path(), &file, &["--device", "metal"]).code(2);
        assert!(stderr(&assert).contains("--features metal"), "{}", stderr(&assert));
    }
    for (flags, words) in [
        (&["--device", "tpu"][..], "auto, cpu, cuda, cuda:N, cuda:N,N,..., cuda:all, metal"),
        (&["--device", "cuda:"], "'cuda:' names no cards"),
        (&["--device", "cuda:0,0,0"], "each at most twice"),
        (&["--precision", "f64"], "auto, f32, tf32, bf16, f16"),
        (&["--preprocess", "guess"], "torchvision"),
        (&["--background", "plaid"], "#rrggbb"),
        (&["--format", "parquet"], "safetensors, npy, csv"),
        (&["--batch-size", "0"], "--batch-size"),
        (&["--weights", "no-such-file"], "no-such-file"),
        (&["--variant", "keras"], "--weights"),
        (&["--resume", "--restart"], "--restart"),
        (&["--frobnicate"], "--frobnicate"),
    ] {
        let assert = extract(images.path(), &file, flags).code(2);
        assert!(stderr(&assert).contains(words), "{flags:?}: {}", stderr(&assert));
    }
    let assert = extract(&images.path().join("1.png"), &file, &[]).code(2);
    assert!(stderr(&assert).contains("it is a file"), "{}", stderr(&assert));
    extract(&images.path().join("absent"), &file, &[]).code(2);
    headstock().arg("extract").assert().code(2);
    headstock().assert().code(2);
}

#[test]
fn the_cpu_takes_no_precision_but_float32_and_says_what_would() {
    let images = folder_of_photos(&["1.png"]);
    let out = out_folder();
    let file = out.path().join("out.safetensors");
    for precision in ["tf32", "bf16", "f16"] {
        let assert = extract(images.path(), &file, &["--device", "cpu", "--precision", precision]).code(1);
        let said = stderr(&assert);
        assert!(said.contains("the CPU computes in float32 only") && said.contains("NVIDIA"), "{said}");
        assert!(!out.path().join("out.safetensors.partial").exists(), "it is said before any work");
    }
    extract(images.path(), &file, &["--device", "cpu", "--precision", "f32"]).success();
    let named = fs::read(&file).unwrap();
    extract(images.path(), &file, &["--device", "cpu"]).success();
    assert!(fs::read(&file).unwrap() == named);
}

#[test]
fn an_output_that_cannot_be_written_is_an_error_that_names_it_before_any_work() {
    let images = folder_of_photos(&["1.png"]);
    let out = out_folder();
    let assert = extract(images.path(), &out.path().join("absent/out.safetensors"), &[]).code(1);
    assert!(stderr(&assert).contains("absent is not there"), "{}", stderr(&assert));
    let assert = extract(images.path(), out.path(), &[]).code(1);
    assert!(stderr(&assert).contains("is a folder"), "{}", stderr(&assert));
}

#[test]
fn a_file_of_other_tensors_is_no_weights_and_is_told_what_it_holds() {
    let images = folder_of_photos(&["1.png"]);
    let out = out_folder();
    let weights = under_tests("golden/tf2015.safetensors");
    let flags = ["--weights", weights.to_str().unwrap()];
    let assert = extract(images.path(), &out.path().join("out.safetensors"), &flags).code(1);
    let said = stderr(&assert);
    assert!(said.contains("it holds no Inception-v3: 16 tensors") && said.contains("one is `features`"), "{said}");
}

#[test]
fn a_weights_file_equal_to_the_embedded_one_gives_the_same_bytes() {
    let images = folder_of_photos(&["1.png"]);
    let out = out_folder();
    let weights = under_tests("../data/inception_v3_2015.safetensors");
    let (embedded, file) = (out.path().join("embedded.safetensors"), out.path().join("file.safetensors"));
    extract(images.path(), &embedded, &[]).success();
    extract(images.path(), &file, &["--weights", weights.to_str().unwrap()]).success();
    assert!(fs::read(embedded).unwrap() == fs::read(file).unwrap());
}

#[test]
fn each_preset_gives_rows_of_its_own_and_says_which_it_was() {
    let images = folder_of_photos(&["1.png"]);
    let out = out_folder();
    let rows = |preset: &str| {
        let file = out.path().join("out.safetensors");
        extract(images.path(), &file, &["--preprocess", preset]).success();
        let written = written(&file);
        assert!(written.metadata["preprocess"].contains(&format!("\"preset\":\"{preset}\"")));
        written.rows
    };
    let (tf, keras, torchvision, timm) = (rows("tf"), rows("keras"), rows("torchvision"), rows("timm"));
    assert!(tf != keras && tf != torchvision && torchvision != timm);
    assert_eq!(keras, rows("fid"), "the two are one recipe by two names");
}
