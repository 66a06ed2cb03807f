//! How a network was trained: three charts in one picture, over the same epochs.
//!
//! ```text
//! ┌───────────────────┐ ┌───────────────────┐
//! │ loss: of steps,   │ │ accuracy, from    │
//! │ epochs, validation│ │ that of the start │
//! │                   │ ├───────────────────┤
//! │                   │ │ learning rate     │
//! └───────────────────┘ └───────────────────┘
//! ```
//!
//! A step lies where in its epoch it was; the mean loss of an epoch at its middle, since its images were seen all along; what the
//! validation rows told at its end, and that of the start at 0.

use super::super::PALETTE;
use super::super::numbers::{decimal, percent, plain};
use super::{CHART_STYLE, Plot, epoch_ticks, even_ticks, text};
use crate::history::{History, Step, Validation};

/// The whole picture.
const SIZE: [f64; 2] = [940.0, 400.0];
/// Inner boxes: left, top, right, bottom.
const LOSS: [f64; 4] = [48.0, 46.0, 450.0, 342.0];
const ACCURACY: [f64; 4] = [538.0, 46.0, 922.0, 218.0];
const RATE: [f64; 4] = [538.0, 284.0, 922.0, 342.0];

/// The part of the steps whose loss must fit in the chart: a few that leap do not press all others down.
const SHOWN: f64 = 0.99;

/// The picture as a file of its own.
pub(in super::super) fn picture(history: &History) -> String {
    let places = Places::of(history);
    let kept = best(history).map_or_else(String::new, |(epoch, Validation { loss, accuracy })| {
        format!("; kept: epoch {epoch}, loss {}, accuracy {}", decimal(loss), percent(accuracy))
    });
    let charts = [losses(history, &places), accuracies(history, &places), rates(history, &places)].concat();
    let described =
        text(&format!("Training over {} epochs, {} steps{kept}", history.epochs.len(), history.steps.len()));
    let [width, height] = SIZE;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="chart alone" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{described}"><style>{PALETTE}{CHART_STYLE}.alone{{font-family:system-ui,sans-serif;background:var(--paper)}}</style>{charts}</svg>
"#
    )
}

/// Where steps lie on the axis of epochs.
struct Places {
    /// Of each step.
    steps: Vec<f64>,
    /// The end of the axis, at least 1.
    end: f64,
}

impl Places {
    fn of(history: &History) -> Self {
        let epochs = || history.steps.chunk_by(|a, b| a.epoch == b.epoch);
        // The last epoch may have been stopped: it would have as many steps as the others.
        let full = epochs().map(<[Step]>::len).max().unwrap_or(1) as f64;
        let of_epoch = |steps: &[Step]| {
            let begin = steps[0].epoch as f64 - 1.0;
            (1..=steps.len()).map(move |within| begin + within as f64 / full)
        };
        let steps: Vec<f64> = epochs().flat_map(of_epoch).collect();
        let ended = history.epochs.last().map_or(0.0, |epoch| epoch.epoch as f64);
        let end = steps.last().map_or(1.0, |last| last.ceil()).max(ended).max(1.0);
        Self { steps, end }
    }

    fn plot(&self, inner: [f64; 4], y: [f64; 2]) -> Plot {
        let edge = self.end * 0.02;
        let mut plot = Plot::new(SIZE, inner, [-edge, self.end + edge], y);
        let mut ticks = epoch_ticks(self.end as usize);
        // A first one that is not of their steps would stand too close to the start.
        if ticks.get(1).is_some_and(|second| second.0 > 2.0) {
            ticks.remove(0);
        }
        ticks.insert(0, (0.0, "0".to_owned()));
        plot.x_ticks(&ticks);
        plot
    }
}

/// The epoch whose weights were kept, 0 for the start, and what it told.
fn best(history: &History) -> Option<(usize, Validation)> {
    let best = history.best_epoch?;
    let of_epoch = || history.epochs.iter().find(|epoch| epoch.epoch == best)?.validation;
    let validation = if best == 0 { history.start } else { of_epoch() };
    Some((best, validation?))
}

/// What the validation rows told: at 0, and at the end of each epoch.
fn validations(history: &History, number: fn(Validation) -> f64) -> Vec<(f64, f64)> {
    let start = history.start.map(|start| (0.0, number(start)));
    let epochs = history.epochs.iter();
    start.into_iter().chain(epochs.filter_map(|e| Some((e.epoch as f64, number(e.validation?))))).collect()
}

fn losses(history: &History, places: &Places) -> String {
    let steps: Vec<(f64, f64)> =
        places.steps.iter().zip(&history.steps).map(|(&place, step)| (place, step.loss)).collect();
    let epochs: Vec<(f64, f64)> = history.epochs.iter().map(|e| (e.epoch as f64 - 0.5, e.train_loss)).collect();
    let validations = validations(history, |validation| validation.loss);
    let mut of_steps: Vec<f64> = steps.iter().map(|&(_, loss)| loss).collect();
    of_steps.sort_by(f64::total_cmp);
    let most = of_steps.get((of_steps.len() as f64 * SHOWN) as usize).or(of_steps.last()).copied();
    let others = epochs.iter().chain(&validations).map(|&(_, loss)| loss);
    let highest = others.chain(most).fold(0.0, f64::max).max(1e-6) * 1.06;

    let mut plot = places.plot(LOSS, [0.0, highest]);
    plot.y_ticks(&even_ticks(0.0, highest));
    plot.x_name("epoch");
    let within: Vec<(f64, f64)> = steps.iter().map(|&(place, loss)| (place, loss.min(highest))).collect();
    plot.line("curve thin", &within);
    plot.line("curve k1", &epochs);
    plot.line("curve k0", &validations);
    if let Some((epoch, Validation { loss, .. })) = best(history) {
        plot.chosen(epoch as f64, loss, &format!("epoch {epoch}: {}", decimal(loss)));
    }
    let mut legend = vec![("curve thin", "steps"), ("curve k1", "epochs")];
    if !validations.is_empty() {
        legend.push(("curve k0", "validation"));
    }
    plot.title("Loss", &legend);
    plot.svg
}

fn accuracies(history: &History, places: &Places) -> String {
    let accuracies = validations(history, |validation| validation.accuracy);
    let lowest = accuracies.iter().map(|&(_, accuracy)| accuracy).fold(1.0, f64::min);
    // From a round number on, so that what was gained can be seen.
    let from = ((lowest * 10.0 - 0.5).floor() / 10.0).clamp(0.0, 0.8);
    let mut plot = places.plot(ACCURACY, [from, 1.0]);
    let ticks = even_ticks(from, 1.0).into_iter().map(|(part, _)| (part, format!("{:.0} %", part * 100.0)));
    plot.y_ticks(&ticks.collect::<Vec<_>>());
    let mut legend = vec![("curve k0", "validation")];
    if let Some(start) = history.start {
        plot.line("guess", &[(0.0, start.accuracy), (places.end, start.accuracy)]);
        legend.insert(0, ("guess", "before training"));
    }
    plot.line("curve k0", &accuracies);
    if let Some((epoch, Validation { accuracy, .. })) = best(history) {
        plot.chosen(epoch as f64, accuracy, &format!("epoch {epoch}: {}", percent(accuracy)));
    }
    plot.title("Accuracy", &legend);
    plot.svg
}

fn rates(history: &History, places: &Places) -> String {
    let rates: Vec<(f64, f64)> =
        places.steps.iter().zip(&history.steps).map(|(&place, step)| (place, step.learning_rate)).collect();
    let highest = rates.iter().map(|&(_, rate)| rate).fold(0.0, f64::max);
    let top = if highest > 0.0 { highest } else { 1.0 };
    let mut plot = places.plot(RATE, [0.0, top * 1.06]);
    plot.y_ticks(&[(0.0, "0".to_owned()), (top, plain(top))]);
    plot.x_name("epoch");
    plot.line("curve k3", &rates);
    plot.title("Learning rate", &[]);
    plot.svg
}
