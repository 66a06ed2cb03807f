//! `Weights::from_file`: checkpoints of every kind, told apart by content.
#![no_main]

mod stranger;

use headstock::tensor_file::ReadError;
use headstock::weights::Weights;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stranger::read_swelling(bytes, 128, |path| {
    Weights::from_file(path, None).map_err(|error| ReadError {
        path: path.to_owned(),
        role: "weights",
        reason: error.to_string(),
        source: None,
    })
}));
