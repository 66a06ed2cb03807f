//! Decoding on rayon's threads, ahead of whoever takes the results, in the order of the candidates.

use std::collections::VecDeque;
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

/// An iterator that decodes on rayon's threads and gives the results in order. At most `ahead` files are decoded, being
/// decoded or waiting for a thread at any time.
pub struct DecodeAhead<I> {
    /// Not yet sent to a thread: candidates, each with what decodes it.
    jobs: I,
    /// Those sent, in order; each has a channel of its own, so that the order of the results is that of the queue.
    sent: VecDeque<(usize, Receiver<Result<Pixels, String>>)>,
    ahead: usize,
}

/// Decodes the candidates from position `start` on.
#[must_use]
pub fn decode_ahead(
    loader: Loader,
    candidates: &[Candidate],
    start: usize,
    ahead: usize,
) -> DecodeAhead<impl Iterator<Item = (usize, impl FnOnce() -> Result<Pixels, String> + Send + 'static)>> {
    let loader = Arc::new(loader);
    let jobs = (start..candidates.len()).map(move |candidate| {
        let (loader, path) = (Arc::clone(&loader), candidates[candidate].path.clone());
        (candidate, move || loader.load(&path))
    });
    DecodeAhead::new(jobs, ahead)
}

impl<I, J> DecodeAhead<I>
where
    I: Iterator<Item = (usize, J)>,
    J: FnOnce() -> Result<Pixels, String> + Send + 'static,
{
    /// Decodes candidates, each by what stands beside its position; the same one may come more than once.
    #[must_use]
    pub const fn new(jobs: I, ahead: usize) -> Self {
        Self { jobs, sent: VecDeque::new(), ahead: if ahead == 0 { 1 } else { ahead } }
    }

    fn send(&mut self, candidate: usize, decode: J) {
        let (sender, receiver) = sync_channel(1);
        // Where the receiver is gone nobody wants the result any more.
        rayon::spawn(move || drop(sender.send(decode())));
        self.sent.push_back((candidate, receiver));
    }
}

impl<I, J> Iterator for DecodeAhead<I>
where
    I: Iterator<Item = (usize, J)>,
    J: FnOnce() -> Result<Pixels, String> + Send + 'static,
{
    type Item = Decoded;

    fn next(&mut self) -> Option<Decoded> {
        while self.sent.len() < self.ahead {
            match self.jobs.next() {
                Some((candidate, decode)) => self.send(candidate, decode),
                None => break,
            }
        }
        let (candidate, receiver) = self.sent.pop_front()?;
        let pixels = receiver.recv().unwrap_or_else(|_| Err("its decoding thread ended early".to_owned()));
        Some(Decoded { candidate, pixels })
    }
}
