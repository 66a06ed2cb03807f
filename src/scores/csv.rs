//! Comma-separated text.

use std::io::{self, BufRead, Write};

use csv::{ErrorKind, StringRecord};

use super::read::{Classes, Fault, Row, finish, line_fault, probability, unreadable};
use super::{Score, Scores};

pub(super) fn write(
    classes: &[String],
    top: Option<usize>,
    scores: impl IntoIterator<Item = io::Result<Score>>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    let columns: Vec<String> = match top {
        None => classes.iter().map(|class| format!("p_{class}")).collect(),
        Some(top) => (1..=top).flat_map(|place| [format!("class_{place}"), format!("p_{place}")]).collect(),
    };
    out.write_record(["path", "class", "probability"].into_iter().chain(columns.iter().map(String::as_str)))?;
    for score in scores {
        let score = score?;
        out.write_field(&score.path)?;
        out.write_field(score.decision(classes))?;
        out.write_field(shortest(score.probability()))?;
        match top {
            None => score.probabilities.iter().try_for_each(|&p| out.write_field(shortest(p)))?,
            Some(top) => {
                for &class in score.ranked().iter().take(top) {
                    out.write_field(&classes[class])?;
                    out.write_field(shortest(score.probabilities[class]))?;
                }
            }
        }
        out.write_record(None::<&[u8]>)?;
    }
    out.flush()
}

/// The shortest text that reads back as the same float32: `0.25`, `3e-7`.
fn shortest(number: f32) -> String {
    let (plain, scientific) = (number.to_string(), format!("{number:e}"));
    if scientific.len() < plain.len() { scientific } else { plain }
}

/// What the columns after the first three are.
enum Columns {
    /// The probability of each class.
    Every,
    /// Names and probabilities, in turns.
    Top,
}

pub(super) fn read(text: impl BufRead) -> Result<Scores, Fault> {
    let mut text = csv::Reader::from_reader(text);
    let mut classes = Classes::default();
    let header = text.headers().map_err(fault)?;
    let columns = read_header(header, &mut classes).map_err(|reason| line_fault(1, reason))?;
    let top = matches!(columns, Columns::Top).then(|| (header.len() - 3) / 2);
    let mut rows = Vec::new();
    for record in text.records() {
        let record = record.map_err(fault)?;
        let line = record.position().map_or(0, csv::Position::line);
        rows.push(read_row(&record, line, &columns, &mut classes).map_err(|reason| line_fault(line, reason))?);
    }
    finish(classes, top, rows)
}

fn read_header(header: &StringRecord, classes: &mut Classes) -> Result<Columns, String> {
    let expected = "path,class,probability, then p_<class> for each class, or class_1,p_1 and so on";
    let columns: Vec<&str> = header.iter().collect();
    let ["path", "class", "probability", columns @ ..] = columns.as_slice() else {
        return Err(format!("the columns are not {expected}"));
    };
    if columns.first() == Some(&"class_1") {
        let as_expected = columns.chunks(2).zip(1..).all(|(pair, place): (_, usize)| {
            pair == [format!("class_{place}").as_str(), format!("p_{place}").as_str()]
        });
        return if as_expected { Ok(Columns::Top) } else { Err(format!("the columns are not {expected}")) };
    }
    for column in columns {
        let class = column.strip_prefix("p_").ok_or_else(|| format!("the column `{column}` is not p_<class>"))?;
        classes.add_new(class)?;
    }
    if columns.is_empty() { Err("it has no column p_<class>".to_owned()) } else { Ok(Columns::Every) }
}

fn read_row(record: &StringRecord, line: u64, columns: &Columns, classes: &mut Classes) -> Result<Row, String> {
    let number = |text: &str| match text.trim().parse() {
        Ok(number) => probability(number),
        Err(_) => Err(format!("'{text}' is no probability")),
    };
    let mut fields = record.iter();
    let mut next = || fields.next().unwrap_or_default();
    let (path, class) = (next().to_owned(), next().to_owned());
    number(next())?;
    let (mut of, mut probabilities) = (None, Vec::with_capacity(record.len() - 3));
    match columns {
        Columns::Every => {
            for field in fields {
                probabilities.push(number(field)?);
            }
        }
        Columns::Top => {
            let of = of.insert(Vec::new());
            while let (Some(name), Some(p)) = (fields.next(), fields.next()) {
                of.push(classes.add(name));
                probabilities.push(number(p)?);
            }
        }
    }
    Ok(Row { line, path, class, of, probabilities })
}

fn fault(error: csv::Error) -> Fault {
    let line = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        ErrorKind::Io(error) => unreadable(error),
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            line_fault(line, format!("it has {len} fields where the first line has {expected_len}"))
        }
        ErrorKind::Utf8 { .. } => line_fault(line, "it is not UTF-8"),
        _ => line_fault(line, "it is no comma-separated text"),
    }
}
