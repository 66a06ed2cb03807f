//! What an embeddings file holds.

use std::io::{self, Write};

use anyhow::{Context, Result};

use crate::cli::EmbeddingsArgs;
use crate::commands::to_stdout;
use crate::counts::{count, thousands};
use crate::embeddings::{EmbeddingsFile, FORMAT, NO_CLASS};

/// What the rows look like, gathered in one pass.
#[derive(Default)]
struct Statistics {
    not_finite: usize,
    zeros: usize,
    sum: f64,
    norms: Vec<f64>,
}

pub(super) fn run(args: &EmbeddingsArgs) -> Result<()> {
    let mut file = EmbeddingsFile::open(&args.file)?;
    let mut statistics = Statistics::default();
    file.for_each_row(|row| statistics.add(row)).with_context(|| format!("cannot read {}", args.file.display()))?;
    to_stdout(|out| write(&file, &statistics, out))
}

impl Statistics {
    fn add(&mut self, row: &[f32]) {
        let square: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
        self.not_finite += row.iter().filter(|x| !x.is_finite()).count();
        self.zeros += row.iter().filter(|&&x| x == 0.0).count();
        self.sum += row.iter().map(|&x| f64::from(x)).sum::<f64>();
        self.norms.push(square.sqrt());
    }
}

fn write(file: &EmbeddingsFile, statistics: &Statistics, out: &mut dyn Write) -> io::Result<()> {
    let provenance = &file.provenance;
    writeln!(out, "format      {FORMAT}, written by headstock {}", provenance.version)?;
    writeln!(out, "rows        {} of {} numbers", thousands(file.len()), file.columns)?;
    writeln!(out, "variant     {}", provenance.variant)?;
    writeln!(out, "weights     sha256 {}", provenance.weights)?;
    writeln!(out, "preprocess  {}", provenance.preprocess)?;
    write_classes(file, out)?;
    write_statistics(file, statistics, out)
}

fn write_classes(file: &EmbeddingsFile, out: &mut dyn Write) -> io::Result<()> {
    let Some(labels) = &file.labels else { return writeln!(out, "classes     none") };
    let width = file.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0);
    let mut title = "classes";
    for (label, class) in (0i64..).zip(&file.classes) {
        let rows = labels.iter().filter(|&&l| l == label).count();
        writeln!(out, "{title:<12}{class:width$}  {}", count(rows, "row", "rows"))?;
        title = "";
    }
    match labels.iter().filter(|&&label| label == NO_CLASS).count() {
        0 => Ok(()),
        rows => writeln!(out, "{:<12}{} in no class", "", count(rows, "row", "rows")),
    }
}

fn write_statistics(file: &EmbeddingsFile, statistics: &Statistics, out: &mut dyn Write) -> io::Result<()> {
    if file.is_empty() {
        return Ok(());
    }
    let numbers = (file.len() * file.columns) as f64;
    let mut norms = statistics.norms.clone();
    norms.sort_by(f64::total_cmp);
    let (smallest, median, largest) = (norms[0], norms[norms.len() / 2], norms[norms.len() - 1]);
    writeln!(out, "mean        {:.4}", statistics.sum / numbers)?;
    writeln!(out, "zeros       {:.1} %", 100.0 * statistics.zeros as f64 / numbers)?;
    writeln!(out, "row norms   {smallest:.2} to {largest:.2}, median {median:.2}")?;
    match statistics.not_finite {
        0 => writeln!(out, "not finite  none"),
        n => writeln!(out, "not finite  {}: these rows are of no use", count(n, "number", "numbers")),
    }
}
