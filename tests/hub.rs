//! Weights from the Hub: the program against a stand-in hub on the loopback, which answers as the real one does, or breaks off, or
//! sends other bytes than it promised.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use assert_cmd::Command;
use headstock::hub::Location;
use headstock::weights::hex;
use sha2::{Digest, Sha256};
use support::under_tests;
use tempfile::TempDir;
use zip::ZipArchive;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What is sent for a file.
#[derive(Clone)]
enum Sent {
    /// All of it.
    Whole,
    /// So many bytes of the first answer, and then the line is cut.
    CutOnce(usize),
    /// Another byte than was promised, in the middle.
    Damaged,
    /// Only to who has this token.
    To(&'static str),
}

/// A hub of a few files, and who asked it for what.
struct StandIn {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    /// Serves files by `OWNER/REPO/FILE`.
    fn serve(files: HashMap<&'static str, (Vec<u8>, Sent)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, files) = (Arc::clone(&asked), Arc::new(Mutex::new(files)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, files) = (Arc::clone(&log), Arc::clone(&files));
                std::thread::spawn(move || while answer(stream.as_ref().unwrap(), &log, &files) {});
            }
        });
        Self { endpoint, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request; whether the line is still open.
fn answer(stream: &TcpStream, log: &Mutex<Vec<String>>, files: &Mutex<HashMap<&'static str, (Vec<u8>, Sent)>>) -> bool {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return false };
    let headers: HashMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let range = headers.get("range").cloned().unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    log.lock().unwrap().push(format!("{path} {range}"));
    let mut out = stream;
    let mut files = files.lock().unwrap();
    let file = path.replace("/resolve/main/", "/").replace("/resolve/v1/", "/");
    let refused = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    let Some((bytes, sent)) = files.get_mut(&*file) else {
        return out.write_all(refused("404 Not Found").as_bytes()).is_ok();
    };
    if let Sent::To(token) = sent
        && headers.get("authorization") != Some(&format!("Bearer {token}"))
    {
        return out.write_all(refused("401 Unauthorized").as_bytes()).is_ok();
    }
    let (from, to) = range.trim_start_matches("bytes=").split_once('-').unwrap();
    let from: usize = from.parse().unwrap();
    let to: usize = to.parse().map_or(bytes.len(), |last: usize| last + 1);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\nETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\n\r\n",
        to - from,
        to - 1,
        bytes.len(),
        hex(&Sha256::digest(&bytes)),
    );
    let mut body = bytes[from..to].to_vec();
    let is_asking_only = body.len() == 1;
    let mut is_open = true;
    match sent {
        Sent::CutOnce(len) if !is_asking_only => {
            body.truncate(*len);
            *sent = Sent::Whole;
            is_open = false;
        }
        Sent::Damaged if !is_asking_only => {
            let middle = body.len() / 2;
            body[middle] ^= 1;
        }
        _ => {}
    }
    drop(files);
    let is_sent = out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body)).is_ok();
    if !is_open {
        // The other side is told that no more comes.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
    is_sent && is_open
}

/// The weights that the binary embeds.
fn weights() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/inception_v3_2015.safetensors")).unwrap()
}

/// The program, with a home for its cache and nothing else of the environment's own.
fn headstock(home: &TempDir, endpoint: &str) -> Command {
    let mut command = Command::cargo_bin("headstock").unwrap();
    let proxies = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
    for variable in proxies.into_iter().chain(["HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"]) {
        command.env_remove(variable);
    }
    command.env("HF_HOME", home.path()).env("HF_ENDPOINT", endpoint);
    command
}

/// `weights inspect`: whether it went well, and what it said on both channels.
fn inspect(command: &mut Command, source: &str) -> (bool, String, String) {
    let output = command.args(["weights", "inspect", source]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// Files in the cache's blobs.
fn blobs(home: &TempDir, repository: &str) -> Vec<PathBuf> {
    let folder = home.path().join(format!("hub/models--{}/blobs", repository.replace('/', "--")));
    fs::read_dir(folder).map_or(Vec::new(), |entries| entries.map(|entry| entry.unwrap().path()).collect())
}

/// A closed door: nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn a_file_of_the_hub_is_fetched_into_the_shared_cache_and_needs_no_network_again() {
    let home = tempfile::tempdir().unwrap();
    let hub = StandIn::serve(HashMap::from([("someone/fid/weights.safetensors", (weights(), Sent::Whole))]));
    let source = "hf:someone/fid:weights.safetensors";
    let (is_read, said, complaint) = inspect(&mut headstock(&home, &hub.endpoint), source);
    assert!(is_read && said.contains("tf2015"), "{said}{complaint}");
    let sum = hex(&Sha256::digest(weights()));
    let repository = home.path().join("hub/models--someone--fid");
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    assert!(repository.join("snapshots").join(COMMIT).join("weights.safetensors").exists());
    assert!(repository.join("blobs").join(&sum).exists());
    assert!(said.contains(&sum));

    let asked = hub.asked().len();
    for offline in ["0", "1"] {
        let (is_read, again, complaint) = inspect(headstock(&home, NOWHERE).env("HF_HUB_OFFLINE", offline), source);
        assert!(is_read, "{complaint}");
        assert_eq!(said, again);
    }
    assert_eq!(hub.asked().len(), asked);
}

#[test]
fn a_repository_without_a_file_gives_the_one_that_weights_are_usually_in() {
    let home = tempfile::tempdir().unwrap();
    let hub = StandIn::serve(HashMap::from([("someone/fid/model.safetensors", (weights(), Sent::Whole))]));
    let (is_read, said, complaint) = inspect(&mut headstock(&home, &hub.endpoint), "hf:someone/fid@v1");
    assert!(is_read && said.contains("tf2015"), "{complaint}");
    assert!(hub.asked().iter().all(|asked| asked.starts_with("someone/fid/resolve/v1/model.safetensors")));

    let (is_read, _, complaint) = inspect(&mut headstock(&home, &hub.endpoint), "hf:someone/empty");
    assert!(!is_read && complaint.contains("someone/empty has none of model.safetensors"), "{complaint}");
}

#[test]
fn a_transfer_that_was_cut_off_goes_on_where_it_stopped() {
    let home = tempfile::tempdir().unwrap();
    let cut = 1_000_000;
    let hub = StandIn::serve(HashMap::from([("someone/fid/w.safetensors", (weights(), Sent::CutOnce(cut)))]));
    let (is_read, said, complaint) = inspect(&mut headstock(&home, &hub.endpoint), "hf:someone/fid:w.safetensors");
    assert!(is_read && said.contains(&hex(&Sha256::digest(weights()))), "{complaint}");
    let asked = hub.asked();
    assert!(asked.last().unwrap().ends_with(&format!("bytes={cut}-")), "{asked:?}");
}

#[test]
fn damaged_bytes_are_named_and_do_not_stay() {
    let home = tempfile::tempdir().unwrap();
    let hub = StandIn::serve(HashMap::from([("someone/fid/w.safetensors", (weights(), Sent::Damaged))]));
    for _ in 0..2 {
        let (is_read, _, complaint) = inspect(&mut headstock(&home, &hub.endpoint), "hf:someone/fid:w.safetensors");
        let sum = hex(&Sha256::digest(weights()));
        assert!(!is_read && complaint.contains("is damaged") && complaint.contains(&sum), "{complaint}");
        let left = blobs(&home, "someone/fid");
        assert!(left.iter().all(|path| path.extension().is_some_and(|extension| extension == "lock")), "{left:?}");
    }
}

#[test]
fn without_a_network_the_error_names_the_file_to_fetch_by_hand() {
    let home = tempfile::tempdir().unwrap();
    let url = format!("{NOWHERE}/timm/inception_v3.tf_in1k/resolve/main/model.safetensors");
    let (is_read, _, complaint) = inspect(&mut headstock(&home, NOWHERE), "timm/tf_in1k");
    assert!(!is_read && complaint.contains(&url) && complaint.contains("and give the file"), "{complaint}");
    let (is_read, _, complaint) = inspect(headstock(&home, NOWHERE).env("HF_HUB_OFFLINE", "1"), "timm/tf_in1k");
    assert!(!is_read && complaint.contains(&url) && complaint.contains("HF_HUB_OFFLINE"), "{complaint}");
}

#[test]
fn a_private_file_is_for_who_has_the_token() {
    let home = tempfile::tempdir().unwrap();
    let hub = StandIn::serve(HashMap::from([("someone/own/w.safetensors", (weights(), Sent::To("secret")))]));
    let source = "hf:someone/own:w.safetensors";
    let (is_read, _, complaint) = inspect(&mut headstock(&home, &hub.endpoint), source);
    assert!(!is_read && complaint.contains("HF_TOKEN"), "{complaint}");
    let (is_read, _, complaint) = inspect(headstock(&home, &hub.endpoint).env("HF_TOKEN", "secret"), source);
    assert!(is_read, "{complaint}");
}

#[test]
fn a_name_brings_its_preprocessing() {
    let home = tempfile::tempdir().unwrap();
    let file = "timm/inception_v3.gluon_in1k/model.safetensors";
    let hub = StandIn::serve(HashMap::from([(file, (timms(), Sent::Whole))]));
    let (is_read, said, complaint) = inspect(&mut headstock(&home, &hub.endpoint), "timm/gluon_in1k");
    assert!(is_read, "{complaint}");
    assert!(said.contains("torchvision") && said.contains("timm-imagenet, by the name"), "{said}");

    let converted = home.path().join("ours.safetensors");
    let out = converted.to_str().unwrap();
    headstock(&home, NOWHERE).args(["weights", "convert", "timm/gluon_in1k", out]).assert().success();
    let (_, said, _) = inspect(&mut headstock(&home, NOWHERE), out);
    assert!(said.contains("timm-imagenet, the file says"), "{said}");
}

/// A checkpoint that timm wrote.
fn timms() -> Vec<u8> {
    let mut all = ZipArchive::new(fs::File::open(under_tests("golden/checkpoints.zip")).unwrap()).unwrap();
    let mut packed = Vec::new();
    all.by_name("timm.safetensors.zip").unwrap().read_to_end(&mut packed).unwrap();
    let mut archive = ZipArchive::new(std::io::Cursor::new(packed)).unwrap();
    let mut bytes = Vec::new();
    archive.by_index(0).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn what_is_no_name_no_place_and_no_file_is_told_what_there_is() {
    let home = tempfile::tempdir().unwrap();
    let (_, _, complaint) = inspect(&mut headstock(&home, NOWHERE), "timm/nothing");
    assert!(complaint.contains("timm/gluon_in1k") && complaint.contains("hf:OWNER/REPO"), "{complaint}");
    for text in [
        "hf:",
        "hf:one",
        "hf:a/b/c",
        "hf:../b",
        "hf:a/..",
        "hf:a/b:../../c",
        "hf:a/b@../c",
        "hf:a/b:/etc/x",
        "hf:a/b?c",
    ] {
        assert!(text.parse::<Location>().is_err(), "{text}");
    }
    let location: Location = "hf:owner/repo@v1.2:folder/file.pth".parse().unwrap();
    assert_eq!((&*location.repository, &*location.revision), ("owner/repo", "v1.2"));
    assert_eq!(location.file.as_deref(), Some("folder/file.pth"));
    assert_eq!(location.to_string(), "hf:owner/repo@v1.2:folder/file.pth");
}
