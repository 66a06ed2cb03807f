//! How good the head is on rows whose class is known.

use std::iter;

use serde::Serialize;

use super::album::{Album, Small};
use super::chart::curves::{self, Chart, Kind};
use super::chart::reliability;
use super::confusion::Confusion;
use super::known::{Known, Row};
use super::numbers::{decimal, percent, probability};
use super::{Maps, Source, Spoke};
use crate::counts::{count, thousands};
use crate::metrics::Metrics;

/// Mistakes that are shown one by one.
const MISTAKES: usize = 12;
/// Probabilities that are shown of a mistake.
const GUESSES: usize = 3;

/// All that is shown of rows with known classes.
#[derive(Debug, Serialize)]
pub(super) struct Evaluation {
    /// `h` or `s`: what ids begin with.
    id: &'static str,
    pub(super) rows: String,
    /// Rows whose images and probabilities are known one by one, where they are not all.
    kept: Option<String>,
    pub(super) accuracy: String,
    low: String,
    high: String,
    /// Where the interval lies, in per cent of a bar from 0 to 1.
    bar: [f64; 3],
    tiles: Vec<Tile>,
    pub(super) confusion: Confusion,
    mistakes: Vec<Mistake>,
    mistakes_in_all: usize,
    has_maps: bool,
    classes: Vec<ClassRow>,
    has_thresholds: bool,
    roc: Option<Chart>,
    precision_recall: Option<Chart>,
    reliability: reliability::Chart,
}

/// One number, and how to read it.
#[derive(Debug, Serialize)]
struct Tile {
    name: &'static str,
    value: String,
    meaning: String,
}

/// An image that was called something else.
#[derive(Debug, Serialize)]
struct Mistake {
    path: String,
    thumbnail: Option<usize>,
    map: Option<Small>,
    truth: String,
    called: String,
    guesses: Vec<Guess>,
}

/// A class and its probability.
#[derive(Debug, Serialize)]
struct Guess {
    class: String,
    probability: String,
    /// In per cent.
    width: f64,
    is_truth: bool,
}

/// A line of the table of classes.
#[derive(Debug, Serialize)]
struct ClassRow {
    name: String,
    rows: String,
    precision: String,
    recall: String,
    f1: String,
    /// In per cent.
    width: f64,
    roc_auc: String,
    average_precision: String,
    threshold: Option<String>,
}

impl Evaluation {
    pub(super) fn new(known: &Known<'_>, thresholds: Option<&[f64]>, album: &Album, maps: &Maps<'_>) -> Self {
        let metrics = &known.metrics;
        let names: Vec<&str> = metrics.classes.iter().map(|class| class.class.as_str()).collect();
        let wrong = known.mistakes();
        let mistakes_in_all = wrong.len();
        let shown = &wrong[..wrong.len().min(MISTAKES)];
        let spoke: Vec<Spoke<'_>> = shown.iter().map(|row| Spoke { path: row.path, class: row.predicted }).collect();
        let maps = if spoke.is_empty() { Vec::new() } else { maps(known.source, &spoke) };
        let maps = maps.into_iter().chain(iter::repeat(None));
        let mistakes: Vec<Mistake> = shown
            .iter()
            .zip(maps)
            .map(|(row, map)| Mistake {
                path: row.path.to_owned(),
                thumbnail: album.place(known.source, row.path),
                map: map.and_then(|picture| Small::map(&picture)),
                truth: names[row.label].to_owned(),
                called: names[row.predicted].to_owned(),
                guesses: guesses(row, &names),
            })
            .collect();
        let [low, high] = metrics.accuracy_interval;
        Self {
            id: if known.source == Source::HeldOut { "h" } else { "s" },
            rows: count(metrics.rows, "image", "images"),
            kept: (known.rows.len() < metrics.rows).then(|| thousands(known.rows.len())),
            accuracy: percent(metrics.accuracy),
            low: percent(low),
            high: percent(high),
            bar: [low, metrics.accuracy, high].map(|part| (part * 1000.0).round() / 10.0),
            tiles: tiles(metrics),
            confusion: Confusion::new(known, album),
            has_maps: mistakes.iter().any(|mistake| mistake.map.is_some()),
            mistakes,
            mistakes_in_all,
            classes: classes(metrics, thresholds),
            has_thresholds: thresholds.is_some(),
            roc: curves::chart(Kind::Roc, known),
            precision_recall: curves::chart(Kind::PrecisionRecall, known),
            reliability: reliability::chart(known),
        }
    }
}

fn tiles(metrics: &Metrics) -> Vec<Tile> {
    let guessing = (metrics.classes.len().max(1) as f64).ln();
    let optional = |number: Option<f64>| number.map_or_else(|| "–".to_owned(), decimal);
    let tile = |name, value, meaning: &str| Tile { name, value, meaning: meaning.to_owned() };
    vec![
        tile("Log loss", decimal(metrics.log_loss), &format!("0 is perfect, {guessing:.2} is guessing")),
        tile("Balanced accuracy", percent(metrics.balanced_accuracy), "every class counts the same"),
        tile("Macro F1", decimal(metrics.macro_f1), "precision and recall, mean of the classes"),
        tile("ROC AUC", optional(metrics.roc_auc), "one class against the rest; 0.5 is guessing"),
        tile("Average precision", optional(metrics.average_precision), "one class against the rest"),
        tile("Calibration error", decimal(metrics.calibration_error), "how far its probabilities are off"),
    ]
}

fn classes(metrics: &Metrics, thresholds: Option<&[f64]>) -> Vec<ClassRow> {
    let optional = |number: Option<f64>| number.map_or_else(|| "–".to_owned(), decimal);
    let lines = metrics.classes.iter().enumerate().map(|(k, class)| ClassRow {
        name: class.class.clone(),
        rows: thousands(class.support),
        precision: decimal(class.precision),
        recall: decimal(class.recall),
        f1: decimal(class.f1),
        width: (class.f1 * 1000.0).round() / 10.0,
        roc_auc: optional(class.roc_auc),
        average_precision: optional(class.average_precision),
        threshold: thresholds.and_then(|thresholds| thresholds.get(k)).map(|&threshold| decimal(threshold)),
    });
    lines.collect()
}

/// The most probable classes of a row, and its own.
fn guesses(row: &Row<'_>, names: &[&str]) -> Vec<Guess> {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| row.probabilities[b].total_cmp(&row.probabilities[a]));
    let first = order.iter().take(GUESSES).copied();
    let own = order.iter().skip(GUESSES).copied().filter(|&class| class == row.label);
    let guess = |class: usize| Guess {
        class: names[class].to_owned(),
        probability: probability(row.probabilities[class]),
        width: (f64::from(row.probabilities[class]) * 1000.0).round() / 10.0,
        is_truth: class == row.label,
    };
    first.chain(own).map(guess).collect()
}
