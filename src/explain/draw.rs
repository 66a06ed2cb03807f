//! A map laid over its picture.

use ndarray::{Array2, ArrayView2};

use ::image::{Rgb, RgbImage};

use super::ramp::colour;
use crate::image::Preprocess;
use crate::image::axis::Axis;
use crate::image::resize::{Kernel, resize};
use crate::inception::Grid;

/// The longer side of what is drawn is at most so many pixels.
const LONGEST: u32 = 800;

/// How much of the colour covers the picture where the map is highest.
const COVER: f32 = 0.7;

/// How light what the network did not see is drawn.
const UNSEEN: f32 = 0.35;

/// Lays a map [H, W] over the picture that it is of: places above 0 glow, the highest one most; what the network did not
/// see, because the recipe cuts it off, is dark. The result has the picture's shape and at most 800 pixels a side.
///
/// `grid` tells where in the network's input the map's places lie, `preprocess` where the input lies in the picture.
#[must_use]
pub fn overlay(picture: &RgbImage, map: ArrayView2<'_, f32>, preprocess: &Preprocess, grid: Grid) -> RgbImage {
    let mut drawn = shrink(picture);
    let (x, y) = preprocess.axes(picture.width(), picture.height());
    let columns = taps(&x, drawn.width(), grid, map.ncols());
    let rows = taps(&y, drawn.height(), grid, map.nrows());
    let strength = strength(map);
    for (row, line) in rows.iter().zip(drawn.rows_mut()) {
        let line_strength: Option<Vec<f32>> = row.as_ref().map(|row| {
            strength.columns().into_iter().map(|column| row.iter().map(|&(place, w)| column[place] * w).sum()).collect()
        });
        for (column, pixel) in columns.iter().zip(line) {
            *pixel = match (column, &line_strength) {
                (Some(column), Some(line)) => heat(*pixel, column.iter().map(|&(place, w)| line[place] * w).sum()),
                _ => Rgb([(grey(*pixel) * UNSEEN) as u8; 3]),
            };
        }
    }
    drawn
}

/// The picture, no longer than [`LONGEST`] on either side.
fn shrink(picture: &RgbImage) -> RgbImage {
    let longest = picture.width().max(picture.height());
    if longest <= LONGEST {
        return picture.clone();
    }
    let scaled = |side: u32| (f64::from(side) * f64::from(LONGEST) / f64::from(longest)).round().max(1.0) as u32;
    resize(picture, scaled(picture.width()), scaled(picture.height()), Kernel::Bilinear)
}

/// The map from 0, where it does not speak for the class, to 1, where it does most.
fn strength(map: ArrayView2<'_, f32>) -> Array2<f32> {
    let highest = map.fold(0.0_f32, |highest, &value| highest.max(value));
    map.mapv(|value| if highest > 0.0 { value / highest } else { 0.0 })
}

/// Colour over the grey of a pixel, more of it the higher the strength: all colour that is seen is the map's.
fn heat(pixel: Rgb<u8>, strength: f32) -> Rgb<u8> {
    let strength = strength.clamp(0.0, 1.0);
    let cover = COVER * strength * (2.0 - strength);
    let grey = grey(pixel);
    Rgb(colour(strength).map(|value| (grey * (1.0 - cover) + value * cover).round() as u8))
}

/// The lightness of a pixel, 0 to 255 (Rec. 601).
fn grey(Rgb([red, green, blue]): Rgb<u8>) -> f32 {
    0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue)
}

/// Places of a map and their weights, which a value between them is made of.
type Taps = [(usize, f32); 4];

/// For each of the drawn pixels of a side what it is made of; none where the network does not see it.
fn taps(axis: &Axis, drawn: u32, grid: Grid, places: usize) -> Vec<Option<Taps>> {
    let side = axis.wanted.len() as f64;
    let scale = axis.output as f64 / f64::from(drawn);
    let seen = |pixel: u32| {
        let input = (f64::from(pixel) + 0.5) * scale - axis.wanted.start as f64;
        (0.0..side).contains(&input).then(|| cubic((input - grid.first) / grid.step, places))
    };
    (0..drawn).map(seen).collect()
}

/// Keys' cubic with a = -0.5 between the places of a map: smooth, and at a place the value of that place. Beyond the outer
/// places their values go on.
fn cubic(position: f64, places: usize) -> Taps {
    let position = position.clamp(0.0, places.saturating_sub(1) as f64);
    let (first, t) = (position.floor(), position.fract() as f32);
    let weights = [
        -0.5 * t + t * t - 0.5 * t * t * t,
        1.0 - 2.5 * t * t + 1.5 * t * t * t,
        0.5 * t + 2.0 * t * t - 1.5 * t * t * t,
        -0.5 * t * t + 0.5 * t * t * t,
    ];
    let place = |offset: usize| (first as usize + offset).saturating_sub(1).min(places.saturating_sub(1));
    std::array::from_fn(|offset| (place(offset), weights[offset]))
}
