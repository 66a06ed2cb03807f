//! The search for a penalty: log loss over alpha.

use super::super::facts::Tried;
use super::super::numbers::{decimal, plain};
use super::{Plot, even_ticks};

/// The chart; none where nothing was searched. `chosen` is the alpha that was taken.
pub(in super::super) fn chart(search: &[Tried], chosen: Option<f64>) -> Option<String> {
    let (first, last) = (search.first()?, search.last()?);
    let losses = search.iter().map(|tried| tried.log_loss);
    let (low, high) = (losses.clone().fold(f64::INFINITY, f64::min), losses.fold(f64::NEG_INFINITY, f64::max));
    let room = ((high - low) * 0.12).max(1e-4);
    let (from, to) = (first.alpha.log10(), last.alpha.log10());
    let edge = ((to - from) * 0.04).max(0.1);
    let mut plot = Plot::new(
        [400.0, 232.0],
        [58.0, 10.0, 390.0, 182.0],
        [from - edge, to + edge],
        [(low - room).max(0.0), high + room],
    );
    plot.x_ticks(&decades(from, to));
    plot.y_ticks(&even_ticks(plot.y.from, plot.y.to));
    plot.axis_names("alpha, the penalty", "log loss");
    let points: Vec<(f64, f64)> = search.iter().map(|tried| (tried.alpha.log10(), tried.log_loss)).collect();
    plot.line("curve k0", &points);
    for (tried, &(x, y)) in search.iter().zip(&points) {
        let is_chosen = chosen.is_some_and(|chosen| (chosen / tried.alpha - 1.0).abs() < 1e-9);
        let (x, y) = (plot.x.at(x), plot.y.at(y));
        let (class, radius) = if is_chosen { ("dot chosen", 6.5) } else { ("dot", 3.5) };
        let (alpha, loss) = (plain(tried.alpha), decimal(tried.log_loss));
        plot.add(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}"><title>alpha {alpha}: {loss}</title></circle>"#
        ));
    }
    let taken = chosen.map(|chosen| format!(", {} was taken", plain(chosen))).unwrap_or_default();
    Some(plot.finish(&format!(
        "Log loss for {} penalties from {} to {}{taken}",
        search.len(),
        plain(first.alpha),
        plain(last.alpha)
    )))
}

/// Powers of ten, at most seven.
fn decades(from: f64, to: f64) -> Vec<(f64, String)> {
    let (first, last) = ((from - 0.05).ceil() as i32, (to + 0.05).floor() as i32);
    let step = ((last - first) / 6).max(0) + 1;
    let ticks: Vec<(f64, String)> =
        (first..=last).step_by(step as usize).map(|power| (f64::from(power), format!("1e{power}"))).collect();
    if ticks.len() >= 2 { ticks } else { [from, to].iter().map(|&x| (x, plain(10_f64.powf(x)))).collect() }
}
