//! `headstock --device cuda` as a user meets it, on a card or on the stand-in for one (`scripts/check_cuda_without_card.sh`).
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics has failed, as it should")]
#![expect(unsafe_code, reason = "asks the driver and cuDNN for their versions")]

mod support;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use assert_cmd::assert::Assert;
use candle_core::Device;
use candle_core::cuda_backend::cudarc::cudnn::sys::cudnnGetVersion;
use candle_core::cuda_backend::cudarc::driver::sys::cuDriverGetVersion;
use support::card::{card, cards};
use support::{folder_of_photos, headstock, under_tests, written};
use tempfile::TempDir;

static PHOTOS: LazyLock<TempDir> = LazyLock::new(|| folder_of_photos(&["a/1.png", "a/2.png"]));

/// The binary of these tests may have been built without weights in it.
fn weights() -> PathBuf {
    under_tests("../data/inception_v3_2015.safetensors")
}

/// Embeds the photos, with what is chosen for the card kept in `cache`.
fn extract(out: &Path, cache: &Path, flags: &[&str]) -> Assert {
    let mut command = headstock();
    command.env("XDG_CACHE_HOME", cache).arg("extract");
    command.arg("--images").arg(PHOTOS.path()).arg("--out").arg(out).arg("--weights").arg(weights());
    command.args(flags).assert()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// The file in which a run on this card keeps what it chose: that of no other card, cuDNN or driver.
fn kept(cache: &Path, card: &Device) -> PathBuf {
    let folder = cache.join("headstock");
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let name = card.as_cuda_device().unwrap().cuda_stream().context().name().unwrap();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut driver = 0;
    // SAFETY: both may be asked at any time, and the place for the number is there.
    let cudnn = unsafe {
        cuDriverGetVersion(&raw mut driver).result().unwrap();
        cudnnGetVersion()
    };
    assert_eq!(files[0].file_name().unwrap().to_str().unwrap(), format!("cuda-plans-{name}-{cudnn}-{driver}.json"));
    files[0].clone()
}

#[test]
fn what_was_chosen_for_a_card_is_kept_and_kept_to_and_nothing_hangs_on_the_file() {
    let Some(card) = card() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let run = |name: &str, cache: &Path| {
        let out = folder.path().join(name);
        let words = stderr(&extract(&out, cache, &["--device", "cuda"]).success());
        (written(&out).rows, words.contains("the first run in f16 on this kind of card"))
    };
    let rows = |name: &str, cache: &Path| run(name, cache).0;
    let (first, is_told) = run("first", &cache);
    assert_eq!((first.len(), is_told), (2, true));
    let kept = kept(&cache, &card);
    let chosen = fs::read_to_string(&kept).unwrap();
    assert!(chosen.contains("\"eng"), "{chosen}");

    assert_eq!(run("again", &cache), (first, false));
    assert_eq!(fs::read_to_string(&kept).unwrap(), chosen, "nothing is chosen twice");

    // An engine that there is not, and half a file: chosen again.
    let unknown = chosen.replace("\": \"eng", "\": \"eng9");
    fs::write(&kept, unknown).unwrap();
    assert_eq!(rows("unknown", &cache).len(), 2);
    fs::write(&kept, &chosen[..chosen.len() / 2]).unwrap();
    assert_eq!(rows("damaged", &cache).len(), 2);
    assert!(serde_json::from_str::<serde_json::Value>(&fs::read_to_string(&kept).unwrap()).is_ok());

    // No folder can be made below a file.
    let nowhere = folder.path().join("first");
    assert_eq!(rows("unwritable", &nowhere).len(), 2);
}

#[test]
fn a_card_that_is_not_there_is_named_with_those_that_are() {
    if card().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let words = stderr(&extract(&folder.path().join("out"), folder.path(), &["--device", "cuda:77"]).failure());
    assert!(words.contains("cuda:77 is not there: this machine has"), "{words}");
}

#[test]
fn a_library_that_is_missing_is_named_and_auto_goes_on_without_it() {
    if card().is_none() {
        return;
    }
    let Some(libraries) = env::var_os("HEADSTOCK_STANDIN_LIBRARIES").map(PathBuf::from) else {
        println!("skipped: only the stand-in's libraries can be taken away");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for missing in ["libcuda.so.1", "libcudnn.so.9", "libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10"] {
        let left = folder.path().join(missing);
        fs::create_dir(&left).unwrap();
        for library in fs::read_dir(&libraries).unwrap().map(|entry| entry.unwrap().path()) {
            let name = library.file_name().unwrap();
            if name != missing {
                fs::copy(&library, left.join(name)).unwrap();
            }
        }
        let run = |flags: &[&str]| {
            let mut command = headstock();
            command.env("LD_LIBRARY_PATH", &left).args(["extract", "--weights"]);
            command.arg(weights()).arg("--images").arg(PHOTOS.path()).arg("--out").arg(left.join("out")).args(flags);
            command.assert()
        };
        let words = stderr(&run(&["--device", "cuda"]).failure());
        let short = missing.split(".so").next().unwrap();
        assert!(words.contains(&format!("{short}.so")) && words.contains("LD_LIBRARY_PATH"), "{missing}: {words}");
        assert!(!words.contains("panicked"), "{missing}: {words}");
        let words = stderr(&run(&["--device", "auto"]).success());
        let why = if short == "libcuda" { "no NVIDIA driver" } else { short };
        assert!(words.contains("on the CPU") && words.contains(why), "{missing}: {words}");
    }
}

#[test]
fn a_layer_that_nothing_computes_is_named_and_the_next_run_asks_again() {
    if card().is_none() {
        return;
    }
    if env::var_os("HEADSTOCK_STANDIN_LIBRARIES").is_none() {
        println!("skipped: only the stand-in can refuse everything");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |refuses: &str| {
        let mut command = headstock();
        command.env("HEADSTOCK_STANDIN_CUDNN", refuses).env("XDG_CACHE_HOME", folder.path().join("cache"));
        command.arg("extract").arg("--images").arg(PHOTOS.path()).arg("--out").arg(folder.path().join("out"));
        command.arg("--weights").arg(weights()).args(["--device", "cuda", "--batch-size", "1"]).assert()
    };
    let words = stderr(&run("nothing").code(1));
    assert!(words.contains("error: none of cuDNN's engines computes Conv2d_1a_3x3"), "{words}");
    run("").success();
}

#[test]
fn a_card_with_no_room_for_one_image_says_so() {
    if card().is_none() {
        return;
    }
    if env::var_os("HEADSTOCK_STANDIN_LIBRARIES").is_none() {
        println!("skipped: only the stand-in's memory can be taken away");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Not the weights, and the weights but no image beside them.
    for bytes in ["20000000", "46000000"] {
        let mut command = headstock();
        command.env("HEADSTOCK_STANDIN_MEMORY", bytes).env("RUST_BACKTRACE", "0");
        command.arg("extract").arg("--images").arg(PHOTOS.path()).arg("--out").arg(folder.path().join("out"));
        let words = stderr(&command.arg("--weights").arg(weights()).args(["--device", "cuda"]).assert().code(1));
        let error = words.lines().last().unwrap();
        assert!(error.starts_with("error: the card's memory is too small for the network and one image"), "{words}");
    }
}

#[test]
fn every_precision_and_two_cards_give_the_rows_of_the_cpu() {
    if card().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rows = |name: &str, flags: &[&str]| {
        let out = folder.path().join(name);
        extract(&out, &folder.path().join("cache"), flags).success();
        written(&out).rows.concat()
    };
    let expected = rows("cpu", &["--device", "cpu"]);
    let norm =
        |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|number| f64::from(number).powi(2)).sum::<f64>().sqrt();
    let length = norm(&mut expected.iter().copied());
    // As in tests/cuda.rs: what the number types alone leave of photos, and a little more.
    for (precision, bound) in [("f32", 2e-5), ("tf32", 3e-3), ("bf16", 3e-2), ("f16", 1e-2), ("auto", 1e-2)] {
        let rows = rows(precision, &["--device", "cuda", "--precision", precision]);
        let error = norm(&mut rows.iter().zip(&expected).map(|(a, b)| a - b)) / length;
        println!("{precision}: {error:.1e}");
        assert!(error <= bound, "{precision}: {error:e}");
    }
    if cards("0,1").is_some() {
        let one = rows("one", &["--device", "cuda:0", "--batch-size", "1"]);
        assert_eq!(rows("two", &["--device", "cuda:0,1", "--batch-size", "1"]), one);
    }
}
