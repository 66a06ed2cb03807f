//! The first layer's filters as a picture: what the network looks for first, edges and blobs of colour, as the first
//! layers of networks trained on photographs do (Zeiler and Fergus, 2013; Yosinski et al., 2014).

use ::image::{Rgb, RgbImage};
use anyhow::{Context, Result, ensure};

use crate::cli::FiltersArgs;
use crate::commands::backbone;
use crate::commands::console::Console;
use crate::inception::Network;
use crate::whole_file::write_whole;

/// Filters in a row of the picture.
const COLUMNS: u32 = 8;
/// Pixels of the picture for one weight of a filter.
const SCALE: u32 = 24;
/// Pixels between filters, and around them.
const GAP: u32 = 8;
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

pub(super) fn run(args: &FiltersArgs, console: Console) -> Result<()> {
    ensure!(
        args.out.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")),
        "--out {}: the picture is written as PNG, so its name ends in .png",
        args.out.display()
    );
    let weights = backbone::weights(&args.backbone)?;
    let network = Network::new(weights.variant());
    let (first, _) = network.convolutions().next().context("a network without convolutions")?;
    let kernel = &weights.convolution(&first.name).context("the first convolution has no weights")?.kernel;
    let picture = draw(&kernel.permute((0, 2, 3, 1))?.flatten(1, 2)?.to_vec3()?);

    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, ::image::ImageFormat::Png)?;
    write_whole(&args.out, |out| std::io::Write::write_all(out, png.get_ref()))?;
    console.say(format_args!(
        "{}: the {} filters of {}, {}x{} pixels",
        args.out.display(),
        kernel.dim(0)?,
        first.name,
        picture.width(),
        picture.height()
    ));
    Ok(())
}

/// Draws square filters, each a list of RGB weights row by row. Grey is zero, and each filter is scaled by its own largest
/// weight, so that weak filters can be seen as well.
fn draw(filters: &[Vec<Vec<f32>>]) -> RgbImage {
    let side = filters.first().map_or(0, |filter| filter.len().isqrt()) as u32;
    let step = side * SCALE + GAP;
    let rows = (filters.len() as u32).div_ceil(COLUMNS);
    let mut picture = RgbImage::from_pixel(COLUMNS * step + GAP, rows * step + GAP, PAPER);
    for (index, filter) in (0..).zip(filters) {
        let (left, top) = (GAP + index % COLUMNS * step, GAP + index / COLUMNS * step);
        let largest = filter.iter().flatten().fold(f32::MIN_POSITIVE, |largest, weight| largest.max(weight.abs()));
        for y in 0..side * SCALE {
            for x in 0..side * SCALE {
                let weights = &filter[(y / SCALE * side + x / SCALE) as usize];
                let channel = |channel: usize| (127.5 + 127.5 * weights[channel] / largest).round() as u8;
                picture.put_pixel(left + x, top + y, Rgb([channel(0), channel(1), channel(2)]));
            }
        }
    }
    picture
}
