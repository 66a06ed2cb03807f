//! A training that was killed goes on as if nothing had happened.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that panics has failed, as it should"
)]
#![cfg(unix)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use headstock::image::Preset;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::folder_of_photos;
use support::heads::{linear_head, provenance};
use tempfile::TempDir;

const IMAGES: usize = 12;

/// Images in two classes, and a head that has seen none of them.
struct Desk {
    images: TempDir,
    out: TempDir,
}

impl Desk {
    fn new() -> Self {
        let names: Vec<String> = (0..IMAGES).map(|i| format!("{}/{i:02}.png", ["a", "b"][i % 2])).collect();
        let images = folder_of_photos(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let desk = Self { images, out: tempfile::tempdir().unwrap() };
        linear_head(&["a", "b"], 2048, provenance(Preset::Tf)).write(&desk.path("head.safetensors")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.out.path().join(name)
    }

    /// Three epochs of four steps of the last block, a checkpoint after each.
    fn command(&self, out: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headstock"));
        command.arg("finetune").arg("--images").arg(self.images.path());
        command.arg("--head").arg(self.path("head.safetensors")).arg("--out").arg(self.path(out));
        command.args(["--freeze", "mixed9", "--epochs", "3", "--batch-size", "2", "--checkpoint-steps", "1"]);
        command.args(["--augment", "flip,color", "--augment-views", "2", "--optimizer", "adamw", "--threads", "2"]);
        command.args(["--batch-norm", "train", "--learning-rate", "1e-3"]).args(flags);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn done(&self, out: &str, flags: &[&str]) -> String {
        let output = self.command(out, flags).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    }
}

fn partial(out: &Path) -> PathBuf {
    PathBuf::from(format!("{}.partial", out.display()))
}

#[test]
fn a_training_killed_at_random_moments_and_resumed_gives_the_bytes_of_one_that_was_not() {
    let desk = Desk::new();
    let began = Instant::now();
    desk.done("whole.safetensors", &[]);
    let whole = began.elapsed();

    // A kill may also come between the model and the end of what it was made of.
    let is_done = |desk: &Desk| {
        let out = desk.path("killed.safetensors");
        out.exists() && !partial(&out).exists()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(std::process::id().into());
    let mut killed = 0;
    for _ in 0..6 {
        let mut child = desk.command("killed.safetensors", &["--resume"]).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(0.1 + 0.4 * rng.random::<f64>()));
        // Where it was done before, nothing is left to kill.
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        if is_done(&desk) {
            break;
        }
    }
    assert!(killed > 0);
    if !is_done(&desk) {
        desk.done("killed.safetensors", &["--resume"]);
    }
    for suffix in ["", ".curves.csv", ".curves.svg"] {
        let read = |name: &str| fs::read(desk.path(&format!("{name}{suffix}"))).unwrap();
        assert!(read("whole.safetensors") == read("killed.safetensors"), "other bytes in the model{suffix}");
    }
    assert!(!partial(&desk.path("killed.safetensors")).exists());
}

#[test]
fn a_training_that_is_stopped_says_how_to_go_on_and_is_not_gone_on_with_as_another() {
    let desk = Desk::new();
    let out = desk.path("model.safetensors");
    let mut child = desk.command("model.safetensors", &[]).spawn().unwrap();
    let checkpoint = partial(&out).join("checkpoint.safetensors");
    let deadline = Instant::now() + Duration::from_secs(300);
    while !checkpoint.exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be stopped");
        assert!(Instant::now() < deadline, "the run does not get on");
        std::thread::sleep(Duration::from_millis(20));
    }
    let meanwhile = desk.command("model.safetensors", &["--resume"]).output().unwrap();
    assert!(String::from_utf8(meanwhile.stderr).unwrap().contains("another run is writing"));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("--resume goes on"), "{said}");
    assert!(!out.exists());

    let refused = |flags: &[&str], words: &str| {
        let output = desk.command("model.safetensors", flags).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{flags:?}: {said}");
    };
    refused(&[], "go on with it by --resume, or throw it away by --restart");
    refused(&["--resume", "--seed", "7"], "`seed` has changed");
    refused(&["--resume", "--label-smoothing", "0.1"], "`label-smoothing` has changed");
    linear_head(&["b", "a"], 2048, provenance(Preset::Tf)).write(&desk.path("head.safetensors")).unwrap();
    refused(&["--resume"], "`head` has changed");

    let said = desk.done("model.safetensors", &["--restart"]);
    assert!(!said.contains("going on with"), "{said}");
    assert!(out.exists() && !partial(&out).exists());
}
