//! Charts, as SVG that stands in the page and takes its colours from the page's style.
//!
//! Each chart is a [`Plot`] (a frame, its scales and ticks) and what is drawn in it. Sizes are in units of the SVG, which
//! the page scales to the width it has: about a pixel on a desktop, three quarters of one on a phone.

pub(super) mod curves;
pub(super) mod history;
mod precision_recall;
pub(super) mod reliability;
mod roc;
pub(super) mod search;
pub(super) mod training;

use std::fmt::Write;

use minijinja::HtmlEscape;

/// How lines, ticks and names look.
const CHART_STYLE: &str = include_str!("chart.css");

/// Ticks at epochs, at most.
const EPOCH_TICKS: usize = 8;

/// Text that may come from a stranger, as it may stand in HTML.
pub(super) fn text(text: &str) -> String {
    HtmlEscape(text).to_string()
}

/// An axis: which numbers it spans, from where to where it is drawn.
#[derive(Clone, Copy)]
struct Axis {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    fn at(&self, number: f64) -> f64 {
        self.start + (number - self.from) / (self.to - self.from) * (self.end - self.start)
    }
}

/// A frame to draw in.
struct Plot {
    width: f64,
    height: f64,
    x: Axis,
    y: Axis,
    svg: String,
}

impl Plot {
    /// A frame with its inner box at `[left, top, right, bottom]`, and the numbers that the two axes span.
    fn new(size: [f64; 2], inner: [f64; 4], x: [f64; 2], y: [f64; 2]) -> Self {
        let [left, top, right, bottom] = inner;
        Self {
            width: size[0],
            height: size[1],
            x: Axis { from: x[0], to: x[1], start: left, end: right },
            y: Axis { from: y[0], to: y[1], start: bottom, end: top },
            svg: String::new(),
        }
    }

    /// Adds SVG.
    fn add(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.svg.write_fmt(arguments);
    }

    /// Lines and numbers for the places on the x axis, each a number and what is written there.
    fn x_ticks(&mut self, ticks: &[(f64, String)]) {
        let (top, bottom) = (self.y.end, self.y.start);
        for (number, label) in ticks {
            let x = self.x.at(*number);
            self.add(format_args!(r#"<path class="grid" d="M{x:.1} {top:.1}V{bottom:.1}"/>"#));
            let below = bottom + 19.0;
            self.add(format_args!(
                r#"<text class="tick" x="{x:.1}" y="{below:.1}" text-anchor="middle">{label}</text>"#
            ));
        }
    }

    /// The same on the y axis.
    fn y_ticks(&mut self, ticks: &[(f64, String)]) {
        let (left, right) = (self.x.start, self.x.end);
        for (number, label) in ticks {
            let y = self.y.at(*number);
            self.add(format_args!(r#"<path class="grid" d="M{left:.1} {y:.1}H{right:.1}"/>"#));
            let (x, y) = (left - 8.0, y + 4.5);
            self.add(format_args!(r#"<text class="tick" x="{x:.1}" y="{y:.1}" text-anchor="end">{label}</text>"#));
        }
    }

    /// What the axes show.
    fn axis_names(&mut self, x_name: &str, y_name: &str) {
        self.x_name(x_name);
        let (x, y) = (14.0, f64::midpoint(self.y.start, self.y.end));
        self.add(format_args!(
            r#"<text class="name" x="{x:.1}" y="{y:.1}" text-anchor="middle" transform="rotate(-90 {x:.1} {y:.1})">{y_name}</text>"#
        ));
    }

    /// What the x axis shows.
    fn x_name(&mut self, name: &str) {
        let (x, y) = (f64::midpoint(self.x.start, self.x.end), self.y.start + 40.0);
        self.add(format_args!(r#"<text class="name" x="{x:.1}" y="{y:.1}" text-anchor="middle">{name}</text>"#));
    }

    /// What the chart shows, above it, and to its right what the lines stand for: the class of each, and its name.
    fn title(&mut self, title: &str, legend: &[(&str, &str)]) {
        let (left, y) = (self.x.start, self.y.end - 16.0);
        self.add(format_args!(r#"<text class="title" x="{left:.1}" y="{y:.1}">{title}</text>"#));
        let mut right = self.x.end;
        for (class, name) in legend.iter().rev() {
            self.add(format_args!(r#"<text x="{right:.1}" y="{y:.1}" text-anchor="end">{name}</text>"#));
            // Letters are about as wide as this.
            let end = right - 7.4 * name.chars().count() as f64 - 6.0;
            let (start, middle) = (end - 24.0, y - 4.5);
            self.add(format_args!(r#"<path class="{class}" d="M{start:.1} {middle:.1}H{end:.1}"/>"#));
            right = start - 14.0;
        }
    }

    /// A ring around the place that was chosen.
    fn chosen(&mut self, x: f64, y: f64, title: &str) {
        let (x, y) = (self.x.at(x), self.y.at(y));
        self.add(format_args!(
            r#"<circle class="dot chosen" cx="{x:.1}" cy="{y:.1}" r="6.5"><title>{title}</title></circle>"#
        ));
    }

    /// A line through points of the axes, without the points that would not be seen.
    fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut places: Vec<(i64, i64)> = Vec::new();
        for &(x, y) in points {
            let place = ((self.x.at(x) * 10.0).round() as i64, (self.y.at(y) * 10.0).round() as i64);
            if places.last() == Some(&place) {
                continue;
            }
            // The middle one of three on a horizontal or vertical line.
            if let [.., a, b] = places[..]
                && ((a.0 == b.0 && b.0 == place.0) || (a.1 == b.1 && b.1 == place.1))
            {
                places.pop();
            }
            places.push(place);
        }
        let mut path = String::new();
        for (i, (x, y)) in places.iter().enumerate() {
            let command = if i == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{} {}", *x as f64 / 10.0, *y as f64 / 10.0);
        }
        self.add(format_args!(r#"<path class="{class}" d="{path}"/>"#));
    }

    /// The SVG, with what it shows for those who do not see it.
    fn finish(self, described: &str) -> String {
        let Self { width, height, svg, .. } = self;
        let described = text(described);
        format!(r#"<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{described}">{svg}</svg>"#)
    }
}

/// Ticks from 0 to 1.
fn part_ticks() -> Vec<(f64, String)> {
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0].iter().map(|&part| (part, format!("{part:.1}"))).collect()
}

/// Round numbers, three to seven of them.
fn even_ticks(from: f64, to: f64) -> Vec<(f64, String)> {
    let rough = (to - from) / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|times| times * power).find(|&step| step >= rough).unwrap_or(rough);
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let (first, last) = ((from / step).ceil() as i64, (to / step).floor() as i64);
    (first..=last).map(|i| (i as f64 * step, format!("{:.decimals$}", i as f64 * step))).collect()
}

/// Round numbers of epochs, and the first one.
fn epoch_ticks(epochs: usize) -> Vec<(f64, String)> {
    let steps = (0..).flat_map(|power| [1, 2, 5].map(|times| times * 10_usize.pow(power)));
    let step = steps.into_iter().find(|step| epochs / step < EPOCH_TICKS).unwrap_or(epochs);
    let round = (1..=epochs).filter(|epoch| epoch.is_multiple_of(step));
    let first = if step > 1 { Some(1) } else { None };
    first.into_iter().chain(round).map(|epoch| (epoch as f64, epoch.to_string())).collect()
}
