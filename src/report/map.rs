//! The rows on two axes: the map of the embeddings.

use ndarray::ArrayView2;
use serde::Serialize;

use super::album::Album;
use super::known::Known;
use super::numbers::probability;

/// Hues and shapes that markers have.
pub(super) const STYLES: usize = 8;
/// Room around the outermost rows, a part of the map.
const MARGIN: f64 = 0.04;
/// The narrowest and widest map, width over height.
const ASPECT: [f64; 2] = [1.35, 2.2];
/// The room that a class's name takes on the map, in parts of its width (for a character) and of its height.
const LABEL: [f64; 2] = [0.011, 0.05];

/// The map.
#[derive(Debug, Serialize)]
pub(super) struct Map {
    /// Width over height.
    aspect: f64,
    points: Vec<Point>,
    /// Names at the middles of their classes; empty where a legend does.
    labels: Vec<Label>,
    wrong: usize,
}

/// A row.
#[derive(Debug, Serialize)]
struct Point {
    /// In per cent from the left.
    x: f64,
    /// In per cent from the top.
    y: f64,
    class: usize,
    hue: usize,
    shape: usize,
    is_wrong: bool,
    path: String,
    thumbnail: Option<usize>,
    truth: String,
    called: String,
    probability: String,
}

/// A name on the map.
#[derive(Debug, Serialize)]
struct Label {
    x: f64,
    y: f64,
    name: String,
    class: usize,
}

impl Map {
    /// `places` [M, 2] are those of `known.rows`. Both axes have one scale. None where there is nothing to tell apart.
    pub(super) fn new(known: &Known<'_>, places: ArrayView2<'_, f32>, album: &Album) -> Option<Self> {
        let column = |axis: usize| places.column(axis).iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let (xs, ys) = (column(0), column(1));
        let (x_range, y_range) = (range(&xs)?, range(&ys)?);
        let (x_extent, y_extent) = (x_range[1] - x_range[0], y_range[1] - y_range[0]);
        if x_extent.max(y_extent) <= 0.0 {
            return None;
        }
        let aspect = (x_extent / y_extent.max(f64::MIN_POSITIVE)).clamp(ASPECT[0], ASPECT[1]);
        // Units of the embedding across the width of the map.
        let width = x_extent.max(y_extent * aspect) / (1.0 - 2.0 * MARGIN);
        let middle = |range: [f64; 2]| f64::midpoint(range[0], range[1]);
        let place = |x: f64, y: f64| {
            let across = 0.5 + (x - middle(x_range)) / width;
            let down = 0.5 - (y - middle(y_range)) / (width / aspect);
            [across, down].map(|part| (part * 10_000.0).round() / 100.0)
        };
        let name = |class: usize| known.metrics.classes[class].class.clone();
        let points: Vec<Point> = known
            .rows
            .iter()
            .zip(xs.iter().zip(&ys))
            .map(|(row, (&x, &y))| {
                let [x, y] = place(x, y);
                Point {
                    x,
                    y,
                    class: row.label,
                    hue: row.label % STYLES,
                    shape: (row.label + row.label / STYLES) % STYLES,
                    is_wrong: !row.is_right(),
                    path: row.path.to_owned(),
                    thumbnail: album.place(known.source, row.path),
                    truth: name(row.label),
                    called: name(row.predicted),
                    probability: probability(row.confidence()),
                }
            })
            .collect();
        let labels = if known.metrics.classes.len() > STYLES {
            labels(&points, &name, known.metrics.classes.len())
        } else {
            Vec::new()
        };
        let wrong = points.iter().filter(|point| point.is_wrong).count();
        Some(Self { aspect, points, labels, wrong })
    }
}

fn range(numbers: &[f64]) -> Option<[f64; 2]> {
    let low = numbers.iter().copied().min_by(f64::total_cmp)?;
    let high = numbers.iter().copied().max_by(f64::total_cmp)?;
    Some([low, high])
}

/// The names of the classes at the medians of their rows, the largest class first; one that would lie on another is
/// left out.
fn labels(points: &[Point], name: &dyn Fn(usize) -> String, classes: usize) -> Vec<Label> {
    let mut members: Vec<(usize, Vec<&Point>)> = (0..classes).map(|class| (class, Vec::new())).collect();
    for point in points {
        members[point.class].1.push(point);
    }
    members.retain(|(_, points)| !points.is_empty());
    members.sort_by_key(|(class, points)| (std::cmp::Reverse(points.len()), *class));
    let mut placed: Vec<([f64; 2], [f64; 2])> = Vec::new();
    let mut labels = Vec::new();
    for (class, points) in members {
        let name = name(class);
        let middle = [median(points.iter().map(|point| point.x)), median(points.iter().map(|point| point.y))];
        let size = [LABEL[0] * 100.0 * (name.chars().count() + 2) as f64, LABEL[1] * 100.0];
        let is_free = placed.iter().all(|(other, other_size)| {
            (0..2).any(|axis| (middle[axis] - other[axis]).abs() > f64::midpoint(size[axis], other_size[axis]))
        });
        if is_free {
            placed.push((middle, size));
            let half = (size[0] / 2.0).min(50.0);
            labels.push(Label { x: middle[0].clamp(half, 100.0 - half), y: middle[1], name, class });
        }
    }
    labels
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(50.0)
}
