//! `headstock report`: a head, and what it did, as one page.

use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use ::image::RgbImage;
use anyhow::{Result, bail};

use super::End;
use super::console::Console;
use crate::cli::ReportArgs;
use crate::counts::{count, thousands};
use crate::head::Head;
use crate::image::{DecodeOptions, decode};
use crate::report::{Pictures, Report, Source};
use crate::scores::Scores;
use crate::whole_file::write_whole;

pub(super) fn run(args: &ReportArgs, console: Console) -> Result<End> {
    if args.out.is_dir() || args.out.file_name().is_none() {
        bail!("--out {} is a folder; give the name of a file", args.out.display());
    }
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global()?;
    }
    let head = Head::read(&args.head)?;
    let scores = args.scores.as_deref().map(Scores::read).transpose()?;
    if head.held_out.is_none() {
        console.say(
            "the head keeps no rows that it did not learn from, so the page cannot tell how good it is: \
             fit it again with fit-head",
        );
    }
    let folders = Folders::new(args, &head);
    let pictures = Pictures {
        image: &|source, path| folders.image(source, path),
        // Activation maps: the one line that is to be wired to `explain`.
        map: &|_, _, _| None,
    };
    let report = Report::new(&head, scores.as_ref(), &pictures, args.max_images)?;
    write_whole(&args.out, |out| out.write_all(report.html.as_bytes()))?;
    conclude(args, console, &report);
    Ok(End::Done)
}

fn conclude(args: &ReportArgs, console: Console, report: &Report) {
    if report.missing > 0 {
        let missing = count(report.missing, "image was", "images were");
        console.say(format_args!("{missing} not found or cannot be read: --images DIR says where they lie"));
    }
    if report.left_out > 0 {
        let left_out = count(report.left_out, "image is", "images are");
        console.say(format_args!("{left_out} not shown: --max-images {} is the limit", thousands(args.max_images)));
    }
    let images = count(report.images, "image", "images");
    let megabytes = report.html.len() as f64 / 1e6;
    console.say(format_args!("{}: {images}, {megabytes:.1} MB; open it in any browser", args.out.display()));
}

/// Where images are looked for.
struct Folders {
    held_out: Vec<PathBuf>,
    scored: Vec<PathBuf>,
}

impl Folders {
    /// `--images` is the folder of the scored images where there are scores, and else that of the held-out ones; what is
    /// not there is looked for in the folder that `extract` was told.
    fn new(args: &ReportArgs, head: &Head) -> Self {
        let extracted = head.held_out.as_ref().and_then(|held_out| held_out.images.clone()).map(PathBuf::from);
        let told_first: Vec<PathBuf> = args.images.iter().cloned().chain(extracted.clone()).collect();
        let told_last = extracted.into_iter().chain(args.images.iter().cloned()).collect();
        let held_out = if args.scores.is_some() { told_last } else { told_first.clone() };
        Self { held_out, scored: told_first }
    }

    fn image(&self, source: Source, path: &str) -> Option<RgbImage> {
        let folders = match source {
            Source::HeldOut => &self.held_out,
            Source::Scored => &self.scored,
        };
        // A path of a stranger leads nowhere else.
        let is_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let bytes = folders.iter().filter(|_| is_inside).find_map(|folder| fs::read(folder.join(path)).ok())?;
        decode(&bytes, &DecodeOptions::default()).ok()
    }
}
