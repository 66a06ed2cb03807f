//! Folders as they are found in the wild.
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

use headstock::dataset::{self, Dataset, DatasetError};
use headstock::image::is_candidate;
use support::{folder_of_photos, headstock, under_tests, written};

fn list(root: &Path) -> Dataset {
    dataset::list(root, is_candidate).unwrap()
}

fn paths(dataset: &Dataset) -> Vec<&str> {
    dataset.candidates.iter().map(|candidate| candidate.path.as_str()).collect()
}

#[test]
fn rows_and_rejects_are_as_many_as_candidates_and_each_broken_file_is_named() {
    let images = tempfile::tempdir().unwrap();
    let images = images.path();
    for folder in [".", "broken"] {
        fs::create_dir_all(images.join(folder)).unwrap();
        for entry in fs::read_dir(under_tests("images").join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), images.join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("out.safetensors");
    headstock().args(["extract", "--images"]).arg(images).arg("--out").arg(&file).assert().success();

    let dataset = list(images);
    let rows = written(&file).paths;
    let rejected = csv_paths(&out.path().join("out.safetensors.rejected.csv"));
    assert_eq!(rows.len() + rejected.len(), dataset.candidates.len());
    assert!(rejected.iter().all(|path| path.starts_with("broken/")), "{rejected:?}");
    let mut broken: Vec<String> = fs::read_dir(images.join("broken"))
        .unwrap()
        .map(|entry| format!("broken/{}", entry.unwrap().file_name().into_string().unwrap()))
        .collect();
    broken.sort();
    assert_eq!(rejected, broken);
}

fn csv_paths(path: &Path) -> Vec<String> {
    csv::Reader::from_path(path).unwrap().records().map(|record| record.unwrap()[0].to_owned()).collect()
}

#[test]
fn hidden_files_and_files_that_are_no_images_are_passed_over_quietly() {
    let images = folder_of_photos(&["a/1.png", "a/.hidden.png", ".thumbnails/2.png", "a/picture"]);
    fs::write(images.path().join("a/notes.txt"), "no image").unwrap();
    fs::write(images.path().join("a/Thumbs.db"), [0xd0, 0xcf, 0x11, 0xe0]).unwrap();
    fs::write(images.path().join("a/empty"), "").unwrap();
    let dataset = list(images.path());
    assert_eq!(paths(&dataset), ["a/1.png", "a/picture"], "content makes an image, with any name");
    assert_eq!(dataset.rejected, []);
}

#[test]
fn a_hidden_folder_that_is_named_itself_is_read() {
    let images = folder_of_photos(&[".hidden/1.png"]);
    assert_eq!(paths(&list(&images.path().join(".hidden"))), ["1.png"]);
}

#[test]
fn a_folder_named_like_an_image_is_a_class() {
    let images = folder_of_photos(&["x.jpg/1.png", "y/z.png/2.png"]);
    let dataset = list(images.path());
    assert_eq!(paths(&dataset), ["x.jpg/1.png", "y/z.png/2.png"]);
    assert_eq!(dataset.classes, ["x.jpg", "y"]);
    assert_eq!(dataset.class_counts(), [1, 1]);
}

#[test]
fn what_is_no_folder_is_an_error() {
    let images = folder_of_photos(&["1.png"]);
    let file = dataset::list(&images.path().join("1.png"), is_candidate);
    assert!(matches!(file, Err(DatasetError::NotAFolder(_))), "{file:?}");
    let absent = dataset::list(&images.path().join("absent"), is_candidate);
    assert!(matches!(absent, Err(DatasetError::Unreadable { .. })), "{absent:?}");
}

#[cfg(unix)]
mod on_unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn links_are_followed_and_loops_of_links_end() {
        let images = folder_of_photos(&["a/1.png"]);
        let elsewhere = folder_of_photos(&["2.png"]);
        symlink(elsewhere.path(), images.path().join("b")).unwrap();
        symlink(elsewhere.path().join("2.png"), images.path().join("a/2.png")).unwrap();
        symlink(images.path(), images.path().join("a/up")).unwrap();
        symlink(".", images.path().join("a/self")).unwrap();
        symlink("there", images.path().join("here")).unwrap();
        symlink("here", images.path().join("there")).unwrap();
        let dataset = list(images.path());
        assert_eq!(paths(&dataset), ["a/1.png", "a/2.png", "b/2.png"]);
        assert_eq!(dataset.rejected, []);
    }

    #[test]
    fn a_link_to_nothing_that_is_named_like_an_image_is_rejected() {
        let images = folder_of_photos(&["1.png"]);
        symlink("nowhere", images.path().join("lost.jpg")).unwrap();
        symlink("nowhere", images.path().join("lost")).unwrap();
        let dataset = list(images.path());
        assert_eq!(paths(&dataset), ["1.png"]);
        assert_eq!(dataset.rejected.len(), 1);
        assert_eq!(dataset.rejected[0].path, "lost.jpg");
    }

    #[test]
    fn a_name_that_is_no_utf8_is_rejected_and_nothing_else_is_lost() {
        let images = folder_of_photos(&["1.png"]);
        let name = OsStr::from_bytes(b"caf\xe9.png");
        fs::copy(images.path().join("1.png"), images.path().join(name)).unwrap();
        let dataset = list(images.path());
        assert_eq!(paths(&dataset), ["1.png"]);
        assert_eq!(dataset.rejected.len(), 1);
        assert!(dataset.rejected[0].reason.contains("UTF-8"), "{:?}", dataset.rejected);
    }

    #[test]
    fn what_is_neither_file_nor_folder_is_passed_over() {
        let images = folder_of_photos(&["1.png"]);
        assert!(Command::new("mkfifo").arg(images.path().join("pipe.jpg")).status().unwrap().success());
        assert_eq!(paths(&list(images.path())), ["1.png"]);
    }

    #[test]
    fn files_and_folders_without_permission_are_rejected_and_the_others_are_kept() {
        let images = folder_of_photos(&["a/1.png", "a/secret.png", "locked/2.png"]);
        let out = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&images.path().join("a/secret.png"), 0o000);
        mode(&images.path().join("locked"), 0o000);
        let file = out.path().join("out.safetensors");

        // Root may read everything, so the program is run as nobody, from a place that nobody may enter.
        let mut command = if fs::metadata(images.path()).unwrap().uid() == 0 {
            let program = out.path().join("headstock");
            fs::copy(env!("CARGO_BIN_EXE_headstock"), &program).unwrap();
            mode(&program, 0o755);
            mode(out.path(), 0o777);
            mode(images.path(), 0o755);
            let mut command = Command::new(program);
            command.uid(65534).gid(65534);
            command
        } else {
            Command::new(env!("CARGO_BIN_EXE_headstock"))
        };
        command.args(["extract", "--strict", "--images"]).arg(images.path()).arg("--out").arg(&file);
        let output = command.output().unwrap();
        mode(&images.path().join("locked"), 0o755);

        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(written(&file).paths, ["a/1.png"]);
        let rejected = fs::read_to_string(out.path().join("out.safetensors.rejected.csv")).unwrap();
        let lines: Vec<&str> = rejected.lines().skip(1).collect();
        assert_eq!(lines.len(), 2, "{rejected}");
        assert!(lines[0].starts_with("a/secret.png,") && lines[0].contains("ermission denied"), "{rejected}");
        assert!(lines[1].starts_with("locked,") && lines[1].contains("ermission denied"), "{rejected}");
    }
}
