//! A file of scores, read: whichever format it is in, and whoever wrote it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::{Score, Scores, UNSURE, csv, jsonl};

/// A file that holds no scores.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} as scores: {}{reason}", path.display(), line.map_or_else(String::new, |line| format!("line {line}: ")))]
pub struct ScoresError {
    /// The file.
    pub path: PathBuf,
    /// Where in it, counted from 1.
    pub line: Option<u64>,
    /// One line.
    pub reason: String,
    /// What the system says, where it is the system that refuses.
    pub source: Option<io::Error>,
}

impl Scores {
    /// Reads a file of scores. The format is known by its content.
    ///
    /// # Errors
    /// Where it cannot be read, is neither of the formats, or contradicts itself.
    pub fn read(path: &Path) -> Result<Self, ScoresError> {
        read(path).map_err(|Fault { line, reason, source }| ScoresError { path: path.to_owned(), line, reason, source })
    }
}

fn read(path: &Path) -> Result<Scores, Fault> {
    let mut text = BufReader::with_capacity(1 << 20, File::open(path).map_err(unreadable)?);
    match text.fill_buf().map_err(unreadable)?.trim_ascii_start().first() {
        None => Err(Fault { line: None, reason: "it is empty".to_owned(), source: None }),
        Some(b'{') => jsonl::read(text),
        Some(_) => csv::read(text),
    }
}

/// What is wrong with a file, and where.
pub(super) struct Fault {
    line: Option<u64>,
    reason: String,
    source: Option<io::Error>,
}

pub(super) fn line_fault(line: u64, reason: impl Into<String>) -> Fault {
    Fault { line: Some(line), reason: reason.into(), source: None }
}

pub(super) fn unreadable(source: io::Error) -> Fault {
    Fault { line: None, reason: "it cannot be read".to_owned(), source: Some(source) }
}

/// The number, where it can be a probability.
pub(super) fn probability(number: f32) -> Result<f32, String> {
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err(format!("{number} is no probability")) }
}

/// Names of classes and their positions, in the order in which they were met.
#[derive(Default)]
pub(super) struct Classes {
    names: Vec<String>,
    positions: HashMap<String, usize>,
}

impl Classes {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn name(&self, position: usize) -> &str {
        &self.names[position]
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The position of a class, which may be new.
    pub(super) fn add(&mut self, name: &str) -> usize {
        self.position(name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.positions.insert(name.to_owned(), self.names.len() - 1);
            self.names.len() - 1
        })
    }

    /// Adds a class that must be new.
    pub(super) fn add_new(&mut self, name: &str) -> Result<(), String> {
        if self.position(name).is_some() {
            return Err(format!("the class '{name}' stands there twice"));
        }
        self.add(name);
        Ok(())
    }
}

/// A row as it stands in the file.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) path: String,
    /// The decision, by name.
    pub(super) class: String,
    /// Which classes the probabilities are of; none: of all, in their order.
    pub(super) of: Option<Vec<usize>>,
    pub(super) probabilities: Vec<f32>,
}

/// Puts it together when all classes are known. Only the top of a head's classes is met in an order that means nothing:
/// then they go into byte order.
pub(super) fn finish(mut classes: Classes, top: Option<usize>, rows: Vec<Row>) -> Result<Scores, Fault> {
    let mut order: Vec<usize> = (0..classes.len()).collect();
    if top.is_some() {
        order.sort_by_key(|&class| classes.name(class));
    }
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &class)| places[class] = place);

    let scores = rows.into_iter().map(|row| {
        let class = match classes.position(&row.class) {
            Some(class) => Some(places[class]),
            None if row.class == UNSURE => None,
            None => return Err(line_fault(row.line, format!("'{}' is none of its classes", row.class))),
        };
        let probabilities = match row.of {
            None => row.probabilities,
            Some(of) => {
                let mut all = vec![0.0; places.len()];
                let mut met = vec![false; places.len()];
                for (class, p) in of.into_iter().zip(row.probabilities) {
                    if std::mem::replace(&mut met[class], true) {
                        let reason = format!("the class '{}' stands there twice", classes.name(class));
                        return Err(line_fault(row.line, reason));
                    }
                    all[places[class]] = p;
                }
                all
            }
        };
        Ok(Score { path: row.path, class, probabilities })
    });
    let rows = scores.collect::<Result<_, _>>()?;
    let classes = order.into_iter().map(|class| std::mem::take(&mut classes.names[class])).collect();
    Ok(Scores { classes, top, rows })
}
