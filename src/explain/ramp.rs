//! The ramp of colours.

/// Ten steps of matplotlib's `inferno` (CC0), which grows evenly lighter to the eye, without the black that it begins with.
const INFERNO: [[u8; 3]; 10] = [
    [58, 9, 99],
    [96, 19, 110],
    [133, 33, 107],
    [169, 46, 94],
    [203, 65, 73],
    [230, 93, 47],
    [247, 131, 17],
    [252, 173, 18],
    [245, 219, 75],
    [252, 255, 164],
];

/// The colour of a strength from 0 to 1.
pub(super) fn colour(strength: f32) -> [f32; 3] {
    let place = strength.clamp(0.0, 1.0) * (INFERNO.len() - 1) as f32;
    let low = (place as usize).min(INFERNO.len() - 2);
    let share = place - low as f32;
    std::array::from_fn(|channel| {
        let (low, high) = (f32::from(INFERNO[low][channel]), f32::from(INFERNO[low + 1][channel]));
        low + (high - low) * share
    })
}
