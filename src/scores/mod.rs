//! What a head said of many images, as a file.
//!
//! ```text
//! probabilities [B, K] ─▶ Score ─▶ csv, jsonl ─▶ Scores (report, other programs)
//! ```

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
    /// The names of the K classes.
    pub classes: Vec<String>,
    /// In the order of the file.
    pub rows: Vec<Score>,
}
