//! One file from a stranger, and what every reader promises of it: no panic, no allocation longer than it, its name in the error.
#![allow(dead_code, reason = "each target is a crate of its own and uses a part")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use headstock::tensor_file::ReadError;

#[path = "../../tests/strangers_files/allocations.rs"]
mod allocations;

use allocations::Allocations;

#[global_allocator]
static MEMORY: Allocations = Allocations::new();

/// As in `tests/strangers_files/reading.rs`.
const CONSTANT: usize = 256 << 10;

/// Reads the bytes as they are, and once more with a length of the header that fits: otherwise a byte more or less in the
/// header would be no more than a wrong length.
#[allow(dead_code, reason = "each target is a program of its own and uses a part")]
pub fn read<T>(bytes: &[u8], reader: impl Fn(&Path) -> Result<T, ReadError>) {
    hold(bytes, 1, &reader);
    if let Some(mended) = mended(bytes) {
        hold(&mended, 1, &reader);
    }
}

/// Reads the bytes as they are, of a kind of file whose bytes may take so many times their length: those of a pickle become values.
pub fn read_swelling<T>(bytes: &[u8], times: usize, reader: impl Fn(&Path) -> Result<T, ReadError>) {
    hold(bytes, times, &reader);
}

fn hold<T>(bytes: &[u8], times: usize, reader: &impl Fn(&Path) -> Result<T, ReadError>) {
    let path = write(bytes);
    let (outcome, taken) = MEMORY.during(|| reader(path));
    let len = bytes.len();
    assert!(taken.largest <= times * (len + CONSTANT), "{taken:?} for a file of {len}");
    assert!(taken.peak <= 4 * times * len + times.min(4) * (4 << 20), "{taken:?} for a file of {len}");
    if let Err(error) = outcome {
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

/// The same file each time, in memory where the system has such a place.
fn write(bytes: &[u8]) -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        folder.join(format!("headstock-fuzz-{}", std::process::id()))
    });
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path).expect("a place to write");
    file.write_all(bytes).expect("room to write");
    file.set_len(bytes.len() as u64).expect("room to write");
    path
}

/// The header taken to end at the last brace.
#[allow(dead_code, reason = "as above")]
fn mended(bytes: &[u8]) -> Option<Vec<u8>> {
    let behind = bytes.get(8..)?;
    let len = behind.iter().rposition(|&byte| byte == b'}')? + 1;
    // Headers are filled up with spaces.
    let len = len + behind[len..].iter().take_while(|&&byte| byte == b' ').count();
    Some([&(len as u64).to_le_bytes(), behind].concat())
}
