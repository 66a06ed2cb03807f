//! How sure against how right: the reliability diagram, with the number of rows under it.

use serde::Serialize;

use super::super::known::Known;
use super::super::numbers::{decimal, percent};
use super::{Plot, part_ticks};
use crate::counts::{count, thousands};
use crate::metrics::{RELIABILITY_BINS, ReliabilityBin, reliability};

/// Where the diagram ends and where the counts end, in units of the SVG.
const DIAGRAM_BOTTOM: f64 = 250.0;
const COUNTS: [f64; 2] = [272.0, 326.0];

/// The diagram, and its numbers as a table.
#[derive(Debug, Serialize)]
pub(in super::super) struct Chart {
    svg: String,
    bins: Vec<Bin>,
}

/// A line of the table.
#[derive(Debug, Serialize)]
struct Bin {
    range: String,
    rows: String,
    confidence: String,
    accuracy: String,
}

/// The chart of rows of known classes.
pub(in super::super) fn chart(known: &Known<'_>) -> Chart {
    let probabilities: Vec<ndarray::Array1<f64>> =
        known.rows.iter().map(|row| row.probabilities.mapv(f64::from)).collect();
    let labels = known.rows.iter().map(|row| row.label);
    let bins = reliability(labels.zip(probabilities.iter().map(ndarray::Array1::view)));
    Chart { svg: draw(&bins), bins: table(&bins) }
}

fn edge(bin: usize) -> f64 {
    bin as f64 / RELIABILITY_BINS as f64
}

fn draw(bins: &[ReliabilityBin]) -> String {
    let mut plot = Plot::new([400.0, 372.0], [52.0, 10.0, 390.0, DIAGRAM_BOTTOM], [0.0, 1.0], [0.0, 1.0]);
    plot.y_ticks(&part_ticks());
    for (b, bin) in bins.iter().enumerate() {
        let (Some(sure), Some(right)) = (bin.confidence(), bin.accuracy()) else { continue };
        let (left, right_edge) = (plot.x.at(edge(b)) + 1.0, plot.x.at(edge(b + 1)) - 1.0);
        let width = right_edge - left;
        let (sure, right) = (plot.y.at(sure), plot.y.at(right));
        // Y grows downwards: the lower of the two is the larger.
        let (top, low) = (sure.min(right), sure.max(right));
        let (height, gap) = (DIAGRAM_BOTTOM - low, low - top);
        plot.add(format_args!(
            r#"<rect class="right" x="{left:.1}" y="{low:.1}" width="{width:.1}" height="{height:.1}"/>"#
        ));
        plot.add(format_args!(
            r#"<rect class="gap" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{gap:.1}"/>"#
        ));
        plot.add(format_args!(r#"<path class="level" d="M{left:.1} {right:.1}h{width:.1}"/>"#));
    }
    plot.line("guess", &[(0.0, 0.0), (1.0, 1.0)]);
    counts(&mut plot, bins);
    let rows: usize = bins.iter().map(|bin| bin.rows).sum();
    plot.finish(&format!("Reliability diagram of {}, in {RELIABILITY_BINS} bins", count(rows, "image", "images")))
}

/// The rows of each bin, under the diagram.
fn counts(plot: &mut Plot, bins: &[ReliabilityBin]) {
    let [top, bottom] = COUNTS;
    plot.y.start = bottom;
    let most = bins.iter().map(|bin| bin.rows).max().unwrap_or(0).max(1) as f64;
    for (b, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0) {
        let (left, right) = (plot.x.at(edge(b)) + 1.0, plot.x.at(edge(b + 1)) - 1.0);
        let height = ((bottom - top - 12.0) * bin.rows as f64 / most).max(1.0);
        let (y, width, middle) = (bottom - height, right - left, f64::midpoint(left, right));
        plot.add(format_args!(
            r#"<rect class="count" x="{left:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#
        ));
        let (y, rows) = (y - 3.0, short(bin.rows));
        plot.add(format_args!(r#"<text class="small" x="{middle:.1}" y="{y:.1}" text-anchor="middle">{rows}</text>"#));
    }
    let (left, right) = (plot.x.start, plot.x.end);
    plot.add(format_args!(r#"<path class="base" d="M{left:.1} {bottom:.1}H{right:.1}"/>"#));
    let (x, y) = (14.0, f64::midpoint(top, bottom));
    plot.add(format_args!(
        r#"<text class="name" x="{x:.1}" y="{y:.1}" text-anchor="middle" transform="rotate(-90 {x:.1} {y:.1})">images</text>"#
    ));
    for (part, label) in part_ticks() {
        let (x, y) = (plot.x.at(part), bottom + 18.0);
        plot.add(format_args!(r#"<text class="tick" x="{x:.1}" y="{y:.1}" text-anchor="middle">{label}</text>"#));
    }
    let (x, y) = (f64::midpoint(plot.x.start, plot.x.end), bottom + 38.0);
    plot.add(format_args!(
        r#"<text class="name" x="{x:.1}" y="{y:.1}" text-anchor="middle">how sure the head is</text>"#
    ));
    let y = f64::midpoint(10.0, DIAGRAM_BOTTOM);
    plot.add(format_args!(
        r#"<text class="name" x="14" y="{y:.1}" text-anchor="middle" transform="rotate(-90 14 {y:.1})">how often it is right</text>"#
    ));
}

/// At most four characters.
fn short(rows: usize) -> String {
    match rows {
        0..=9_999 => rows.to_string(),
        10_000..=999_999 => format!("{}k", rows / 1000),
        _ => format!("{}M", rows / 1_000_000),
    }
}

fn table(bins: &[ReliabilityBin]) -> Vec<Bin> {
    let lines = bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0).map(|(b, bin)| Bin {
        range: format!("{:.2} to {:.2}", edge(b), edge(b + 1)),
        rows: thousands(bin.rows),
        confidence: bin.confidence().map(decimal).unwrap_or_default(),
        accuracy: bin.accuracy().map(percent).unwrap_or_default(),
    });
    lines.collect()
}
