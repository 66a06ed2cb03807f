//! The SHA-256 of a file, as `sha256sum` prints it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::weights::hex;

/// Bytes that are hashed at a time.
const PIECE: usize = 64 << 10;

/// Of all of its bytes, lower-case hex.
///
/// # Errors
/// Where it cannot be read.
pub fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&digest.finalize())),
            len => digest.update(&piece[..len]),
        }
    }
}
