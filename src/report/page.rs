//! The page: all that the templates are told, and the templates.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;
use serde_json::Value as Json;

use super::Maps;
use super::album::{Album, Small};
use super::chart::{history, search};
use super::evaluation::Evaluation;
use super::facts::{self, Fact};
use super::known::Known;
use super::map::{Map, STYLES};
use super::scored::Scored;
use crate::counts::{count, thousands};
use crate::head::Head;
use crate::scores::Scores;

/// The templates; `page.html` takes in the others.
const TEMPLATES: [(&str, &str); 8] = [
    ("page.html", include_str!("templates/page.html")),
    ("macros.html", include_str!("templates/macros.html")),
    ("summary.html", include_str!("templates/summary.html")),
    ("evaluation.html", include_str!("templates/evaluation.html")),
    ("confusion.html", include_str!("templates/confusion.html")),
    ("map.html", include_str!("templates/map.html")),
    ("scored.html", include_str!("templates/scored.html")),
    ("facts.html", include_str!("templates/facts.html")),
];

/// The style.
const STYLE: &str = concat!(include_str!("palette.css"), include_str!("chart/chart.css"), include_str!("style.css"));

/// All that the templates are told.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    classes: &'a [String],
    /// Hues and shapes of classes.
    styles: usize,
    is_linear: bool,
    /// Which rows were held out, as a person would say it.
    measured_on: Option<String>,
    held_out: Option<Evaluation>,
    map: Option<Map>,
    scored: Option<Scored>,
    scored_evaluation: Option<Evaluation>,
    fit: Vec<Fact>,
    search: Option<String>,
    history: Option<String>,
    provenance: Vec<Fact>,
    thumbnails: &'a [Small],
    missing: Option<String>,
    left_out: Option<String>,
}

impl<'a> Page<'a> {
    pub(super) fn new(
        head: &'a Head,
        scores: Option<&Scores>,
        held_out: Option<&Known<'_>>,
        known_scores: Option<&Known<'_>>,
        album: &'a Album,
        maps: &Maps<'_>,
    ) -> Self {
        let thresholds = head.thresholds.as_deref();
        let evaluation = |known: &Known<'_>| Evaluation::new(known, thresholds, album, maps);
        let places = head.held_out.as_ref().map(|held_out| held_out.map.view());
        let search = facts::search(head);
        let chosen = head.fit.get("alpha").and_then(Json::as_f64);
        let best_epoch = head.fit.get("best_epoch").and_then(Json::as_u64).and_then(|best| usize::try_from(best).ok());
        Self {
            classes: &head.classes,
            styles: STYLES,
            is_linear: matches!(head.model, crate::head::Model::Linear(_)),
            measured_on: head.held_out.as_ref().map(|held_out| measured_on(&held_out.set)),
            held_out: held_out.map(evaluation),
            map: held_out.zip(places).and_then(|(known, places)| Map::new(known, places, album)),
            scored: scores.map(|scores| Scored::new(scores, album)),
            scored_evaluation: known_scores.map(evaluation),
            fit: facts::fit(head),
            search: search::chart(&search, chosen),
            history: history::chart(&facts::history(head), best_epoch),
            provenance: facts::provenance(&head.provenance),
            thumbnails: &album.thumbnails,
            missing: (album.missing > 0).then(|| count(album.missing, "image was", "images were")),
            left_out: (album.left_out > 0).then(|| thousands(album.left_out)),
        }
    }

    /// The page as text.
    pub(super) fn html(&self) -> Result<String, minijinja::Error> {
        let mut templates = Environment::new();
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        templates.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        templates.set_syntax(syntax.build()?);
        for (name, source) in TEMPLATES {
            templates.add_template(name, source)?;
        }
        templates.get_template("page.html")?.render(context! { page => Value::from(Serde(self)), style => STYLE })
    }
}

/// How the images that a head was measured on are new to it.
fn measured_on(set: &str) -> String {
    match set {
        "validation" => "These images were held out for validation: the head did not learn from them.".to_owned(),
        "test" => "These images are a test set: the head did not learn from them.".to_owned(),
        "out of fold" => {
            "Each image was judged by a head that had not learned from it, one of several fitted on a part of the images."
                .to_owned()
        }
        other => format!("These images: {other}."),
    }
}
