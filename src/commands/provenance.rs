//! By what rows are made, as it stands in the files, and whether a head may be put on them.

use std::ops::RangeInclusive;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use crate::cli::Background;
use crate::embeddings::Provenance;
use crate::image::Preprocess;
/// Sides of images that a preprocessing may bring to, in pixels: 299 but for backbones of other kinds.
const SIDES: RangeInclusive<u32> = 16..=1024;

/// By what this run makes rows: the SHA-256 of the network's file, its variant, what images become.
pub(super) fn of_run(
    weights: &str,
    variant: String,
    preprocess: &Preprocess,
    background: Background,
) -> Result<Provenance> {
    Ok(Provenance {
        weights: weights.to_owned(),
        variant,
        preprocess: preprocess_json(preprocess, background)?.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// The preprocessing, and the colour under transparent images, as they stand in files.
pub(super) fn preprocess_json(preprocess: &Preprocess, background: Background) -> Result<Value> {
    let mut json = serde_json::to_value(preprocess)?;
    json["background"] = json!(background);
    Ok(json)
}

/// The preprocessing, and the colour under transparent images, that the rows of a head were made with.
pub(super) fn preprocess(provenance: &Provenance) -> Result<(Preprocess, Background)> {
    parse_preprocess("the head's", &provenance.preprocess)
}

/// The same from its JSON, which is `whose`. Files come from strangers: what is none of the presets is refused, at a size
/// that no image is too large at.
pub(super) fn parse_preprocess(whose: &str, json: &str) -> Result<(Preprocess, Background)> {
    let read = || -> Option<(Preprocess, Background)> {
        let json: Value = serde_json::from_str(json).ok()?;
        let background = serde_json::from_value(json.get("background")?.clone()).ok()?;
        let preprocess: Preprocess = serde_json::from_value(json).ok()?;
        let side = preprocess.resize.side;
        let is_preset = SIDES.contains(&side) && preprocess == preprocess.preset.preprocess().with_side(side);
        is_preset.then_some((preprocess, background))
    };
    match read() {
        Some(preprocess) => Ok(preprocess),
        None => {
            bail!("{whose} preprocessing is none that this version of headstock knows: {json}")
        }
    }
}

/// Refuses rows that a head does not fit because they were made by something else than the rows it was fitted on. `rows`
/// says what the others are: `those of this run`.
pub(super) fn require_same(head: &Provenance, other: &Provenance, rows: &str, remedy: &str) -> Result<()> {
    match difference(head, other) {
        None => Ok(()),
        Some(Difference { what, here, there }) => {
            bail!("the head was fitted on rows of another {what} than {rows}: {here} there, {there} here; {remedy}")
        }
    }
}

/// Refuses rows that cannot be held against others because they were made by something else. Each side has a name.
pub(super) fn require_comparable(a: (&str, &Provenance), b: (&str, &Provenance), remedy: &str) -> Result<()> {
    match difference(a.1, b.1) {
        None => Ok(()),
        Some(Difference { what, here, there }) => {
            bail!("the features of {} and of {} are of another {what}: {here} and {there}; {remedy}", a.0, b.0)
        }
    }
}

/// What keeps rows from being comparable, as it is on either side.
struct Difference {
    what: &'static str,
    here: String,
    there: String,
}

/// The first thing by which rows were made differently, where there is such a one.
fn difference(here: &Provenance, there: &Provenance) -> Option<Difference> {
    if here.variant != there.variant {
        let (here, there) = (here.variant.clone(), there.variant.clone());
        return Some(Difference { what: "variant of the network", here, there });
    }
    if here.weights != there.weights {
        let [here, there] = [here, there].map(|of| format!("weights {}", of.weights));
        return Some(Difference { what: "network", here, there });
    }
    let (here, there) = (recipe(here), recipe(there));
    (here != there).then(|| {
        let (here, there) = only_differences(&here, &there);
        Difference { what: "preprocessing", here: here.to_string(), there: there.to_string() }
    })
}

/// The preprocessing as JSON where it is such: then neither spaces nor order count.
fn recipe(provenance: &Provenance) -> Value {
    serde_json::from_str(&provenance.preprocess).unwrap_or_else(|_| json!(provenance.preprocess))
}

/// What of two objects is not equal: the rest would hide it.
fn only_differences(a: &Value, b: &Value) -> (Value, Value) {
    let (Some(a_entries), Some(b_entries)) = (a.as_object(), b.as_object()) else { return (a.clone(), b.clone()) };
    let without = |of: &Map<String, Value>, other: &Map<String, Value>| {
        of.iter()
            .filter(|(key, value)| other.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    (Value::Object(without(a_entries, b_entries)), Value::Object(without(b_entries, a_entries)))
}
