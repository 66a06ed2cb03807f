//! The confusion matrix, and the images in its cells.

use serde::Serialize;

use super::Source;
use super::album::Album;
use super::known::{Known, Row};
use super::numbers::probability;
use crate::counts::thousands;

/// Images of a cell that are on the page at most.
const IMAGES_IN_A_CELL: usize = 60;
/// Mix-ups that are named.
const MIX_UPS: usize = 8;

/// How large the cells of a matrix of at most so many classes are: the name of a style, and a cell's width in CSS pixels.
const SIZES: [(usize, &str, f64); 4] =
    [(4, "few", 106.0), (8, "some", 58.0), (24, "more", 42.0), (usize::MAX, "many", 33.0)];
/// The width of A4 within its margins, and what the names of the rows take of it, in CSS pixels.
const PAPER: f64 = 680.0;
const ROW_NAMES: f64 = 230.0;

/// The matrix.
#[derive(Debug, Serialize)]
pub(super) struct Confusion {
    /// The name of a style.
    size: &'static str,
    /// By how much it is drawn smaller on paper.
    zoom: f64,
    /// Names, of rows and columns alike.
    classes: Vec<String>,
    rows: Vec<Vec<Cell>>,
    /// Rows of each class.
    supports: Vec<String>,
    /// The panels of the cells whose images are known.
    panels: Vec<Panel>,
    /// What was called something else most often, the most frequent first.
    mix_ups: Vec<MixUp>,
}

/// How many rows of a class were called a class.
#[derive(Debug, Serialize)]
struct Cell {
    /// Text; empty for none.
    count: String,
    /// How strongly it is coloured: 0 to 100.
    strength: u32,
    /// The id of its panel.
    panel: Option<String>,
}

/// The images of a cell.
#[derive(Debug, Serialize)]
struct Panel {
    id: String,
    truth: String,
    called: String,
    is_right: bool,
    count: String,
    images: Vec<Shown>,
    /// Images that are not among them.
    more: usize,
}

/// One image as it is shown in a list.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) path: String,
    /// By position among the thumbnails, where there is one.
    pub(super) thumbnail: Option<usize>,
    /// What is to be said of it, a line each.
    pub(super) notes: Vec<String>,
}

/// Rows of one class that were called another.
#[derive(Debug, Serialize)]
struct MixUp {
    truth: String,
    called: String,
    count: String,
    of: String,
    panel: Option<String>,
}

impl Confusion {
    pub(super) fn new(known: &Known<'_>, album: &Album) -> Self {
        let metrics = &known.metrics;
        let classes: Vec<String> = metrics.classes.iter().map(|class| class.class.clone()).collect();
        let mut members: Vec<Vec<Vec<&Row<'_>>>> = vec![vec![Vec::new(); classes.len()]; classes.len()];
        for row in &known.rows {
            members[row.label][row.predicted].push(row);
        }
        let id = |truth: usize, called: usize| {
            let set = if known.source == Source::HeldOut { "h" } else { "s" };
            format!("{set}-{truth}-{called}")
        };
        let panel_of = |truth: usize, called: usize| (!members[truth][called].is_empty()).then(|| id(truth, called));
        let support = |truth: usize| metrics.confusion[truth].iter().sum::<usize>();
        let cell = |truth: usize, called: usize| {
            let count = metrics.confusion[truth][called];
            let share = count as f64 / support(truth).max(1) as f64;
            Cell {
                count: if count == 0 { String::new() } else { thousands(count) },
                // The root brings out the few that went wrong among many.
                strength: (100.0 * share.sqrt()).round() as u32,
                panel: if count == 0 { None } else { panel_of(truth, called) },
            }
        };
        let every = 0..classes.len();
        let rows = every.clone().map(|truth| every.clone().map(|called| cell(truth, called)).collect()).collect();

        let mut panels = Vec::new();
        for (truth, called) in every.clone().flat_map(|truth| every.clone().map(move |called| (truth, called))) {
            let count = metrics.confusion[truth][called];
            if count > 0 && !members[truth][called].is_empty() {
                let images = images(&members[truth][called], known.source, album);
                panels.push(Panel {
                    id: id(truth, called),
                    truth: classes[truth].clone(),
                    called: classes[called].clone(),
                    is_right: truth == called,
                    count: thousands(count),
                    more: count.saturating_sub(images.len()),
                    images,
                });
            }
        }
        let mut pairs: Vec<(usize, usize, usize)> = every
            .clone()
            .flat_map(|truth| every.clone().map(move |called| (metrics.confusion[truth][called], truth, called)))
            .filter(|&(count, truth, called)| count > 0 && truth != called)
            .collect();
        pairs.sort_by_key(|&(count, truth, called)| (std::cmp::Reverse(count), truth, called));
        let mix_ups = pairs.into_iter().take(MIX_UPS).map(|(count, truth, called)| MixUp {
            truth: classes[truth].clone(),
            called: classes[called].clone(),
            count: thousands(count),
            of: thousands(support(truth)),
            panel: panel_of(truth, called),
        });
        let mix_ups = mix_ups.collect();
        let supports = every.map(|truth| thousands(support(truth))).collect();
        let (_, size, cell) = SIZES.into_iter().find(|&(most, ..)| classes.len() <= most).unwrap_or(SIZES[3]);
        let zoom = (PAPER / (ROW_NAMES + cell * classes.len() as f64)).min(1.0);
        let zoom = (zoom * 1000.0).floor() / 1000.0;
        Self { size, zoom, classes, rows, supports, panels, mix_ups }
    }
}

/// The images of a cell: where they are wrong the most confident first, where they are right the least confident.
fn images(members: &[&Row<'_>], source: Source, album: &Album) -> Vec<Shown> {
    let mut members = members.to_vec();
    members.sort_by(|a, b| {
        let order = a.confidence().total_cmp(&b.confidence());
        if a.is_right() { order } else { order.reverse() }
    });
    let shown = members.into_iter().take(IMAGES_IN_A_CELL).map(|row| Shown {
        path: row.path.to_owned(),
        thumbnail: album.place(source, row.path),
        notes: vec![probability(row.confidence())],
    });
    shown.collect()
}
