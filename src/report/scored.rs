//! What the scored images were called.

use serde::Serialize;

use super::album::Album;
use super::confusion::Shown;
use super::numbers::{percent, probability};
use super::{ReportError, Source};
use crate::counts::{count, thousands};
use crate::scores::{Score, Scores};

/// Images of which the head was least certain that are shown.
const LEAST_CERTAIN: usize = 24;
/// Images of a class that are shown, where there are few classes,
const OF_A_CLASS: usize = 12;
/// and where there are many.
const OF_A_CLASS_OF_MANY: usize = 6;
/// More classes than this are many.
const MANY: usize = 12;

/// All that is shown of scored images, whatever they are.
#[derive(Debug, Serialize)]
pub(super) struct Scored {
    images: String,
    /// How many classes the scores tell of for each image, where not of all.
    top: Option<usize>,
    groups: Vec<Group>,
    least_certain: Vec<Shown>,
}

/// The images that were called one class, or none.
#[derive(Debug, Serialize)]
struct Group {
    /// A class; none for the unsure ones.
    class: Option<String>,
    count: String,
    share: String,
    /// In per cent of the largest group.
    width: f64,
    sample: Vec<Shown>,
}

impl Scored {
    pub(super) fn new(scores: &Scores, album: &Album) -> Self {
        let groups = groups(scores);
        let largest = groups.iter().map(|(_, members)| members.len()).max().unwrap_or(0).max(1) as f64;
        let all = scores.rows.len().max(1) as f64;
        let groups = groups
            .into_iter()
            .map(|(class, members)| Group {
                class: class.map(|class| scores.classes[class].clone()),
                count: thousands(members.len()),
                share: percent(members.len() as f64 / all),
                width: (members.len() as f64 / largest * 1000.0).round() / 10.0,
                sample: sample(&members, scores)
                    .into_iter()
                    .map(|score| match class {
                        Some(_) => shown(score, album, vec![probability(score.probability())]),
                        None => shown(score, album, rivals(score, &scores.classes)),
                    })
                    .collect(),
            })
            .collect();
        let least_certain = least_certain(scores).into_iter();
        let least_certain = least_certain.map(|score| shown(score, album, rivals(score, &scores.classes))).collect();
        Self { images: count(scores.rows.len(), "image", "images"), top: scores.top, groups, least_certain }
    }
}

/// The scores with their classes in the order of the head's. Scores that hold only the top may lack some of the classes.
pub(super) fn aligned(scores: &Scores, classes: &[String]) -> Result<Scores, ReportError> {
    let other_classes = || {
        let list = |classes: &[String]| classes.join(", ");
        ReportError::OtherClasses { scores: list(&scores.classes), head: list(classes) }
    };
    let place = |name: &String| classes.iter().position(|class| class == name);
    let places: Option<Vec<usize>> = scores.classes.iter().map(place).collect();
    let places = places.ok_or_else(other_classes)?;
    if scores.top.is_none() && places.len() != classes.len() {
        return Err(other_classes());
    }
    let row = |score: &Score| {
        let mut probabilities = vec![0.0; classes.len()];
        places.iter().zip(&score.probabilities).for_each(|(&place, &p)| probabilities[place] = p);
        Score { path: score.path.clone(), class: score.class.map(|class| places[class]), probabilities }
    };
    Ok(Scores { classes: classes.to_vec(), top: scores.top, rows: scores.rows.iter().map(row).collect() })
}

/// Images to show, the most telling ones first.
pub(super) fn wanted(scores: &Scores) -> Vec<(Source, &str)> {
    let groups = groups(scores);
    let samples = groups.iter().flat_map(|(_, members)| sample(members, scores));
    least_certain(scores).into_iter().chain(samples).map(|score| (Source::Scored, score.path.as_str())).collect()
}

/// The images by what they were called, in the order of the classes; the unsure ones, if there are any, at the end.
fn groups(scores: &Scores) -> Vec<(Option<usize>, Vec<&Score>)> {
    let mut groups: Vec<(Option<usize>, Vec<&Score>)> =
        (0..scores.classes.len()).map(Some).chain([None]).map(|class| (class, Vec::new())).collect();
    for score in &scores.rows {
        let place = score.class.filter(|&class| class < scores.classes.len()).unwrap_or(scores.classes.len());
        groups[place].1.push(score);
    }
    if groups.last().is_some_and(|(_, unsure)| unsure.is_empty()) {
        groups.pop();
    }
    groups
}

/// Some of a group, evenly spread over its order.
fn sample<'a>(members: &[&'a Score], scores: &Scores) -> Vec<&'a Score> {
    let most = if scores.classes.len() > MANY { OF_A_CLASS_OF_MANY } else { OF_A_CLASS };
    let shown = members.len().min(most);
    (0..shown).map(|i| members[i * members.len() / shown]).collect()
}

/// The images whose most probable class is the least probable.
fn least_certain(scores: &Scores) -> Vec<&Score> {
    let mut order: Vec<&Score> = scores.rows.iter().collect();
    order.sort_by(|a, b| a.probability().total_cmp(&b.probability()));
    order.truncate(LEAST_CERTAIN);
    order
}

/// An image with what is to be said of it.
fn shown(score: &Score, album: &Album, notes: Vec<String>) -> Shown {
    Shown { path: score.path.clone(), thumbnail: album.place(Source::Scored, &score.path), notes }
}

/// The two most probable classes of an image.
fn rivals(score: &Score, classes: &[String]) -> Vec<String> {
    let rival = |class: usize| format!("{} {}", classes[class], probability(score.probabilities[class]));
    score.ranked().into_iter().take(2).map(rival).collect()
}
