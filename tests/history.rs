//! How training went: the table of it, the picture of it, and what the report finds of it in a model.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test that panics has failed, as it should"
)]

mod support;

use headstock::head::Head;
use headstock::history::{Epoch, History, Step, Validation};
use headstock::image::Preset;
use headstock::report::{Pictures, Report, curves, write_curves};
use serde_json::json;
use support::heads::{linear_head, provenance};

fn validation(loss: f64, accuracy: f64) -> Validation {
    Validation { loss, accuracy }
}

/// Two epochs of three steps and one step of a third, the second of them kept.
fn history() -> History {
    let step = |step: usize| Step {
        step,
        epoch: step.div_ceil(3),
        loss: 2.0 / step as f64,
        learning_rate: 0.001 * step as f64,
    };
    History {
        start: Some(validation(2.5, 0.25)),
        steps: (1..=7).map(step).collect(),
        epochs: vec![
            Epoch { epoch: 1, train_loss: 1.25, validation: Some(validation(1.75, 0.5)) },
            Epoch { epoch: 2, train_loss: 0.5, validation: Some(validation(0.875, 0.75)) },
        ],
        best_epoch: Some(2),
    }
}

#[test]
fn the_table_has_a_line_a_step_and_what_came_of_an_epoch_at_its_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.csv");
    history().write_csv(&path).unwrap();
    let table = std::fs::read_to_string(&path).unwrap();
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let named = ["step", "epoch", "learning_rate", "loss", "epoch_loss", "validation_loss", "validation_accuracy"];
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), named);
    let rows: Vec<Vec<Option<f64>>> = reader
        .records()
        .map(|row| row.unwrap().iter().map(|text| (!text.is_empty()).then(|| text.parse().unwrap())).collect())
        .collect();
    assert_eq!(rows.len(), 8);
    assert_eq!(rows[0], [Some(0.0), Some(0.0), None, None, None, Some(2.5), Some(0.25)]);
    for (row, step) in rows[1..].iter().zip(history().steps) {
        let own = [Some(step.step as f64), Some(step.epoch as f64), Some(step.learning_rate), Some(step.loss)];
        assert_eq!(row[..4], own, "numbers come back to the bit");
    }
    let of_epochs: Vec<_> = rows[1..].iter().map(|row| (row[4], row[5], row[6])).collect();
    let none = (None, None, None);
    let [first, second] = [(Some(1.25), Some(1.75), Some(0.5)), (Some(0.5), Some(0.875), Some(0.75))];
    assert_eq!(of_epochs, [none, none, first, none, none, second, none]);
}

#[test]
fn a_history_comes_back_from_its_json_to_the_bit() {
    let mut history = history();
    history.steps[0].loss = 0.1 + 0.2;
    let json = serde_json::to_string(&history).unwrap();
    assert_eq!(serde_json::from_str::<History>(&json).unwrap(), history);
}

/// The points of the line of a class, within one chart: `M12 30L40 20` gives two.
fn points(svg: &str, class: &str, chart: usize) -> Vec<(f64, f64)> {
    let begin = format!("<path class=\"{class}\" d=\"");
    let drawn = svg.split(&begin).skip(1).map(|rest| rest.split('"').next().unwrap());
    let line = drawn.filter(|d| !d.contains('H')).nth(chart).unwrap();
    let place = |place: &str| {
        let (x, y) = place.split_once(' ').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    };
    line[1..].split('L').map(place).collect()
}

#[test]
fn the_picture_shows_each_loss_at_its_epoch_and_what_is_less_lies_lower() {
    let svg = curves(&history());
    let validation = points(&svg, "curve k0", 0);
    let (epochs, steps) = (points(&svg, "curve k1", 0), points(&svg, "curve thin", 0));
    assert_eq!((validation.len(), epochs.len(), steps.len()), (3, 2, 7));
    let close = |a: f64, b: f64| assert!((a - b).abs() < 0.31, "{a} and {b}");
    // The start, the ends of both epochs: as far from each other. The means in between.
    let epoch = validation[1].0 - validation[0].0;
    close(validation[2].0 - validation[1].0, epoch);
    close(epochs[0].0, validation[0].0 + epoch / 2.0);
    close(epochs[1].0, validation[1].0 + epoch / 2.0);
    // The third step ends the first epoch, the last is a third of an epoch past the second.
    close(steps[2].0, validation[1].0);
    close(steps[6].0, validation[2].0 + epoch / 3.0);
    // Down is more of y: 2.5, 1.75, 0.875 of validation beside 1.25 and 0.5 of the epochs, on one scale.
    let scale = (validation[1].1 - validation[0].1) / 0.75;
    close(validation[2].1, validation[0].1 + scale * (2.5 - 0.875));
    close(epochs[1].1, validation[0].1 + scale * (2.5 - 0.5));
    assert!(scale > 0.0);
    let ring = format!("cx=\"{:.1}\" cy=\"{:.1}\"", validation[2].0, validation[2].1);
    assert!(svg.contains(&ring), "the kept epoch is marked at {ring}");
}

#[test]
fn the_picture_needs_nothing_else_and_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.svg");
    write_curves(&history(), &path).unwrap();
    let svg = std::fs::read_to_string(&path).unwrap();
    assert_eq!(svg, curves(&history()));
    let rest = svg.strip_prefix("<svg xmlns=\"http://www.w3.org/2000/svg\"").unwrap();
    for foreign in ["http", "url(", "<script", "href", "@import"] {
        assert!(!rest.contains(foreign), "{foreign}");
    }
    assert!(rest.contains("kept: epoch 2, loss 0.875, accuracy 75.0"));
}

#[test]
fn training_without_validation_without_steps_or_with_a_loss_that_leaps_has_a_picture_too() {
    let plain = History { start: None, best_epoch: None, ..history() };
    let without = Epoch { validation: None, ..plain.epochs[0] };
    let svg = curves(&History { epochs: vec![without], ..plain });
    assert!(!svg.contains("circle") && !svg.contains("NaN"));
    for none in
        [History::default(), History { best_epoch: Some(0), start: Some(validation(1.0, 0.0)), ..History::default() }]
    {
        let svg = curves(&none);
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    let mut leaps = History { steps: Vec::new(), ..history() };
    leaps.steps = (1..=300).map(|step| Step { step, epoch: 1, loss: 1.0, learning_rate: 0.1 }).collect();
    leaps.steps[7].loss = 1e6;
    let [validation, steps] = ["curve k0", "curve thin"].map(|class| points(&curves(&leaps), class, 0));
    assert!(validation[0].1 + 50.0 < validation[2].1, "one leap does not press the others down: {validation:?}");
    let highest = steps.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    assert!(highest > 40.0 && highest < validation[0].1, "and stays in the chart: {highest}");
}

#[test]
fn the_epochs_in_a_models_fit_are_the_reports_chart_of_its_training() {
    let fit = json!({ "history": history().epochs, "best_epoch": history().best_epoch });
    let head = Head { fit, ..linear_head(&["a", "b"], 4, provenance(Preset::Tf)) };
    let pictures = Pictures { image: &|_, _| None, maps: &|_, _| Vec::new() };
    let html = Report::new(&head, None, &pictures, 10).unwrap().html;
    assert!(html.contains("Loss over 2 epochs, number 2 was taken"));
}
