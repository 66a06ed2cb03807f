//! Who runs a batch: whoever decodes, or, in front of a device of its own, threads that do nothing else.
//!
//! ```text
//! CPU     batch ─▶ rayon's threads, which decode too: all cores have work, whatever it is
//! a card  batch ─▶ [queue] ─▶ a few threads that wait for the card ─▶ rows        rayon's go on decoding meanwhile
//! ```

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Batches on their way for each lane: while one is computed, the next one is brought.
const OF_LANE: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// Threads for batches, as many as there are batches on their way.
pub struct Lanes {
    ahead: usize,
    /// None where rayon's do it.
    own: Option<Own>,
}

impl Lanes {
    /// Rayon's threads.
    pub const fn of_cpu() -> Self {
        Self { ahead: OF_LANE, own: None }
    }

    /// Threads of its own, for so many lanes of a device.
    pub fn of_device(lanes: usize) -> Self {
        let ahead = OF_LANE * lanes.max(1);
        Self { ahead, own: Some(Own::new(ahead)) }
    }

    /// How many batches are to be on their way at any time.
    pub const fn ahead(&self) -> usize {
        self.ahead
    }

    /// Does a job on one of them, soon.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        match &self.own {
            None => rayon::spawn(job),
            Some(own) => own.spawn(Box::new(job)),
        }
    }
}

/// Threads that take jobs from a queue until it is closed.
struct Own {
    queue: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Own {
    fn new(count: usize) -> Self {
        let (queue, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        let threads = (0..count).map(|_| {
            let jobs = Arc::clone(&jobs);
            thread::spawn(move || work(&jobs))
        });
        Self { queue: Some(queue), threads: threads.collect() }
    }

    fn spawn(&self, job: Job) {
        if let Some(queue) = &self.queue {
            // Where no thread is left the job is dropped, and whoever waits for what it was to send knows.
            drop(queue.send(job));
        }
    }
}

impl Drop for Own {
    /// Waits for the batches that are under way: a device is not let go in the midst of one.
    fn drop(&mut self) {
        drop(self.queue.take());
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => break,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_device_of_three_lanes_has_six_batches_at_once() {
        let lanes = Lanes::of_device(3);
        assert_eq!(lanes.ahead(), 6);
        let together = Arc::new(Barrier::new(7));
        for _ in 0..6 {
            let together = Arc::clone(&together);
            lanes.spawn(move || {
                together.wait();
            });
        }
        together.wait();
    }

    #[test]
    fn dropping_them_waits_for_what_is_under_way() {
        let done = Arc::new(AtomicUsize::new(0));
        let lanes = Lanes::of_device(1);
        for _ in 0..5 {
            let done = Arc::clone(&done);
            lanes.spawn(move || {
                thread::sleep(std::time::Duration::from_millis(2));
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        drop(lanes);
        assert_eq!(done.load(Ordering::SeqCst), 5);
    }
}
