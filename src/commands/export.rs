//! `headstock export`: a classifier for other programs.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::backbone::{self, OfHead};
use super::classifier::Classifier;
use super::console::Console;
use super::{End, image_run, write_json};
use crate::cli::{ExportArgs, ExportFormat, WeightsSource};
use crate::counts::count;
use crate::export;
use crate::inception::Variant;

pub(super) fn run(args: &ExportArgs, console: Console) -> Result<End> {
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(default_name(args.to)));
    let read = [
        args.classifier.head.as_deref(),
        args.classifier.model.as_deref(),
        args.backbone.weights.as_ref().and_then(WeightsSource::path),
    ];
    image_run::require_places(&read, &[("--out", Some(&out))])?;
    let Classifier { head, backbone, .. } = Classifier::open(&args.classifier, &args.backbone)?;
    if args.to == ExportFormat::HeadJson {
        write_json(&out, &export::head_json(&head))?;
    } else {
        let OfHead { backbone: weights, .. } = backbone::inception_of_head(&head, &backbone)?;
        let whole = match args.to {
            ExportFormat::Onnx => export::onnx(&weights, &head, &out),
            _ => export::torchvision(&weights, &head, &out),
        };
        whole.with_context(|| format!("{} is not written", out.display()))?;
        if args.to == ExportFormat::Torchvision {
            warn_of_pools(weights.variant(), console);
        }
    }
    let megabytes = out.metadata()?.len() as f64 / 1e6;
    let classes = count(head.classes.len(), "class", "classes");
    console.say(format_args!("{}: {classes}, {megabytes:.1} MB", out.display()));
    Ok(End::Done)
}

const fn default_name(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Onnx => "model.onnx",
        ExportFormat::Torchvision => "model.pth",
        ExportFormat::HeadJson => "head.json",
    }
}

/// A state dict holds numbers only, and what they go through is torchvision's code.
fn warn_of_pools(variant: Variant, console: Console) {
    let blocks = match variant {
        Variant::Torchvision => return,
        Variant::Keras => "Mixed_7b and Mixed_7c FIDInceptionE_1",
        Variant::Tf2015 => "Mixed_7b FIDInceptionE_1 and Mixed_7c FIDInceptionE_2",
    };
    console.say(format_args!(
        "the file loads into torchvision's inception_v3, but its code pools otherwise than the variant {variant}: without other \
         blocks the probabilities differ. pytorch-fid has them: Mixed_5b to 5d are to be FIDInceptionA, Mixed_6b to 6e \
         FIDInceptionC, {blocks}. --to onnx needs nothing of this"
    ));
}
