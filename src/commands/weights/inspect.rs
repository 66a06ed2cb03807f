//! `headstock weights inspect`: what a file holds, and what the network makes of it.

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cli::InspectWeightsArgs;
use crate::commands::backbone::{self, default_preset};
use crate::commands::{End, to_stdout};
use crate::counts::count;
use crate::image::Preset;
use crate::printable::printable;
use crate::weights::{Mismatch, Report};

/// Unused tensors that are named; of more there is only the number.
const NAMED: usize = 12;

pub(super) fn run(args: &InspectWeightsArgs) -> Result<End> {
    let located = backbone::located(Some(&args.source))?;
    let located = located.context("tf2015 is inside this binary; give a file, another name or a place on the Hub")?;
    let report = Report::of_file(&located.path, args.variant)
        .with_context(|| format!("{} cannot be used as weights", args.source))?;
    to_stdout(|out| print(&report, located.preset, out))?;
    Ok(End::Done)
}

fn print(report: &Report, by_name: Option<Preset>, out: &mut dyn Write) -> io::Result<()> {
    let Mismatch { missing, unknown, misshaped } = &report.mismatch;
    let variant = report
        .variant
        .map_or("not told: pass --variant tf2015 or --variant keras".to_owned(), |variant| variant.to_string());
    let numbers: Vec<String> = report.numbers.iter().map(|(number, count)| format!("{count} {number}")).collect();
    writeln!(out, "file          {}", report.container)?;
    writeln!(out, "sha256        {}", report.sha256)?;
    writeln!(out, "names         {}", report.names)?;
    writeln!(out, "variant       {variant}")?;
    writeln!(out, "preprocess    {}", preprocess(report, by_name))?;
    writeln!(out, "numbers       {}", if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") })?;
    writeln!(out, "classifier    {}", classifier(report))?;
    writeln!(out)?;
    writeln!(out, "applied    {:>5}", report.applied.len())?;
    writeln!(out, "missing    {:>5}", missing.len())?;
    writeln!(out, "misshaped  {:>5}", misshaped.len())?;
    writeln!(out, "unknown    {:>5}", unknown.len())?;
    writeln!(out, "unused     {:>5}", report.unused.len())?;
    if report.mismatch != Mismatch::default() {
        writeln!(out, "\n{}", report.mismatch.to_string().lines().map(printable).collect::<Vec<_>>().join("\n"))?;
    }
    if !report.unused.is_empty() {
        writeln!(out, "\nunused:")?;
        report.unused.iter().take(NAMED).try_for_each(|name| writeln!(out, "  {}", printable(name)))?;
        if report.unused.len() > NAMED {
            writeln!(out, "  and {}", count(report.unused.len() - NAMED, "other", "others"))?;
        }
    }
    Ok(())
}

/// The file's own, by its name, or what goes with the checkpoint's name, or with the variant.
fn preprocess(report: &Report, by_name: Option<Preset>) -> String {
    let own = report.preprocess.as_deref().map(|json| {
        let preset = serde_json::from_str(json).ok().and_then(|json: Value| Some(json["preset"].as_str()?.to_owned()));
        printable(&preset.unwrap_or_else(|| json.to_owned()))
    });
    match (own, by_name, report.variant) {
        (Some(own), ..) => format!("{own}, the file says"),
        (None, Some(preset), _) => format!("{preset}, by the name; --preprocess says another"),
        (None, None, Some(variant)) => {
            format!("{}, by the variant; --preprocess says another", default_preset(variant))
        }
        (None, None, None) => "not told".to_owned(),
    }
}

fn classifier(report: &Report) -> String {
    match report.classifier {
        Some(outputs) => format!("{outputs} outputs: score --imagenet"),
        None => "none".to_owned(),
    }
}
