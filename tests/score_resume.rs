//! A run of `score` that was killed goes on as if nothing had happened.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that panics has failed, as it should"
)]
#![cfg(unix)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headstock::image::Preset;
use support::folder_of_photos;
use support::heads::{linear_head, provenance};
use tempfile::TempDir;

struct Run {
    images: TempDir,
    folder: TempDir,
}

impl Run {
    /// Six images, a broken one, and a head.
    fn new() -> Self {
        let images = folder_of_photos(&["a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png", "b/3.png"]);
        fs::write(images.path().join("a/2b.jpg"), "text").unwrap();
        let run = Self { images, folder: tempfile::tempdir().unwrap() };
        linear_head(&["a", "b"], 2048, provenance(Preset::Tf)).write(&run.folder.path().join("head")).unwrap();
        run
    }

    /// The results go to a folder of their own.
    fn command(&self, out: &str, more: &[&str]) -> Command {
        let out = self.out(out);
        fs::create_dir_all(&out).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_headstock"));
        command.current_dir(out).args(["score", "--head", "../head", "--batch-size", "1", "--threads", "2"]);
        command.arg("--images").arg(self.images.path()).args(more).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn out(&self, out: &str) -> PathBuf {
        self.folder.path().join(out)
    }

    /// Starts the run and waits until its journal has this many lines, the first one not counted.
    fn start_until(&self, out: &str, lines: usize, more: &[&str]) -> Child {
        let mut child = self.command(out, more).spawn().unwrap();
        let journal = self.out(out).join("scores.csv.partial/journal.jsonl");
        let deadline = Instant::now() + Duration::from_secs(120);
        while fs::read_to_string(&journal).map_or(0, |text| text.lines().count()) <= lines {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed");
            assert!(Instant::now() < deadline, "the run does not come to {lines} steps");
            std::thread::sleep(Duration::from_millis(2));
        }
        child
    }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|file| file.file_type().is_file());
    files.map(|file| (file.path().strip_prefix(folder).unwrap().to_owned(), fs::read(file.path()).unwrap())).collect()
}

#[test]
fn a_run_killed_and_resumed_gives_the_bytes_of_an_uninterrupted_one_and_draws_no_map_twice() {
    let run = Run::new();
    let flags = ["--explain", "maps", "--sort-into", "sorted", "--evaluate", "--metrics", "m.json"];
    assert!(run.command("whole", &flags).output().unwrap().status.success());

    let resume = [&flags[..], &["--resume"]].concat();
    for lines in [1, 3] {
        let mut child = run.start_until("killed", lines, &resume);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!run.out("killed").join("scores.csv").exists());
    }
    let drawn = run.out("killed").join("maps/a/1.png.map.jpg");
    let before = fs::metadata(&drawn).unwrap().modified().unwrap();
    let last = run.command("killed", &resume).output().unwrap();
    let said = String::from_utf8(last.stderr).unwrap();
    assert!(last.status.success() && said.contains("done before"), "{said}");
    assert_eq!(fs::metadata(&drawn).unwrap().modified().unwrap(), before);
    let (whole, killed) = (files(&run.out("whole")), files(&run.out("killed")));
    assert_eq!(whole.keys().collect::<Vec<_>>(), killed.keys().collect::<Vec<_>>());
    assert!(whole == killed, "other bytes than those of an uninterrupted run");
}

#[test]
fn an_interrupted_run_ends_with_130_and_is_resumed_only_as_what_it_was() {
    let run = Run::new();
    let child = run.start_until("out", 1, &[]);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--resume goes on"));

    let refused = |flags: &[&str], words: &str| {
        let output = run.command("out", flags).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{flags:?}: {said}");
    };
    refused(&[], "go on with it by --resume, or throw it away by --restart");
    refused(&["--resume", "--limit", "2"], "`images` has changed");
    refused(&["--resume", "--threshold", "0.5"], "`threshold` has changed");
    refused(&["--resume", "--explain", "maps"], "`explain` has changed");
    let mut head = linear_head(&["a", "b"], 2048, provenance(Preset::Tf));
    head.temperature = 2.0;
    head.write(&run.folder.path().join("head")).unwrap();
    refused(&["--resume"], "`head` has changed");

    let restarted = run.command("out", &["--restart", "--strict"]).output().unwrap();
    assert_eq!(restarted.status.code(), Some(1), "one image is broken");
    assert_eq!(files(&run.out("out")).len(), 2, "the scores and the list of rejects");
}
