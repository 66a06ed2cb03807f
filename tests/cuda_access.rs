//! A binary that opens CUDA's libraries at run time, where they or the driver are missing: which is said, and never a panic.
//!
//!     cargo test --features cuda --test cuda_access, with the settings of scripts/build_cuda.sh
#![cfg(all(feature = "cuda", feature = "dynamic-loading"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use assert_cmd::assert::Assert;
use support::{folder_of_photos, headstock, under_tests};
use tempfile::TempDir;

/// What cudarc opens, but for the driver.
const LIBRARIES: [&str; 4] = ["libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudnn.so.9"];

/// Runs `extract` on a picture, with a folder of libraries before the system's.
fn extract(libraries: &Path, out: &Path, flags: &[&str]) -> Assert {
    let images = folder_of_photos(&["1.png"]);
    let mut command = headstock();
    command.arg("extract").arg("--images").arg(images.path()).arg("--out").arg(out).args(flags);
    // The binary of these tests may have been built without weights in it.
    command.arg("--weights").arg(under_tests("../data/inception_v3_2015.safetensors"));
    command.env("LD_LIBRARY_PATH", libraries).assert()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// An error of one line, whatever is missing.
fn refused(libraries: &Path, words: &[&str]) {
    let out = tempfile::tempdir().unwrap();
    for device in ["cuda", "cuda:0,1", "cuda:all"] {
        let assert = extract(libraries, &out.path().join("out.npy"), &["--device", device]).code(1);
        let said = stderr(&assert);
        assert!(said.starts_with("error: ") && said.trim_end().lines().count() == 1, "{said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
}

/// `--device auto` says why in one line, or nothing with `--quiet`, and gives what the CPU gives.
fn falls_back(libraries: &Path, words: &[&str]) {
    let out = tempfile::tempdir().unwrap();
    let (auto, cpu) = (out.path().join("auto.npy"), out.path().join("cpu.npy"));
    let assert = extract(libraries, &auto, &[]).success();
    let said = stderr(&assert);
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("on the CPU: ")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(words.iter().all(|word| lines[0].contains(word)) && !said.contains("panicked"), "{said}");
    assert_eq!(stderr(&extract(libraries, &auto, &["--quiet"]).success()), "");
    assert!(!stderr(&extract(libraries, &cpu, &["--device", "cpu"]).success()).contains("on the CPU: "));
    assert!(fs::read(auto).unwrap() == fs::read(cpu).unwrap());
}

/// Libraries with nothing in them.
fn empty_libraries(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-nostdlib", "-x", "c", "/dev/null", "-o"]).arg(folder.path().join(name));
        assert!(compiler.status().unwrap().success());
    }
    folder
}

fn has_driver() -> bool {
    let has = Path::new("/proc/driver/nvidia/version").exists();
    if has {
        println!("passed over: this machine has NVIDIA's driver");
    }
    has
}

#[test]
fn without_a_driver_it_is_named_with_the_folders_that_were_looked_in() {
    if has_driver() {
        return;
    }
    let nothing = empty_libraries(&[]);
    let folder = nothing.path().to_str().unwrap();
    refused(nothing.path(), &["no NVIDIA driver", "libcuda.so, .so.13", ".so.1 ", folder, "--device cpu"]);
    falls_back(nothing.path(), &["on the CPU: this machine has no NVIDIA driver"]);
}

#[test]
fn libraries_that_are_missing_are_all_named_with_the_packages_that_bring_them() {
    if has_driver() {
        return;
    }
    let driver = empty_libraries(&["libcuda.so.1"]);
    let folder = driver.path().to_str().unwrap();
    let names = "cuBLASLt, cuBLAS, cuRAND, cuDNN cannot be opened";
    let packages = "pip install nvidia-cublas nvidia-curand nvidia-cudnn-cu13";
    refused(driver.path(), &[names, packages, "libcudnn.so, ", "libcublasLt.so, ", folder]);
    falls_back(driver.path(), &[names]);
    let without_cudnn = empty_libraries(&["libcuda.so.1", LIBRARIES[0], LIBRARIES[1], LIBRARIES[2]]);
    refused(without_cudnn.path(), &["error: cuDNN cannot be opened", "pip install nvidia-cudnn-cu13"]);
}

#[test]
fn a_library_that_lacks_a_function_is_an_error_and_no_panic() {
    if has_driver() {
        return;
    }
    let mut names = vec!["libcuda.so.1"];
    names.extend(LIBRARIES);
    let hollow = empty_libraries(&names);
    refused(hollow.path(), &["cannot be used", "cuDriverGetVersion"]);
    falls_back(hollow.path(), &["cuDriverGetVersion"]);
}
