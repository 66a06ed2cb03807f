//! `Head::read`.
#![no_main]

mod stranger;

use headstock::head::Head;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stranger::read(bytes, Head::read));
