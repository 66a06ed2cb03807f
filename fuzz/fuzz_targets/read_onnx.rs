//! `onnx::recognise`, on bytes that lie in no file.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/strangers_files/allocations.rs"]
mod allocations;

use allocations::Allocations;

#[global_allocator]
static MEMORY: Allocations = Allocations::new();

fuzz_target!(|bytes: &[u8]| {
    let len = bytes.len();
    let (_, taken) = MEMORY.during(|| headstock::onnx::recognise(bytes.to_vec(), None));
    let most = 6 * len + (16 << 20);
    assert!(taken.peak <= most && taken.largest <= most, "{taken:?} for a file of {len}");
});
