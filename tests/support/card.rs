//! NVIDIA cards to test on: real ones, or the stand-in of `tests/cuda_standin/`.

use candle_core::Device;
use headstock::engine::DeviceChoice;

/// The first card; none where there is none to open, and then says why.
pub fn card() -> Option<Device> {
    cards("0").map(|mut cards| cards.remove(0))
}

/// These cards, as `--device cuda:0,1` names them; none where they are not all there, and then says why.
pub fn cards(listed: &str) -> Option<Vec<Device>> {
    let choice: DeviceChoice = format!("cuda:{listed}").parse().unwrap();
    match choice.open() {
        Ok(opened) => Some(opened.devices),
        Err(error) => {
            println!("skipped: no card cuda:{listed} opens here: {error}");
            None
        }
    }
}

/// Whether it computes on the processor, where large images take minutes.
pub fn is_stand_in(card: &Device) -> bool {
    card.as_cuda_device().unwrap().cuda_stream().context().name().unwrap() == "stand-in"
}

/// Bytes of its memory that nothing is in.
pub fn free_memory(card: &Device) -> usize {
    card.as_cuda_device().unwrap().cuda_stream().context().mem_get_info().unwrap().0
}
