//! `StatisticsFile::read`. Deflated bytes can stand for 1032 of them.
#![no_main]

mod stranger;

use headstock::fid::StatisticsFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stranger::read_swelling(bytes, 1032, StatisticsFile::read));
