//! A JSON object a line.

use std::fmt;
use std::io::{self, BufRead, Write};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::read::{Classes, Fault, Row, finish, line_fault, probability, unreadable};
use super::{Score, Scores};

/// One line: `probabilities` or `top`.
#[derive(Serialize, Deserialize)]
struct Line {
    path: String,
    class: String,
    probability: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilities: Option<Probabilities>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<Vec<Place>>,
}

/// A class among the most probable ones.
#[derive(Serialize, Deserialize)]
struct Place {
    class: String,
    probability: f32,
}

/// An object whose order is kept: it is that of the classes.
struct Probabilities(Vec<(String, f32)>);

pub(super) fn write(
    classes: &[String],
    top: Option<usize>,
    scores: impl IntoIterator<Item = io::Result<Score>>,
    out: &mut impl Write,
) -> io::Result<()> {
    for score in scores {
        let score = score?;
        let (class, probability) = (score.decision(classes).to_owned(), score.probability());
        let mut line = Line { path: String::new(), class, probability, probabilities: None, top: None };
        match top {
            None => {
                let pairs = classes.iter().cloned().zip(score.probabilities.iter().copied());
                line.probabilities = Some(Probabilities(pairs.collect()));
            }
            Some(top) => {
                let place =
                    |&class: &usize| Place { class: classes[class].clone(), probability: score.probabilities[class] };
                line.top = Some(score.ranked().iter().take(top).map(place).collect());
            }
        }
        line.path = score.path;
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

pub(super) fn read(text: impl BufRead) -> Result<Scores, Fault> {
    let mut classes = Classes::default();
    let mut top: Option<usize> = None;
    let mut rows: Vec<Row> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = match line {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => line,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(line_fault(number, "it is not UTF-8"));
            }
            Err(error) => return Err(unreadable(error)),
        };
        let at = |reason| line_fault(number, reason);
        let line: Line = serde_json::from_str(&line).map_err(|error| at(reason(&error)))?;
        let first = rows.is_empty();
        let row = match (line.probabilities, line.top) {
            (Some(Probabilities(pairs)), None) if top.is_none() => {
                let probabilities = every(pairs, first, &mut classes).map_err(at)?;
                Row { line: number, path: line.path, class: line.class, of: None, probabilities }
            }
            (None, Some(places)) if first || top.is_some() => {
                top = top.max(Some(places.len()));
                let of = places.iter().map(|place| classes.add(&place.class)).collect();
                let probabilities = places.iter().map(|place| probability(place.probability));
                let probabilities = probabilities.collect::<Result<_, _>>().map_err(at)?;
                Row { line: number, path: line.path, class: line.class, of: Some(of), probabilities }
            }
            (None, None) => return Err(at("it has neither `probabilities` nor `top`".to_owned())),
            _ => return Err(at("`probabilities` and `top` in one file".to_owned())),
        };
        probability(line.probability).map_err(at)?;
        rows.push(row);
    }
    finish(classes, top, rows)
}

/// The probabilities in the order of the classes, which the first line tells.
fn every(pairs: Vec<(String, f32)>, first: bool, classes: &mut Classes) -> Result<Vec<f32>, String> {
    if first {
        pairs.iter().try_for_each(|(class, _)| classes.add_new(class))?;
    }
    let mut probabilities = vec![f32::NAN; classes.len()];
    for (class, p) in pairs {
        let place = classes.position(&class).ok_or_else(|| format!("the lines before have no class '{class}'"))?;
        if !probabilities[place].is_nan() {
            return Err(format!("the class '{class}' stands there twice"));
        }
        probabilities[place] = probability(p)?;
    }
    match probabilities.iter().position(|p| p.is_nan()) {
        Some(missing) => Err(format!("the class '{}' is missing", classes.name(missing))),
        None => Ok(probabilities),
    }
}

/// What serde says without its place in the line, which it counts from the line's beginning.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

impl Serialize for Probabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(class, p)| (class, p)))
    }
}

impl<'de> Deserialize<'de> for Probabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Probabilities;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of classes and their probabilities")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Probabilities, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Probabilities(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
