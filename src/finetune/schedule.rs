//! How long a step is: the learning rate of each.
//!
//! ```text
//! rate ┤   ╭──────────── constant            ┤   ╭─╮
//!      │  ╱                                  │  ╱   ╰╮
//!      │ ╱                                   │ ╱      ╲      half a cosine, down to nothing
//!      └┴──┴───────────▶ step                └┴──┴─────╰──▶ step
//!       warm-up                               warm-up
//! ```
//!
//! The first gradients of a network that has never seen these classes point anywhere; small steps keep them from spoiling it (warm-up:
//! Goyal et al. 2017). Large ones at the end jump about the minimum (half a cosine: Loshchilov and Hutter 2017, without restarts).

/// What becomes of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// It stays.
    Constant,
    /// It falls to nothing along half a cosine.
    Cosine,
}

/// The learning rate of each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest rate.
    pub learning_rate: f64,
    /// Steps over which it rises in a straight line; the first of them has `learning_rate / warmup_steps`.
    pub warmup_steps: usize,
    /// What comes then.
    pub decay: Decay,
    /// Steps in all, by which the cosine is laid out.
    pub steps: usize,
}

impl Schedule {
    /// The learning rate of a step, counted from 0.
    #[must_use]
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        match self.decay {
            Decay::Constant => self.learning_rate,
            Decay::Cosine => {
                let length = self.steps.saturating_sub(self.warmup_steps).max(1);
                let part = ((step - self.warmup_steps) as f64 / length as f64).min(1.0);
                self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * part).cos())
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the ends of a schedule are exact")]
mod tests {
    use super::{Decay, Schedule};

    #[test]
    fn the_rate_rises_in_a_line_and_then_stays() {
        let schedule = Schedule { learning_rate: 0.8, warmup_steps: 4, decay: Decay::Constant, steps: 10 };
        let rates: Vec<f64> = (0..6).map(|step| schedule.rate(step)).collect();
        assert_eq!(rates, [0.2, 0.4, 0.8 * 3.0 / 4.0, 0.8, 0.8, 0.8]);
        let none = Schedule { warmup_steps: 0, ..schedule };
        assert_eq!(none.rate(0), 0.8);
    }

    #[test]
    fn a_cosine_begins_at_the_top_passes_half_in_the_middle_and_ends_at_nothing() {
        let schedule = Schedule { learning_rate: 0.8, warmup_steps: 2, decay: Decay::Cosine, steps: 12 };
        assert_eq!(schedule.rate(2), 0.8);
        assert!((schedule.rate(7) - 0.4).abs() < 1e-15);
        assert!(schedule.rate(12) < 1e-15 && schedule.rate(100) < 1e-15);
        assert!((2..12).all(|step| schedule.rate(step) > schedule.rate(step + 1)));
        // Half a turn around its middle leaves it as it is.
        assert!((0..=10).all(|i| (schedule.rate(2 + i) + schedule.rate(12 - i) - 0.8).abs() < 1e-12));
    }

    #[test]
    fn a_warm_up_longer_than_the_training_is_cut_off() {
        let schedule = Schedule { learning_rate: 1.0, warmup_steps: 100, decay: Decay::Cosine, steps: 10 };
        assert_eq!(schedule.rate(9), 0.1);
        assert!(schedule.rate(100).is_finite());
    }
}
