//! How a dense head was trained: loss over epochs.

use super::super::facts::Epoch;
use super::super::numbers::decimal;
use super::{Plot, epoch_ticks, even_ticks};

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
        plot.chosen(best as f64, loss, &format!("epoch {best}: {}", decimal(loss)));
    }
    let taken = best.map(|best| format!(", number {best} was taken")).unwrap_or_default();
    Some(plot.finish(&format!("Loss over {} epochs{taken}", history.len())))
}
