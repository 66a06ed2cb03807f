//! A run that was killed goes on as if nothing had happened.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]
#![cfg(unix)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headstock::pipeline::{Batch, Journal, JournalError, Start};
use serde_json::json;
use support::folder_of_photos;
use tempfile::TempDir;

const IMAGES: usize = 12;

/// Twelve images in two classes and one broken file.
fn images() -> TempDir {
    let names: Vec<String> = (0..IMAGES).map(|i| format!("{}/{i:02}.png", if i < 5 { "a" } else { "b" })).collect();
    let folder = folder_of_photos(&names.iter().map(String::as_str).collect::<Vec<_>>());
    fs::write(folder.path().join("a/03b.jpg"), "text").unwrap();
    folder
}

struct Run<'a> {
    images: &'a Path,
    out: PathBuf,
    flags: &'a [&'a str],
}

impl Run<'_> {
    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headstock"));
        command.arg("extract").arg("--images").arg(self.images).arg("--out").arg(&self.out);
        command.args(["--batch-size", "1", "--threads", "2"]).args(self.flags).args(more);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts the run and waits until its journal has this many lines, the first one not counted.
    fn start_until(&self, lines: usize, more: &[&str]) -> Child {
        let mut child = self.command(more).spawn().unwrap();
        let journal = self.partial().join("journal.jsonl");
        let deadline = Instant::now() + Duration::from_secs(120);
        while fs::read_to_string(&journal).map_or(0, |text| text.lines().count()) <= lines {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed");
            assert!(Instant::now() < deadline, "the run does not get on");
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }

    fn partial(&self) -> PathBuf {
        PathBuf::from(format!("{}.partial", self.out.display()))
    }

    /// Candidates done, by the last whole line of the journal.
    fn done_so_far(&self) -> usize {
        let journal = fs::read_to_string(self.partial().join("journal.jsonl")).unwrap();
        let whole = journal.rsplit_once('\n').unwrap().0;
        let step: serde_json::Value = serde_json::from_str(whole.lines().last().unwrap()).unwrap();
        step["candidates"].as_u64().unwrap_or(0) as usize
    }
}

fn outputs(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn killed_and_resumed_equals_uninterrupted(flags: &[&str]) {
    let images = images();
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let uninterrupted = Run { images: images.path(), out: whole.path().join("out.safetensors"), flags };
    assert!(uninterrupted.command(&[]).output().unwrap().status.success());

    let run = Run { out: killed.path().join("out.safetensors"), ..uninterrupted };
    let mut before = 0;
    for lines in [0, 1, 5, 10] {
        let mut child = run.start_until(lines, &["--resume"]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(run.done_so_far() >= before, "a run that goes on does not begin again");
        before = run.done_so_far();
        assert!(!run.out.exists());
    }
    let last = run.command(&["--resume"]).output().unwrap();
    assert!(last.status.success());
    let said = String::from_utf8(last.stderr).unwrap();
    assert!(said.contains(&format!("{before} images done before")), "{said}");
    assert!(outputs(whole.path()) == outputs(killed.path()), "other bytes than those of an uninterrupted run");
}

#[test]
fn a_run_killed_at_several_points_and_resumed_gives_the_bytes_of_an_uninterrupted_one() {
    killed_and_resumed_equals_uninterrupted(&[]);
}

#[test]
fn so_does_a_run_that_writes_shards() {
    killed_and_resumed_equals_uninterrupted(&["--shard-rows", "5"]);
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_ends_with_130() {
    let images = images();
    let out = tempfile::tempdir().unwrap();
    let run = Run { images: images.path(), out: out.path().join("out.safetensors"), flags: &[] };
    let child = run.start_until(2, &[]);
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--resume goes on"), "{said}");
    assert!(!run.out.exists());
    assert!(run.command(&["--resume"]).status().unwrap().success());
    assert!(run.out.exists() && !run.partial().exists());
}

#[test]
fn an_unfinished_run_is_neither_lost_nor_continued_unasked_nor_as_something_else() {
    let images = images();
    let out = tempfile::tempdir().unwrap();
    let run = Run { images: images.path(), out: out.path().join("out.safetensors"), flags: &[] };
    let mut child = run.start_until(1, &[]);

    let meanwhile = run.command(&["--resume"]).output().unwrap();
    assert_eq!(meanwhile.status.code(), Some(1));
    assert!(String::from_utf8(meanwhile.stderr).unwrap().contains("another run is writing"));
    child.kill().unwrap();
    child.wait().unwrap();

    let refused = |flags: &[&str], words: &str| {
        let output = run.command(flags).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{flags:?}: {said}");
    };
    refused(&[], "go on with it by --resume, or throw it away by --restart");
    refused(&["--resume", "--preprocess", "timm"], "`preprocess` has changed");
    refused(&["--resume", "--shard-rows", "3"], "`shard-rows` has changed");
    refused(&["--resume", "--limit", "2"], "`images` has changed");

    let restarted = run.command(&["--restart"]).output().unwrap();
    assert!(restarted.status.success());
    assert!(!String::from_utf8(restarted.stderr).unwrap().contains("done before"));
}

/// Rows of two numbers.
fn batch(rows: &[[f32; 2]], rejected: &[(usize, &str)]) -> Batch {
    Batch {
        candidates: rows.len() + rejected.len(),
        rows: rows.concat(),
        rejected: rejected.iter().map(|(candidate, reason)| (*candidate, (*reason).to_owned())).collect(),
    }
}

fn open(folder: &Path, start: Start) -> Result<Journal, JournalError> {
    Journal::open(folder, &json!({ "images": "x" }), 2, Some(2), start)
}

#[test]
fn a_journal_torn_at_any_byte_goes_on_from_the_last_whole_step() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let mut journal = open(&whole, Start::Fresh).unwrap();
    journal.append(batch(&[[1.0, 2.0]], &[(1, "broken")])).unwrap();
    journal.append(batch(&[[3.0, 4.0], [5.0, 6.0]], &[])).unwrap();
    drop(journal);
    let log = fs::read(whole.join("journal.jsonl")).unwrap();
    let ends: Vec<usize> = log.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end + 1).collect();
    let shards = [0, 1].map(|shard| fs::read(whole.join(format!("rows-0000{shard}.f32"))).unwrap());
    assert_eq!(shards.each_ref().map(Vec::len), [16, 8]);

    for cut in 0..=log.len() {
        let torn = folder.path().join(format!("torn-{cut}"));
        fs::create_dir(&torn).unwrap();
        fs::write(torn.join("journal.jsonl"), &log[..cut]).unwrap();
        for (shard, rows) in shards.iter().enumerate() {
            fs::write(torn.join(format!("rows-0000{shard}.f32")), rows).unwrap();
        }
        let mut journal = open(&torn, Start::Resume).unwrap();
        let steps = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
        assert_eq!(journal.candidates(), [0, 2, 4][steps], "cut at {cut}");
        assert_eq!(journal.rejected().len(), usize::from(steps > 0));
        // What is added now stands where it would have stood.
        if steps == 0 {
            journal.append(batch(&[[1.0, 2.0]], &[(1, "broken")])).unwrap();
        }
        if steps < 2 {
            journal.append(batch(&[[3.0, 4.0], [5.0, 6.0]], &[])).unwrap();
        }
        assert_eq!((journal.rows(), journal.shards()), (3, 2));
        drop(journal);
        assert_eq!(fs::read(torn.join("journal.jsonl")).unwrap(), log, "cut at {cut}");
        for (shard, rows) in shards.iter().enumerate() {
            assert_eq!(&fs::read(torn.join(format!("rows-0000{shard}.f32"))).unwrap(), rows, "cut at {cut}");
        }
    }
}

#[test]
fn a_step_whose_rows_were_lost_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path(), Start::Fresh).unwrap();
    journal.append(batch(&[[1.0, 2.0]], &[])).unwrap();
    journal.append(batch(&[[3.0, 4.0], [5.0, 6.0]], &[])).unwrap();
    drop(journal);
    // As after a loss of power: the journal reached the disk, the last rows did not.
    let shard = fs::OpenOptions::new().write(true).open(folder.path().join("rows-00001.f32")).unwrap();
    shard.set_len(5).unwrap();
    let journal = open(folder.path(), Start::Resume).unwrap();
    assert_eq!((journal.candidates(), journal.rows()), (1, 1));
    assert_eq!(fs::metadata(folder.path().join("rows-00000.f32")).unwrap().len(), 8);
    assert!(!folder.path().join("rows-00001.f32").exists());
}

#[test]
fn a_run_killed_while_its_last_files_were_written_is_complete_when_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path(), Start::Fresh).unwrap();
    journal.append(batch(&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &[])).unwrap();
    journal.mark_written(0).unwrap();
    drop(journal);
    let mut journal = open(folder.path(), Start::Resume).unwrap();
    assert_eq!((journal.candidates(), journal.rows()), (3, 3));
    assert!(journal.is_written(0) && !journal.is_written(1));
    journal.mark_written(1).unwrap();
    drop(journal);
    assert_eq!(open(folder.path(), Start::Resume).unwrap().rows(), 3);
    assert!(matches!(open(folder.path(), Start::Fresh), Err(JournalError::Unfinished { candidates: 3, .. })));
    let journal = open(folder.path(), Start::Restart).unwrap();
    assert!(journal.candidates() == 0 && !journal.is_written(0));
    journal.remove().unwrap();
    assert!(!folder.path().exists());
}
