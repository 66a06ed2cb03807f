//! Three kinds of images: trained on, watched, held out.
//!
//! ```text
//! images ─┬▶ held out by the head ───────────────▶ held out: neither the head nor the training has seen them; they tell how good both are
//!         └▶ learnt from by the head ─┬▶ 85 % ───▶ trained on
//!                                     └▶ 15 % ───▶ watched: when to stop, which epoch, which temperature
//! ```
//!
//! Which images the head held out stands in its file: their paths, or, where they were too many for it, the seed and the part by
//! which they were dealt. A head that held out none (`--validation 0`, `--test`) has seen all images that are here: then a part is held
//! out from the training, and it is said that the head has the advantage on it.

use std::collections::HashSet;

use anyhow::{Result, bail, ensure};

use crate::cli::FinetuneArgs;
use crate::commands::console::Console;
use crate::counts::count;
use crate::dataset::{Dataset, stratified_part};
use crate::finetune::Rows;
use crate::head::{Head, HeldOut};

/// The part of the images learnt from that is watched, as in `fit-head --head dense`.
const WATCHED: f64 = 0.15;
/// What `fit-head` calls the images that it held out itself.
const VALIDATION_SET: &str = "validation";
/// What is held out where the head holds out nothing.
const VALIDATION: f64 = 0.2;

/// Which image is for what.
pub(super) struct Split {
    pub(super) train: Rows,
    pub(super) watch: Rows,
    pub(super) held_out: Rows,
    /// Whether the head has not learnt from what is held out.
    pub(super) is_fair: bool,
}

impl Split {
    /// Of the candidates at these positions, those that could be read. Labels are positions in the head's classes.
    pub(super) fn new(
        dataset: &Dataset,
        accepted: Vec<usize>,
        head: &Head,
        args: &FinetuneArgs,
        console: Console,
    ) -> Result<Self> {
        let labels = accepted.iter().map(|&candidate| label(dataset, candidate)).collect();
        let all = Rows { candidates: accepted, labels };
        let of_head = held_out_by(head, dataset, &all)?;
        let is_fair = of_head.is_some();
        let (learnt_from, held_out) = if let Some(positions) = of_head {
            positions
        } else {
            console.say(
                "warning: the head holds out no images, so that it may have learnt from those that are held out now: on them it \
                 looks better than it is. Fit it with --validation 0.2 for a fair comparison",
            );
            stratified_part(&all.labels, args.validation.unwrap_or(VALIDATION), args.seed)
        };
        ensure!(!held_out.is_empty(), "no image is held out to tell how good the model is: raise --validation");
        let learnt_from = some(&all, &learnt_from);
        // The same stream as fit-head's: what a dense head was stopped by, it has not been trained on.
        let seed = head.fit["seed"].as_u64().unwrap_or(args.seed).wrapping_add(2);
        let (train, watch) = stratified_part(&learnt_from.labels, WATCHED, seed);
        let split = Self {
            train: some(&learnt_from, &train),
            watch: some(&learnt_from, &watch),
            held_out: some(&all, &held_out),
            is_fair,
        };
        split.require_every_class(head)?;
        Ok(split)
    }

    fn require_every_class(&self, head: &Head) -> Result<()> {
        match (0..head.classes.len()).find(|class| !self.train.labels.contains(class)) {
            Some(class) => bail!("no image of the class '{}' is left to train on: add some", head.classes[class]),
            None => Ok(()),
        }
    }

    /// `96 images to train on, 17 to watch, 24 held out`.
    pub(super) fn shown(&self) -> String {
        format!(
            "{} to train on, {} to watch, {} held out",
            count(self.train.len(), "image", "images"),
            self.watch.len(),
            self.held_out.len()
        )
    }
}

/// Refuses `--validation` for a head that holds out images of its own.
pub(super) fn require_no_part(head: &Head, args: &FinetuneArgs) -> Result<()> {
    let holds_out = head.held_out.as_ref().is_some_and(|held_out| held_out.set == VALIDATION_SET);
    ensure!(
        !holds_out || args.validation.is_none(),
        "--validation: the head holds out images of its own, by which both are judged; leave the flag away"
    );
    Ok(())
}

/// Refuses a folder whose classes are not the head's, and brings them into the head's order.
pub(super) fn take_classes_of(head: &Head, dataset: &mut Dataset) -> Result<()> {
    let named = |classes: Vec<&String>| {
        let names: Vec<String> = classes.iter().take(5).map(|class| format!("'{class}'")).collect();
        let more = if classes.len() > 5 { format!(" and {} more", classes.len() - 5) } else { String::new() };
        names.join(", ") + &more
    };
    ensure!(
        !dataset.classes.is_empty(),
        "the images under {} lie in no class folders: put them into a folder a class, named as the head's classes: {}",
        dataset.root.display(),
        named(head.classes.iter().collect())
    );
    let missing: Vec<&String> = head.classes.iter().filter(|class| !dataset.classes.contains(class)).collect();
    let unknown: Vec<&String> = dataset.classes.iter().filter(|class| !head.classes.contains(class)).collect();
    ensure!(
        unknown.is_empty(),
        "the head does not know the classes {} under {}: fit a head on these images first",
        named(unknown),
        dataset.root.display()
    );
    ensure!(missing.is_empty(), "no images of the head's classes {} under {}", named(missing), dataset.root.display());
    let position = |class: u32| head.classes.iter().position(|known| *known == dataset.classes[class as usize]);
    for candidate in &mut dataset.candidates {
        candidate.class = candidate.class.and_then(position).map(|class| class as u32);
    }
    dataset.classes.clone_from(&head.classes);
    Ok(())
}

/// Which of the rows the head learnt from and which it held out, by position; none where it held out none, or nobody knows.
fn held_out_by(head: &Head, dataset: &Dataset, all: &Rows) -> Result<Option<(Vec<usize>, Vec<usize>)>> {
    let Some(HeldOut { set, metrics, paths, .. }) = &head.held_out else { return Ok(None) };
    if set != VALIDATION_SET {
        return Ok(None);
    }
    let named: HashSet<&str> = paths.iter().map(String::as_str).collect();
    let is_named = |row: usize| named.contains(dataset.candidates[all.candidates[row]].path.as_str());
    let (learnt_from, held_out) = if paths.len() == metrics.rows {
        (0..all.len()).partition(|&row| !is_named(row))
    } else {
        let (Some(part), Some(seed)) = (head.fit["validation"].as_f64(), head.fit["seed"].as_u64()) else {
            return Ok(None);
        };
        let (learnt_from, held_out) = stratified_part(&all.labels, part, seed);
        let known = held_out.iter().filter(|&&row| is_named(row)).count();
        ensure!(
            held_out.len() == metrics.rows && known == paths.len(),
            "the images under {} are not those that the head was fitted on: which ones it held out cannot be told any more; fit it again",
            dataset.root.display()
        );
        (learnt_from, held_out)
    };
    ensure!(
        !held_out.is_empty(),
        "none of the images that the head was judged by lies under {}: give the folder that it was fitted on",
        dataset.root.display()
    );
    Ok(Some((learnt_from, held_out)))
}

fn label(dataset: &Dataset, candidate: usize) -> usize {
    dataset.candidates[candidate].class.map_or(0, |class| class as usize)
}

fn some(rows: &Rows, positions: &[usize]) -> Rows {
    Rows {
        candidates: positions.iter().map(|&row| rows.candidates[row]).collect(),
        labels: positions.iter().map(|&row| rows.labels[row]).collect(),
    }
}
