//! `headstock weights convert`: any file that is read, as one of ours.

use anyhow::{Context, Result};

use crate::cli::{ConvertWeightsArgs, WeightsDtype};
use crate::commands::console::Console;
use crate::commands::{End, backbone, image_run, provenance};
use crate::image::Preset;
use crate::weights::Precision;

pub(super) fn run(args: &ConvertWeightsArgs, console: Console) -> Result<End> {
    image_run::require_places(&[args.input.path()], &[("OUT", Some(&args.out))])?;
    let weights = backbone::weights(&args.backbone())?;
    let told = args.preprocess.map(Preset::preprocess);
    let told = told.map(|preprocess| provenance::preprocess_json(&preprocess, backbone::WHITE)).transpose()?;
    let preprocess = told.map(|json| json.to_string()).or_else(|| weights.preprocess().map(str::to_owned));
    let precision = match args.dtype {
        WeightsDtype::F32 => Precision::F32,
        WeightsDtype::F16 => Precision::F16,
    };
    weights
        .write(&args.out, precision, preprocess.as_deref())
        .with_context(|| format!("{} cannot be converted", args.input))?;
    let classifier = weights
        .classifier()
        .map_or(String::new(), |classifier| format!(", with the classifier of {} outputs", classifier.outputs()));
    console.say(format_args!("{}: {}{classifier}", args.out.display(), weights.variant()));
    Ok(End::Done)
}
