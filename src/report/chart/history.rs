//! How a dense head was trained: loss over epochs.

use super::super::facts::Epoch;
use super::super::numbers::decimal;
use super::{Plot, even_ticks};

/// Ticks at epochs, at most.
const TICKS: usize = 8;

/// The chart; none of fewer than two epochs. `best` is the number, from 1 on, of the epoch whose weights were taken.
pub(in super::super) fn chart(history: &[Epoch], best: Option<usize>) -> Option<String> {
    if history.len() < 2 {
        return None;
    }
    let losses = history.iter().flat_map(|epoch| [Some(epoch.train), epoch.watched]).flatten();
    let highest = losses.fold(0.0, f64::max).max(1e-6);
    let last = history.len() as f64;
    let edge = last * 0.03;
    let mut plot =
        Plot::new([400.0, 232.0], [58.0, 10.0, 390.0, 182.0], [1.0 - edge, last + edge], [0.0, highest * 1.06]);
    plot.x_ticks(&epoch_ticks(history.len()));
    plot.y_ticks(&even_ticks(plot.y.from, plot.y.to));
    plot.axis_names("epoch", "loss");
    let number = |i: usize| (i + 1) as f64;
    let watched: Vec<(f64, f64)> =
        history.iter().enumerate().filter_map(|(i, epoch)| Some((number(i), epoch.watched?))).collect();
    let trained: Vec<(f64, f64)> = history.iter().enumerate().map(|(i, epoch)| (number(i), epoch.train)).collect();
    plot.line("curve k1", &trained);
    plot.line("curve k0", &watched);
    let chosen = best.and_then(|best| Some((best, history.get(best.checked_sub(1)?)?)));
    if let Some((best, epoch)) = chosen {
        let loss = epoch.watched.unwrap_or(epoch.train);
        let (x, y, loss) = (plot.x.at(best as f64), plot.y.at(loss), decimal(loss));
        plot.add(format_args!(
            r#"<circle class="dot chosen" cx="{x:.1}" cy="{y:.1}" r="6.5"><title>epoch {best}: {loss}</title></circle>"#
        ));
    }
    let taken = best.map(|best| format!(", number {best} was taken")).unwrap_or_default();
    Some(plot.finish(&format!("Loss over {} epochs{taken}", history.len())))
}

/// Round numbers of epochs, and the first one.
fn epoch_ticks(epochs: usize) -> Vec<(f64, String)> {
    let steps = (0..).flat_map(|power| [1, 2, 5].map(|times| times * 10_usize.pow(power)));
    let step = steps.into_iter().find(|step| epochs / step < TICKS).unwrap_or(epochs);
    let round = (1..=epochs).filter(|epoch| epoch.is_multiple_of(step));
    let first = if step > 1 { Some(1) } else { None };
    first.into_iter().chain(round).map(|epoch| (epoch as f64, epoch.to_string())).collect()
}
