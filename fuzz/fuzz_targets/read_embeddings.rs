//! `EmbeddingsFile::open`, and all rows.
#![no_main]

mod stranger;

use headstock::embeddings::EmbeddingsFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stranger::read(bytes, |path| {
    EmbeddingsFile::open(path).map(|mut file| file.for_each_row(|_| ()).expect("the rows are there"))
}));
