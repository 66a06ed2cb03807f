//! `ModelFile::read`.
#![no_main]

mod stranger;

use headstock::model::ModelFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stranger::read(bytes, ModelFile::read));
