//! Decoding on rayon's threads, ahead of whoever takes the results, in the order of the candidates.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use ::image::RgbImage;

use crate::dataset::Candidate;
use crate::image::{DecodeOptions, Pixels, Preprocess, decode};

/// How a file becomes pixels.
#[derive(Clone, Debug)]
pub struct Loader {
    /// The folder that candidates' paths are relative to.
    pub root: PathBuf,
    /// Background, limits.
    pub options: DecodeOptions,
    /// The recipe.
    pub preprocess: Preprocess,
}

impl Loader {
    /// Reads, decodes and resizes one file.
    ///
    /// # Errors
    /// The reason, one line, why the file gives no pixels.
    pub fn load(&self, path: &str) -> Result<Pixels, String> {
        Ok(self.preprocess.apply(&self.picture(path)?))
    }

    /// Reads and decodes one file.
    ///
    /// # Errors
    /// The reason, one line, why the file gives no picture.
    pub fn picture(&self, path: &str) -> Result<RgbImage, String> {
        let bytes = std::fs::read(self.root.join(path)).map_err(|error| format!("cannot be read: {error}"))?;
        decode(&bytes, &self.options).map_err(|error| error.to_string())
    }
}

/// One candidate, decoded or not.
#[derive(Debug)]
pub struct Decoded {
    /// Its position among the candidates.
    pub candidate: usize,
    /// The pixels, or the reason why there are none.
    pub pixels: Result<Pixels, String>,
}

/// An iterator that decodes candidates on rayon's threads and gives them in order. At most `ahead` of them are decoded,
/// being decoded or waiting for a thread at any time.
pub struct DecodeAhead<'a> {
    loader: Arc<Loader>,
    candidates: &'a [Candidate],
    /// Those not yet sent to a thread.
    rest: Range<usize>,
    /// Those sent, in order; each has a channel of its own, so that the order of the results is that of the queue.
    sent: VecDeque<(usize, Receiver<Result<Pixels, String>>)>,
    ahead: usize,
}

impl<'a> DecodeAhead<'a> {
    /// Decodes the candidates from position `start` on.
    #[must_use]
    pub fn new(loader: Loader, candidates: &'a [Candidate], start: usize, ahead: usize) -> Self {
        Self {
            loader: Arc::new(loader),
            candidates,
            rest: start..candidates.len(),
            sent: VecDeque::new(),
            ahead: ahead.max(1),
        }
    }

    fn send(&mut self, candidate: usize) {
        let (sender, receiver) = sync_channel(1);
        let (loader, path) = (Arc::clone(&self.loader), self.candidates[candidate].path.clone());
        // Where the receiver is gone nobody wants the result any more.
        rayon::spawn(move || drop(sender.send(loader.load(&path))));
        self.sent.push_back((candidate, receiver));
    }
}

impl Iterator for DecodeAhead<'_> {
    type Item = Decoded;

    fn next(&mut self) -> Option<Decoded> {
        while self.sent.len() < self.ahead {
            match self.rest.next() {
                Some(candidate) => self.send(candidate),
                None => break,
            }
        }
        let (candidate, receiver) = self.sent.pop_front()?;
        let pixels = receiver.recv().unwrap_or_else(|_| Err("its decoding thread ended early".to_owned()));
        Some(Decoded { candidate, pixels })
    }
}
