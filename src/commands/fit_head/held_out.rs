//! What rows tell that the head did not learn from.

use std::io::{self, Write};
use std::path::Path;

use ndarray::{Array2, Axis};

use super::labelled::Labelled;
use super::learn::Lesson;
use super::wide;
use crate::counts::count;
use crate::embeddings::PrincipalAxes;
use crate::head::{Head, HeldOut, Scaler, softmax};
use crate::metrics::Metrics;
use crate::printable::printable;

/// A look at rows.
pub(super) struct Look<'a> {
    pub(super) set: &'static str,
    rows: &'a Labelled,
    probabilities: Array2<f32>,
    pub(super) metrics: Metrics,
    /// Without the temperature.
    pub(super) before: Metrics,
}

impl<'a> Look<'a> {
    /// At rows whose logits [N, K] have been divided by the temperature.
    pub(super) fn at(set: &'static str, rows: &'a Labelled, logits: Array2<f32>, temperature: f64) -> Self {
        let before = softmax(logits.mapv(|logit| (f64::from(logit) * temperature) as f32));
        let probabilities = softmax(logits);
        let measure = |p: &Array2<f32>| Metrics::new(&rows.classes, &rows.labels, wide(p).view());
        Self { set, rows, metrics: measure(&probabilities), before: measure(&before), probabilities }
    }

    /// What of it goes into the head file: of many rows every so-manieth.
    pub(super) fn kept(&self, lesson: &Lesson, scaler: &Scaler) -> HeldOut {
        let positions = HeldOut::kept(self.rows.labels.len(), lesson.classes);
        let some = self.rows.some(&positions);
        let axes = PrincipalAxes::of(lesson.rows.view(), 2);
        let map = axes.coordinates(scaler.transform(some.rows.view()).view());
        HeldOut {
            set: self.set.to_owned(),
            metrics: self.metrics.clone(),
            images: some.images,
            paths: some.paths,
            labels: some.labels,
            probabilities: self.probabilities.select(Axis(0), &positions),
            map,
        }
    }

    /// The result, for people.
    pub(super) fn print(&self, head: &Head, path: &Path, out: &mut dyn Write) -> io::Result<()> {
        let classes = count(head.classes.len(), "class", "classes");
        let rows = count(self.metrics.rows, "image", "images");
        let which = match self.set {
            "test" => "of the test file",
            "validation" => "held out",
            _ => "out of fold, each judged by a fit that did not see it",
        };
        writeln!(out, "{}: {classes}, judged by {rows} {which}", path.display())?;
        writeln!(out)?;
        write!(out, "{}", self.metrics)?;
        writeln!(out)?;
        writeln!(
            out,
            "probabilities are calibrated by a temperature of {:.3}: calibration error {:.4} before, {:.4} after",
            head.temperature, self.before.calibration_error, self.metrics.calibration_error
        )?;
        if let Some(thresholds) = &head.thresholds {
            let precision = head.fit["target_precision"].as_f64().unwrap_or_default();
            writeln!(out, "thresholds for a precision of {precision}:")?;
            for (class, threshold) in head.classes.iter().zip(thresholds) {
                let note = if *threshold >= 1.0 { "  (no threshold reaches it)" } else { "" };
                writeln!(out, "  {threshold:.4}  {}{note}", printable(class))?;
            }
        }
        Ok(())
    }
}
