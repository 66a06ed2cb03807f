//! How gradients move parameters: SGD with momentum, or AdamW, as PyTorch defines them.
//!
//! ```text
//! SGD     g = gradient + decay value              AdamW   value = value - rate decay value
//!         velocity = momentum velocity + g                mean = β1 mean + (1 - β1) gradient
//!         value = value - rate velocity                   square = β2 square + (1 - β2) gradient²
//!                                                         value = value - rate (mean / (1 - β1^t)) / (sqrt(square / (1 - β2^t)) + ε)
//! ```
//!
//! Parameters are one flat vector, and a step is one pass over it: scaled (clipping), decayed, moved, gradient set to zero. Seventeen
//! million numbers with a velocity each are 200 MB, so that each further pass would be another fifth of all the optimiser's time.
//!
//! Weight decay is for kernels and the weights of the head only. Betas, gammas and biases are left alone, as is the custom (He et
//! al., "Bag of tricks", 2018): to pull them to zero makes nothing simpler. PyTorch decays whatever it is given.

use std::ops::Range;

use rayon::prelude::*;

/// Numbers that a thread takes at once. Each number's arithmetic is its own, so that the bits do not depend on the threads.
const CHUNK: usize = 1 << 16;

/// Which rule, and its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `torch.optim.SGD`, dampening 0, no Nesterov.
    Sgd {
        /// What is kept of the velocity a step.
        momentum: f64,
    },
    /// `torch.optim.AdamW`, no AMSGrad.
    AdamW {
        /// What is kept of the mean a step.
        beta1: f64,
        /// What is kept of the mean square a step.
        beta2: f64,
        /// What keeps the divisor from zero.
        epsilon: f64,
    },
}

impl Rule {
    /// AdamW with PyTorch's constants.
    pub const ADAMW: Self = Self::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

    /// Numbers that are kept for each parameter.
    #[must_use]
    pub const fn state_len(self) -> usize {
        match self {
            Self::Sgd { .. } => 1,
            Self::AdamW { .. } => 2,
        }
    }
}

/// A rule at work on a flat vector of parameters.
#[derive(Clone, Debug)]
pub struct Optimiser {
    rule: Rule,
    weight_decay: f64,
    /// The parts of the vector that decay, in ascending order.
    decayed: Vec<Range<usize>>,
    state: Vec<Vec<f32>>,
    steps: u64,
}

/// What a step does to each number, for whoever does it elsewhere than on the host.
#[cfg(feature = "cuda")]
#[derive(Clone, Copy)]
pub enum Change {
    /// SGD.
    Sgd {
        /// What is kept of the velocity.
        momentum: f32,
        /// How far it goes.
        rate: f32,
        /// Gradients are multiplied by it.
        scale: f32,
    },
    /// AdamW.
    AdamW(AdamW),
}

/// The constants of one step.
#[derive(Clone, Copy)]
struct Step {
    /// Gradients are multiplied by it.
    scale: f32,
    rate: f64,
    steps: u64,
}

impl Optimiser {
    /// An optimiser of `len` parameters, of which those in `decayed` (ascending, apart) decay.
    #[must_use]
    pub fn new(rule: Rule, weight_decay: f64, decayed: Vec<Range<usize>>, len: usize) -> Self {
        Self { rule, weight_decay, decayed, state: vec![vec![0.0; len]; rule.state_len()], steps: 0 }
    }

    /// One step: moves `values` by `gradients` times `scale`, and sets these to zero. Both are as long as was said at first.
    pub fn step(&mut self, values: &mut [f32], gradients: &mut [f32], learning_rate: f64, scale: f64) {
        self.steps += 1;
        let step = Step { scale: scale as f32, rate: learning_rate, steps: self.steps };
        let Self { rule, weight_decay, decayed, state, .. } = self;
        let parts = values.par_chunks_mut(CHUNK).zip(gradients.par_chunks_mut(CHUNK));
        match (*rule, state.as_mut_slice()) {
            (Rule::Sgd { momentum }, [velocity]) => {
                parts.zip(velocity.par_chunks_mut(CHUNK)).enumerate().for_each(
                    |(chunk, ((values, gradients), velocity))| {
                        each_run(decayed, chunk * CHUNK, values.len(), |run, decays| {
                            let decay = if decays { *weight_decay } else { 0.0 };
                            sgd(
                                &mut values[run.clone()],
                                &mut gradients[run.clone()],
                                &mut velocity[run],
                                momentum,
                                decay,
                                step,
                            );
                        });
                    },
                );
            }
            (Rule::AdamW { beta1, beta2, epsilon }, [mean, square]) => {
                let moments = mean.par_chunks_mut(CHUNK).zip(square.par_chunks_mut(CHUNK));
                let constants = AdamW::new(beta1, beta2, epsilon, step);
                parts.zip(moments).enumerate().for_each(|(chunk, ((values, gradients), (mean, square)))| {
                    each_run(decayed, chunk * CHUNK, values.len(), |run, decays| {
                        let decay = if decays { *weight_decay } else { 0.0 };
                        let moments = (&mut mean[run.clone()], &mut square[run.clone()]);
                        constants.step(&mut values[run.clone()], &mut gradients[run], moments, decay);
                    });
                });
            }
            // `new` makes as many vectors as the rule keeps.
            _ => {}
        }
    }

    /// Begins a step that is done elsewhere.
    #[cfg(feature = "cuda")]
    pub(in crate::engine) fn begin(&mut self, learning_rate: f64, scale: f64) -> Change {
        self.steps += 1;
        let step = Step { scale: scale as f32, rate: learning_rate, steps: self.steps };
        match self.rule {
            Rule::Sgd { momentum } => {
                Change::Sgd { momentum: momentum as f32, rate: learning_rate as f32, scale: step.scale }
            }
            Rule::AdamW { beta1, beta2, epsilon } => Change::AdamW(AdamW::new(beta1, beta2, epsilon, step)),
        }
    }

    /// The parts of a vector of so many parameters, in their order, and by how much they decay.
    #[cfg(feature = "cuda")]
    pub(in crate::engine) fn parts(&self, len: usize) -> Vec<(Range<usize>, f64)> {
        let mut parts = Vec::new();
        if self.weight_decay == 0.0 {
            parts.extend((len > 0).then_some((0..len, 0.0)));
        } else {
            each_run(&self.decayed, 0, len, |run, decays| {
                parts.push((run, if decays { self.weight_decay } else { 0.0 }));
            });
        }
        parts
    }

    /// What is kept between steps, a vector as long as the parameters each, and how many steps there were.
    #[must_use]
    pub fn state(&self) -> (&[Vec<f32>], u64) {
        (&self.state, self.steps)
    }

    /// Goes on from what [`Self::state`] gave; false, and nothing is changed, where it is of other lengths.
    pub fn restore(&mut self, state: Vec<Vec<f32>>, steps: u64) -> bool {
        let fits = state.len() == self.state.len() && state.iter().zip(&self.state).all(|(a, b)| a.len() == b.len());
        if fits {
            (self.state, self.steps) = (state, steps);
        }
        fits
    }
}

/// The square of the length of a vector, in float64; the same bits for any number of threads.
#[must_use]
pub fn squared_norm(vector: &[f32]) -> f64 {
    let of_chunk = |chunk: &[f32]| {
        // Eight sums, so that none waits for the one before it.
        let mut sums = [0.0_f64; 8];
        let (eights, rest) = chunk.as_chunks::<8>();
        for eight in eights {
            for (sum, &x) in sums.iter_mut().zip(eight) {
                *sum += f64::from(x) * f64::from(x);
            }
        }
        let rest: f64 = rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        sums.iter().sum::<f64>() + rest
    };
    let sums: Vec<f64> = vector.par_chunks(CHUNK).map(of_chunk).collect();
    sums.iter().sum()
}

/// By what gradients of this norm are to be multiplied so that it is no longer than `limit` (`torch.nn.utils.clip_grad_norm_`).
#[must_use]
pub fn clip_scale(norm: f64, limit: Option<f64>) -> f64 {
    limit.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0))
}

/// Cuts the `len` numbers from `first` on into runs of which all decay or none does; runs are relative to `first`.
fn each_run(decayed: &[Range<usize>], first: usize, len: usize, mut run: impl FnMut(Range<usize>, bool)) {
    let (mut at, end) = (first, first + len);
    let mut next = decayed.partition_point(|range| range.end <= first);
    while at < end {
        let (stop, decays) = match decayed.get(next) {
            Some(range) if range.start <= at => {
                next += 1;
                (range.end.min(end), true)
            }
            Some(range) => (range.start.min(end), false),
            None => (end, false),
        };
        if stop > at {
            run(at - first..stop - first, decays);
        }
        at = stop.max(at);
    }
}

fn sgd(values: &mut [f32], gradients: &mut [f32], velocity: &mut [f32], momentum: f64, decay: f64, step: Step) {
    let (momentum, decay, rate) = (momentum as f32, decay as f32, step.rate as f32);
    for ((value, gradient), velocity) in values.iter_mut().zip(gradients).zip(velocity) {
        *velocity = momentum * *velocity + (step.scale * *gradient + decay * *value);
        *value -= rate * *velocity;
        *gradient = 0.0;
    }
}

/// The constants of one step of AdamW.
#[derive(Clone, Copy)]
pub struct AdamW {
    /// What is kept of the mean.
    pub beta1: f32,
    /// What is kept of the mean square.
    pub beta2: f32,
    /// What keeps the divisor from zero.
    pub epsilon: f32,
    /// Gradients are multiplied by it.
    pub scale: f32,
    rate: f64,
    /// rate / (1 - β1^t).
    pub step_size: f32,
    /// 1 / sqrt(1 - β2^t).
    pub widen: f32,
}

impl AdamW {
    fn new(beta1: f64, beta2: f64, epsilon: f64, Step { scale, rate, steps }: Step) -> Self {
        let left = |beta: f64| 1.0 - beta.powf(steps as f64);
        Self {
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            epsilon: epsilon as f32,
            scale,
            rate,
            step_size: (rate / left(beta1)) as f32,
            widen: left(beta2).sqrt().recip() as f32,
        }
    }

    /// What is kept of values that decay so much.
    pub fn keep(&self, decay: f64) -> f32 {
        (1.0 - self.rate * decay) as f32
    }

    fn step(&self, values: &mut [f32], gradients: &mut [f32], (mean, square): (&mut [f32], &mut [f32]), decay: f64) {
        let keep = self.keep(decay);
        for (((value, gradient), mean), square) in values.iter_mut().zip(gradients).zip(mean).zip(square) {
            let g = self.scale * *gradient;
            *mean += (1.0 - self.beta1) * (g - *mean);
            *square = self.beta2 * *square + (1.0 - self.beta2) * g * g;
            *value = keep * *value - self.step_size * *mean / (square.sqrt() * self.widen + self.epsilon);
            *gradient = 0.0;
        }
    }
}
