//! What a head said of many images, as a file.
//!
//! ```text
//! probabilities [K] of an image ─▶ Score ─▶ Format ─┬▶ csv     a line an image
//!                                                   └▶ jsonl   an object a line
//! csv, jsonl ─▶ Scores
//! ```
//!
//! | | every class | `--top K` |
//! |---|---|---|
//! | csv | `path,class,probability,p_<class>,...` | `path,class,probability,class_1,p_1,...,class_K,p_K` |
//! | jsonl | `{"path", "class", "probability", "probabilities": {<class>: p, ...}}` | `{"path", "class", "probability", "top": [{"class", "probability"}, ...]}` |
//!
//! `class` is the decision, [`UNSURE`] where there is none; `probability` is that of the most probable class. Probabilities
//! have as many digits as it takes to read the same float32 again.

mod csv;
mod format;
mod jsonl;
mod read;

pub use format::{Format, UnknownFormat};
pub use read::ScoresError;

/// The decision on an image of which no class is probable enough.
pub const UNSURE: &str = "unsure";

/// What a head said of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The image, relative to the folder it was read from.
    pub path: String,
    /// The class that was decided on, by position; none where no class is probable enough.
    pub class: Option<usize>,
    /// Of every class, `[K]`, in the order of the head's classes.
    pub probabilities: Vec<f32>,
}

/// A file of scores, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The names of the K classes, as the file orders them; those that occur, in byte order, where it holds only the top.
    pub classes: Vec<String>,
    /// How many classes it tells of for each image; none where it tells of all. Of the others the probability reads as 0.
    pub top: Option<usize>,
    /// In the order of the file.
    pub rows: Vec<Score>,
}

impl Score {
    /// The classes by position, the most probable one first; equals stay in the order of the classes.
    #[must_use]
    pub fn ranked(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.probabilities.len()).collect();
        order.sort_by(|&a, &b| self.probabilities[b].total_cmp(&self.probabilities[a]));
        order
    }

    /// The probability of the most probable class.
    #[must_use]
    pub fn probability(&self) -> f32 {
        self.probabilities.iter().copied().fold(0.0, f32::max)
    }

    /// The decision in words.
    fn decision<'a>(&self, classes: &'a [String]) -> &'a str {
        self.class.map_or(UNSURE, |class| &classes[class])
    }
}
