//! Several engines as one: each batch goes to the engine that has the least to do.
//!
//! ```text
//!             ╭─▶ engine of cuda:0 ─╮
//! batches ────┤                     ├─▶ rows, back to whoever brought the batch
//!             ╰─▶ engine of cuda:1 ─╯
//! ```
//!
//! Who brings batches from as many threads as they have lanes keeps all of them busy; a faster card then takes more batches. The
//! order of the rows is the caller's business.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Device, Result, Tensor, bail};

use super::Engine;
use crate::image::{Normalise, Pixels};

/// Engines of one network, each on a device of its own.
pub struct Several {
    engines: Vec<Arc<dyn Engine>>,
    /// By engine, how many batches it has now.
    batches: Mutex<Vec<usize>>,
}

impl Several {
    /// Puts them side by side.
    ///
    /// # Errors
    /// Where there are none.
    pub fn new(engines: Vec<Arc<dyn Engine>>) -> Result<Self> {
        if engines.is_empty() {
            bail!("no engine to run the network");
        }
        Ok(Self { batches: Mutex::new(vec![0; engines.len()]), engines })
    }

    /// The engine with the least to do, taken for one batch.
    fn take(&self) -> Taken<'_> {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = (0..batches.len()).min_by_key(|&engine| batches[engine]).unwrap_or(0);
        batches[engine] += 1;
        Taken { of: self, engine }
    }
}

impl Engine for Several {
    /// The first one's.
    fn device(&self) -> &Device {
        self.engines[0].device()
    }

    /// Images that are on another engine's device are brought over first; [`Self::embed`] has no need to.
    fn run(&self, images: &Tensor) -> Result<Tensor> {
        let taken = self.take();
        let engine = taken.engine();
        engine.run(&images.to_device(engine.device())?)
    }

    fn embed(&self, images: &[Pixels], normalise: &Normalise) -> Result<Vec<f32>> {
        self.take().engine().embed(images, normalise)
    }

    fn lanes(&self) -> usize {
        self.engines.iter().map(|engine| engine.lanes()).sum()
    }

    /// What all of them say is said once.
    fn take_notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.engines.iter().flat_map(|engine| engine.take_notes()).collect();
        notes.dedup();
        notes
    }
}

/// An engine while it has a batch more.
struct Taken<'a> {
    of: &'a Several,
    engine: usize,
}

impl Taken<'_> {
    fn engine(&self) -> &dyn Engine {
        self.of.engines[self.engine].as_ref()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.of.batches.lock().unwrap_or_else(PoisonError::into_inner)[self.engine] -= 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Gives its own number, and leaves only when as many batches as the barrier wants are under way.
    struct Numbered {
        number: f32,
        runs: AtomicUsize,
        together: Arc<Barrier>,
    }

    impl Engine for Numbered {
        fn device(&self) -> &Device {
            &Device::Cpu
        }

        fn run(&self, images: &Tensor) -> Result<Tensor> {
            self.runs.fetch_add(1, Ordering::Relaxed);
            self.together.wait();
            if self.number < 0.0 {
                bail!("this one fails");
            }
            Tensor::full(self.number, (images.dim(0)?, 1), &Device::Cpu)
        }
    }

    fn numbered(numbers: &[f32], at_once: usize) -> (Vec<Arc<Numbered>>, Several) {
        let together = Arc::new(Barrier::new(at_once));
        let of = |&number| Arc::new(Numbered { number, runs: AtomicUsize::new(0), together: Arc::clone(&together) });
        let engines: Vec<Arc<Numbered>> = numbers.iter().map(of).collect();
        let several = Several::new(engines.iter().map(|engine| Arc::clone(engine) as Arc<dyn Engine>).collect());
        (engines, several.unwrap())
    }

    #[test]
    fn batches_that_come_at_once_are_shared_out_evenly() {
        let (engines, several) = numbered(&[1.0, 2.0, 3.0], 6);
        let images = Tensor::zeros((1, 3, 5, 5), candle_core::DType::F32, &Device::Cpu).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| several.run(&images).unwrap());
            }
        });
        for engine in engines {
            assert_eq!(engine.runs.load(Ordering::Relaxed), 2);
        }
        assert_eq!(several.lanes(), 3);
        assert_eq!(*several.batches.lock().unwrap(), [0, 0, 0]);
    }

    #[test]
    fn an_engine_that_fails_says_so_and_is_free_again() {
        let (_, several) = numbered(&[-1.0], 1);
        let images = Tensor::zeros((1, 3, 5, 5), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(several.run(&images).is_err());
        assert_eq!(*several.batches.lock().unwrap(), [0]);
        assert!(Several::new(Vec::new()).is_err());
    }
}
