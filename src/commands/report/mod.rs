//! `headstock report`: a head, and what it did, as one page.
//!
//! ```text
//! head, scores ───────────────────▶ Report ─▶ page
//! images ─▶ Folders ─▶ thumbnails ──▲
//!              └────▶ Maps ─────────┘
//! ```

mod folders;
mod maps;

use std::io::Write;

use anyhow::Result;

use super::classifier::Classifier;
use super::console::Console;
use super::{End, image_run};
use crate::cli::ReportArgs;
use crate::counts::{count, thousands};
use crate::image::DecodeOptions;
use crate::report::{Pictures, Report};
use crate::scores::Scores;
use crate::whole_file::write_whole;
use folders::Folders;
use maps::Maps;

pub(super) fn run(args: &ReportArgs, console: Console) -> Result<End> {
    image_run::require_place("--out", &args.out)?;
    image_run::use_threads(args.threads)?;
    let Classifier { head, backbone, .. } = Classifier::open(&args.classifier, &args.backbone)?;
    let scores = args.scores.as_deref().map(Scores::read).transpose()?;
    if head.held_out.is_none() {
        console.say(
            "the head keeps no rows that it did not learn from, so the page cannot tell how good it is: \
             fit it again with fit-head",
        );
    }
    let folders = Folders::new(args, &head);
    let maps = Maps::new(&head, &backbone, &folders, console);
    let pictures = Pictures {
        image: &|source, path| folders.image(source, path, &DecodeOptions::default()),
        maps: &|source, spoke| maps.draw(source, spoke),
    };
    let report = Report::new(&head, scores.as_ref(), &pictures, args.max_images)?;
    write_whole(&args.out, |out| out.write_all(report.html.as_bytes()))?;
    conclude(args, console, &report);
    Ok(End::Done)
}

fn conclude(args: &ReportArgs, console: Console, report: &Report) {
    if report.missing > 0 {
        let missing = count(report.missing, "image was", "images were");
        let remedy = match (&args.scores, &args.images) {
            (Some(_), None) => "--images DIR says where the scored ones lie",
            (Some(_), Some(_)) => "the head's own are looked for where extract read them",
            _ => "--images DIR says where they lie",
        };
        console.say(format_args!("{missing} not found or cannot be read: {remedy}"));
    }
    if report.left_out > 0 {
        let left_out = count(report.left_out, "image is", "images are");
        console.say(format_args!("{left_out} not shown: --max-images {} is the limit", thousands(args.max_images)));
    }
    let images = count(report.images, "image", "images");
    let megabytes = report.html.len() as f64 / 1e6;
    console.say(format_args!("{}: {images}, {megabytes:.1} MB; open it in any browser", args.out.display()));
}
