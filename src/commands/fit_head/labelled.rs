//! Rows whose classes are known, out of a file of embeddings.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array2, Axis};

use crate::commands::console::Console;
use crate::commands::provenance;
use crate::counts::count;
use crate::embeddings::{EmbeddingsFile, Provenance};

/// N rows of F numbers, each with its class and its image.
#[derive(Clone, Debug)]
pub(super) struct Labelled {
    pub(super) provenance: Provenance,
    pub(super) classes: Vec<String>,
    /// The folder of the images.
    pub(super) images: Option<String>,
    /// `[N]`.
    pub(super) paths: Vec<String>,
    /// `[N]`, positions in `classes`.
    pub(super) labels: Vec<usize>,
    /// [N, F].
    pub(super) rows: Array2<f32>,
}

impl Labelled {
    /// Reads the rows that have a class.
    pub(super) fn read(path: &Path, console: Console) -> Result<Self> {
        let mut file = EmbeddingsFile::open(path)?;
        let Some(labels) = file.labels.take().filter(|_| !file.classes.is_empty()) else {
            bail!(
                "{} has no labels: its images lay in no class folders. Put them into a folder a class \
                 (images/cat/1.jpg, images/dog/2.jpg) and extract them again",
                path.display()
            );
        };
        let (columns, mut position) = (file.columns, 0);
        let (mut rows, mut bad) = (Vec::with_capacity(file.len() * columns), None);
        let each = |row: &[f32]| {
            if labels[position] >= 0 {
                if bad.is_none() && row.iter().any(|x| !x.is_finite()) {
                    bad = Some(position);
                }
                rows.extend_from_slice(row);
            }
            position += 1;
        };
        file.for_each_row(each).with_context(|| format!("cannot read {}", path.display()))?;
        if let Some(bad) = bad {
            bail!(
                "{}: the row of {} holds numbers that are not finite; extract it again",
                path.display(),
                file.paths[bad]
            );
        }
        let kept = labels.iter().map(|&label| label >= 0);
        let paths: Vec<String> =
            file.paths.into_iter().zip(kept).filter_map(|(path, kept)| kept.then_some(path)).collect();
        let left_out = labels.len() - paths.len();
        if left_out > 0 {
            console.say(format_args!("{} in no class folder: left out", count(left_out, "image lies", "images lie")));
        }
        let labels = labels.into_iter().filter_map(|label| usize::try_from(label).ok()).collect();
        let rows = Array2::from_shape_vec((paths.len(), columns), rows)?;
        Ok(Self { provenance: file.provenance, classes: file.classes, images: file.images, paths, labels, rows })
    }

    /// Reads rows to test a head on that is fitted on `train`: its classes, by name, and rows made by the same network.
    pub(super) fn read_test(path: &Path, train: &Self, console: Console) -> Result<Self> {
        let mut test = Self::read(path, console)?;
        let rows = format!("those of {}", path.display());
        let remedy = "extract both with the same --weights and --preprocess";
        provenance::require_same(&train.provenance, &test.provenance, &rows, remedy)?;
        ensure!(
            test.rows.ncols() == train.rows.ncols(),
            "{} has rows of {} numbers, and those to learn from have {}",
            path.display(),
            test.rows.ncols(),
            train.rows.ncols()
        );
        let known: Vec<Option<usize>> =
            test.classes.iter().map(|class| train.classes.iter().position(|known| known == class)).collect();
        let kept: Vec<usize> = (0..test.labels.len()).filter(|&row| known[test.labels[row]].is_some()).collect();
        ensure!(!kept.is_empty(), "{} has no row of a class that is learnt", path.display());
        let left_out = test.labels.len() - kept.len();
        if left_out > 0 {
            let name = path.display();
            console.say(format_args!(
                "{} of {name} of a class that is not learnt: left out",
                count(left_out, "row is", "rows are")
            ));
        }
        test.labels = test.labels.iter().map(|&label| known[label].unwrap_or_default()).collect();
        test.classes.clone_from(&train.classes);
        Ok(test.some(&kept))
    }

    /// Refuses what nothing can be learnt from.
    pub(super) fn require_classes(&self) -> Result<()> {
        let (classes, counts) = (&self.classes, self.class_counts());
        ensure!(
            classes.len() >= 2,
            "all images are of one class, '{}': there is nothing to tell it from. Add a folder of something else",
            classes.first().map_or("", String::as_str)
        );
        ensure!(
            classes.len() <= self.labels.len(),
            "there are {} classes and only {} images",
            classes.len(),
            self.labels.len()
        );
        let small: Vec<&str> =
            classes.iter().zip(counts).filter(|&(_, count)| count < 2).map(|(class, _)| class.as_str()).collect();
        let named = small.iter().take(5).map(|class| format!("'{class}'")).collect::<Vec<_>>().join(", ");
        let more = if small.len() > 5 { format!(" and {} more", small.len() - 5) } else { String::new() };
        ensure!(
            small.is_empty(),
            "fewer than two images that could be read in {}: {named}{more}. A class needs one to learn from and one to look \
             at: add images or take the folder away, and extract again",
            count(small.len(), "class", "classes"),
        );
        Ok(())
    }

    /// The number of rows of each class.
    pub(super) fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        self.labels.iter().for_each(|&label| counts[label] += 1);
        counts
    }

    /// What each row has to count so that each class counts the same, and all rows together as many as they are.
    pub(super) fn balanced_weights(&self) -> Vec<f32> {
        let counts = self.class_counts();
        let weight = |&label: &usize| self.labels.len() as f64 / (counts.len() * counts[label]) as f64;
        self.labels.iter().map(|label| weight(label) as f32).collect()
    }

    /// The rows at these positions.
    pub(super) fn some(&self, positions: &[usize]) -> Self {
        Self {
            provenance: self.provenance.clone(),
            classes: self.classes.clone(),
            images: self.images.clone(),
            paths: positions.iter().map(|&row| self.paths[row].clone()).collect(),
            labels: positions.iter().map(|&row| self.labels[row]).collect(),
            rows: self.rows.select(Axis(0), positions),
        }
    }
}
