//! `--evaluate`: how good the head is on images whose folders are named as its classes.

use std::path::Path;

use anyhow::{Result, bail};
use ndarray::Array2;

use super::results::Results;
use crate::commands::console::Console;
use crate::commands::{to_stdout, write_json};
use crate::counts::count;
use crate::dataset::{Candidate, Dataset};
use crate::head::Head;
use crate::metrics::Metrics;

/// Which of the dataset's classes are which of the head's, by name.
pub(super) struct Labels(Vec<Option<usize>>);

impl Labels {
    /// Refuses images of which none has a class that the head knows.
    pub(super) fn new(dataset: &Dataset, head: &Head) -> Result<Self> {
        let known = |class: &String| head.classes.iter().position(|known| known == class);
        let labels = Self(dataset.classes.iter().map(known).collect());
        if dataset.candidates.iter().all(|candidate| labels.of(candidate).is_none()) {
            bail!(
                "--evaluate: none of the images lies in a folder named as a class of the head; the folders are {}, the \
                 classes {}",
                some(&dataset.classes),
                some(&head.classes)
            );
        }
        Ok(labels)
    }

    /// The head's class that an image is of.
    fn of(&self, candidate: &Candidate) -> Option<usize> {
        self.0.get(candidate.class? as usize).copied().flatten()
    }
}

/// What the results tell, where the class of an image is known; written as JSON too where that is asked for.
pub(super) fn measure(
    results: &Results<'_>,
    labels: &Labels,
    json: Option<&Path>,
    console: Console,
) -> Result<Metrics> {
    let classes = &results.head.classes;
    let (mut truth, mut probabilities, mut left_out) = (Vec::new(), Vec::new(), 0);
    for result in results.scores()? {
        let (candidate, score) = result?;
        match labels.of(candidate) {
            Some(label) => {
                truth.push(label);
                probabilities.extend(score.probabilities.into_iter().map(f64::from));
            }
            None => left_out += 1,
        }
    }
    if truth.is_empty() {
        bail!("--evaluate: none of the images with a class that the head knows could be read");
    }
    if left_out > 0 {
        console.say(format_args!(
            "{} in no folder named as a class of the head: left out of the evaluation",
            count(left_out, "image lies", "images lie")
        ));
    }
    let metrics =
        Metrics::new(classes, &truth, Array2::from_shape_vec((truth.len(), classes.len()), probabilities)?.view());
    if let Some(path) = json {
        write_json(path, &metrics)?;
    }
    Ok(metrics)
}

/// Prints the metrics as a result.
pub(super) fn print(metrics: &Metrics) -> Result<()> {
    to_stdout(|out| write!(out, "{metrics}"))
}

/// The first few names.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 10;
    match names.len() {
        0 => "none".to_owned(),
        n if n > SHOWN => format!("{}, ... ({n} in all)", names[..SHOWN].join(", ")),
        _ => names.join(", "),
    }
}
