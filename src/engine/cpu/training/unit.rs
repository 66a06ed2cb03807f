//! A convolution with its batch norm and its ReLU, and the average pool that stands before it, forward and back.
//!
//! ```text
//! frozen statistics     x ─▶ convolution with the scaled kernel, (pool), shift, ReLU ─▶ y
//! the batch's           x ─▶ convolution, (pool) ─▶ z ─▶ normalise, ReLU ─▶ y
//!
//! backward              dy ─▶ mask (and normalisation) ─▶ (pool) ─▶ dz ─┬─▶ by the inputs
//!                                                                       ╰─▶ by the kernel
//! ```
//!
//! A 1x1 convolution after an average pool is moved before it, as in [`super::super::program`]: the pool has fewer channels then.
#![expect(unsafe_code, reason = "follows the pointers of maps")]

use candle_core::Result;

use super::super::super::trainable::{BatchNorm, Pass};
use super::super::algorithm::Algorithm;
use super::super::convolution::{Block, Convolution, Epilogue, KernelView, Operands};
use super::super::kernels::Reduce;
use super::super::memory::Memory;
use super::super::pool::Pool;
use super::arena::Maps;
use super::batch_norm::{self, Statistics};
use super::clock::Phase;
use super::input_gradient::InputGradient;
use super::kernel_gradient::{KernelGradient, Rows};
use super::parameters::{Numbers, Parameters};
use super::pixels;
use super::pools;
use super::program::Place;
use super::unit_weights::Direction;
use super::workers::Workers;
use super::workspace::Workspace;
use crate::inception::{self, Window};
use crate::weights::ConvolutionWeights;

/// A convolution, batch norm and ReLU, ready to run in both directions.
pub struct Unit {
    shape: inception::Convolution,
    kernel: Numbers,
    gamma: Option<Numbers>,
    beta: Numbers,
    mean: Numbers,
    variance: Numbers,
    /// How fast the running statistics follow, where the batch's are used.
    momentum: Option<f64>,
    /// The average pool that comes before it, and whether its padding counts.
    pooled: Option<(Window, bool)>,
    /// Where the convolution's result goes on its way to the pool,
    linear: Option<Place>,
    /// and where what is to be normalised goes.
    raw: Option<Place>,
    scales: Vec<f32>,
    shifts: Vec<f32>,
    forward: Vec<Convolution>,
    pool: Option<Pool>,
    input_gradient: Option<InputGradient>,
    kernel_gradient: Option<KernelGradient>,
    /// Of the last batch to learn from.
    statistics: Option<Statistics>,
}

/// Where a unit is in the network.
pub struct Site {
    pub name: String,
    pub shape: inception::Convolution,
    pub pooled: Option<(Window, bool)>,
    pub linear: Option<Place>,
    pub trains_kernel: bool,
    pub trains_batch_norm: bool,
    pub batch_norm: BatchNorm,
    /// Whether the gradient by the inputs is needed, and whether it is added to what is there.
    pub by_input: Option<bool>,
}

impl Unit {
    /// Takes the tensors in.
    ///
    /// # Errors
    /// A shape that has no gradient here, see [`InputGradient::new`]; those of candle.
    pub fn new(
        site: &Site,
        weights: &ConvolutionWeights,
        parameters: &mut Parameters,
        workers: &Workers,
    ) -> Result<Self> {
        let Site { name, shape, trains_kernel, trains_batch_norm, .. } = site;
        let momentum = match site.batch_norm {
            BatchNorm::Train { momentum } if *trains_batch_norm => Some(momentum),
            _ => None,
        };
        let follows = momentum.is_some();
        let kernel = parameters.take(*trains_kernel, || format!("{name}.conv.weight"), &weights.kernel)?;
        let gamma = weights.gamma.as_ref().filter(|_| shape.gamma);
        let gamma = gamma.map(|gamma| parameters.take(*trains_batch_norm, || format!("{name}.bn.weight"), gamma));
        let gamma = gamma.transpose()?;
        let beta = parameters.take(*trains_batch_norm, || format!("{name}.bn.bias"), &weights.beta)?;
        let mean = parameters.take_statistic(follows, || format!("{name}.bn.running_mean"), &weights.mean)?;
        let variance = parameters.take_statistic(follows, || format!("{name}.bn.running_var"), &weights.variance)?;

        // The right numbers come with each pass.
        let bias = vec![0.0; shape.out_channels];
        let floor = if follows || site.pooled.is_some() { f32::NEG_INFINITY } else { 0.0 };
        let epilogue = Epilogue { bias: &bias, floor, accumulate: false };
        let kernels = workers.kernels.as_ref();
        let algorithm = match Algorithm::of(shape) {
            // Weights that change with every step cost as much more to lay out for it as it saves.
            Algorithm::Strassen => Algorithm::Pointwise,
            other => other,
        };
        let forward = Convolution::all(*shape, algorithm, epilogue, kernels);
        let input_gradient = match site.by_input {
            None => None,
            Some(accumulate) => match InputGradient::new(shape, accumulate, kernels) {
                Some(gradient) => Some(gradient),
                None => candle_core::bail!("{name} has a window whose gradient is unknown: {:?}", shape.window),
            },
        };
        let trains_gamma = !follows && gamma.as_ref().is_some_and(Numbers::is_trained);
        let kernel_gradient = (*trains_kernel || trains_gamma).then(|| KernelGradient::new(*shape));
        let pool = site.pooled.map(|(window, counts_padding)| Pool {
            reduce: Reduce::Mean,
            window,
            counts_padding,
            bias: Memory::zeroed(shape.out_channels),
            floor: if follows { f32::NEG_INFINITY } else { 0.0 },
        });
        Ok(Self {
            shape: *shape,
            kernel,
            gamma,
            beta,
            mean,
            variance,
            momentum,
            pooled: site.pooled,
            linear: site.linear,
            raw: None,
            scales: Vec::new(),
            shifts: Vec::new(),
            forward,
            pool,
            input_gradient,
            kernel_gradient,
            statistics: None,
        })
    }

    /// Whether it normalises by the batch's statistics, and so needs room for what is to be normalised.
    pub const fn follows(&self) -> bool {
        self.momentum.is_some()
    }

    /// Gives it that room.
    pub fn set_raw(&mut self, place: Place) {
        self.raw = Some(place);
    }

    /// Numbers of scratch that a block needs.
    pub fn scratch(&self, panel: usize) -> usize {
        let forward = self.forward.iter().map(Convolution::scratch).max().unwrap_or(0);
        let by_input = self.input_gradient.as_ref().map_or(0, InputGradient::scratch);
        let by_kernel = self.kernel_gradient.as_ref().map_or(0, |gradient| gradient.scratch(panel));
        forward.max(by_input).max(by_kernel)
    }

    /// Numbers that its weights for a direction are laid out in.
    pub fn weights(&self, direction: Direction) -> usize {
        match direction {
            Direction::Forward => self.forward.iter().map(Convolution::weights).sum(),
            Direction::Back => self.input_gradient.as_ref().map_or(0, InputGradient::weights),
        }
    }

    /// Takes scales and shifts from the parameters as they are now, for a pass forward.
    pub fn fold(&mut self, parameters: &Parameters) {
        let Parameters { values, statistics, .. } = parameters;
        let reciprocals = self.reciprocals(statistics);
        let gamma = self.gamma.as_ref().map(|gamma| gamma.of(values));
        let scales: Vec<f64> =
            reciprocals.enumerate().map(|(c, r)| gamma.map_or(1.0, |gamma| f64::from(gamma[c])) * r).collect();
        let (mean, beta) = (self.mean.of(statistics), self.beta.of(values));
        let shifts =
            scales.iter().enumerate().map(|(c, scale)| (f64::from(beta[c]) - f64::from(mean[c]) * scale) as f32);
        self.shifts = shifts.collect();
        self.scales = scales.iter().map(|&scale| scale as f32).collect();
        match &mut self.pool {
            _ if self.momentum.is_some() => {}
            Some(pool) => pool.bias.copy_from_slice(&self.shifts),
            None => self.forward.iter_mut().for_each(|convolution| convolution.set_bias(&self.shifts)),
        }
    }

    /// Then lays the weights out, in so many numbers.
    pub fn lay_out(&self, direction: Direction, values: &[f32], mut weights: &mut [f32]) {
        let kernel = self.view(values);
        match (direction, &self.input_gradient) {
            (Direction::Forward, _) => {
                for convolution in &self.forward {
                    let (of_this, others) = weights.split_at_mut(convolution.weights());
                    convolution.lay_out(&kernel, of_this);
                    weights = others;
                }
            }
            (Direction::Back, Some(gradient)) => gradient.lay_out(kernel, weights),
            (Direction::Back, None) => {}
        }
    }

    /// The kernel that its convolution has, scaled where the running statistics normalise.
    fn view<'a>(&'a self, values: &'a [f32]) -> KernelView<'a> {
        let view = KernelView::new(&self.shape, self.kernel.of(values));
        if self.follows() { view } else { view.scaled(&self.scales) }
    }

    /// 1 / deviation of the running statistics, by channel.
    fn reciprocals(&self, statistics: &[f32]) -> impl Iterator<Item = f64> {
        let variance = self.variance.of(statistics).to_vec();
        variance.into_iter().map(|variance| (f64::from(variance) + inception::Convolution::EPSILON).sqrt().recip())
    }

    /// From the inputs to the outputs, or to what is to be normalised.
    ///
    /// # Safety
    /// The places are this unit's, in memory that lives and that nobody else has meanwhile.
    pub unsafe fn convolve(
        &self,
        workers: &Workers,
        maps: &Maps<'_>,
        [input, output]: [Place; 2],
        mut weights: &[f32],
    ) {
        let (input, output) = (maps.of(input), maps.of(output));
        let raw = self.raw.map(|raw| maps.of(raw));
        let target = raw.as_ref().unwrap_or(&output);
        let linear = self.linear.map(|linear| maps.of(linear));
        let convolved = linear.as_ref().unwrap_or(target);
        for convolution in &self.forward {
            let (of_this, others) = weights.split_at(convolution.weights());
            weights = others;
            let operands = Operands { kernels: workers.kernels.as_ref(), zeros: &workers.zeros, weights: of_this };
            let of = convolution.blocks(convolved, workers.blocks());
            workers.each(of, |scratch, at| {
                let maps = [&input, convolved];
                // SAFETY: the caller's promise; blocks are different pixels.
                unsafe { convolution.run(operands, scratch, maps, Block { at, of }) }
            });
        }
        if let (Some(pool), Some(linear)) = (&self.pool, &linear) {
            workers.each(Pool::blocks(target), |scratch, block| {
                // SAFETY: as above.
                unsafe { pool.run(workers.kernels.as_ref(), &workers.zeros, scratch, [linear, target], block) }
            });
        }
    }

    /// From what is to be normalised to the outputs, where that is not done yet.
    ///
    /// # Errors
    /// Batch statistics of a single pixel.
    ///
    /// # Safety
    /// As [`Self::convolve`].
    pub unsafe fn normalise(
        &mut self,
        workers: &Workers,
        maps: &Maps<'_>,
        output: Place,
        pass: Pass,
        parameters: &mut Parameters,
    ) -> Result<()> {
        let Some(raw) = self.raw else { return Ok(()) };
        let [raw, output] = &[raw, output].map(|place| maps.of(place));
        let Some(momentum) = self.momentum.filter(|_| pass == Pass::Train) else {
            // SAFETY: the caller's promise.
            unsafe { batch_norm::normalise(workers, raw, output, &self.scales, &self.shifts) };
            return Ok(());
        };
        let places = pixels::count(raw);
        if places < 2 {
            candle_core::bail!("batch norm needs more than one place to train on: one has no variance");
        }
        // SAFETY: the caller's promise.
        let statistics = unsafe { batch_norm::statistics(workers, raw) };
        let gamma = self.gamma.as_ref().map(|gamma| gamma.of(&parameters.values));
        let beta = self.beta.of(&parameters.values);
        let scales: Vec<f32> =
            statistics.reciprocal.iter().enumerate().map(|(c, r)| gamma.map_or(1.0, |gamma| gamma[c]) * r).collect();
        let shifts: Vec<f32> =
            scales.iter().enumerate().map(|(c, scale)| beta[c] - statistics.mean[c] * scale).collect();
        // SAFETY: the caller's promise.
        unsafe { batch_norm::normalise(workers, raw, output, &scales, &shifts) };
        let unbiased = places as f64 / (places - 1) as f64;
        let running = |numbers: &Numbers, batch: &mut dyn Iterator<Item = f64>, all: &mut [f32]| {
            let Some(running) = numbers.gradient(all) else { return };
            for (running, batch) in running.iter_mut().zip(batch) {
                *running = (f64::from(*running) * (1.0 - momentum) + batch * momentum) as f32;
            }
        };
        let all = &mut parameters.statistics;
        running(&self.mean, &mut statistics.mean.iter().map(|&mean| f64::from(mean)), all);
        running(&self.variance, &mut statistics.variance.iter().map(|variance| variance * unbiased), all);
        self.statistics = Some(statistics);
        Ok(())
    }

    /// From the gradient of the outputs, which it changes, to that of the inputs, and to those of the parameters.
    ///
    /// # Safety
    /// As [`Self::convolve`], of both arenas.
    pub unsafe fn backward(
        &self,
        workers: &Workers,
        [maps, gradients]: [&Maps<'_>; 2],
        [input, output]: [Place; 2],
        parameters: &mut Parameters,
        weights: &[f32],
        Workspace { panels, clock }: &mut Workspace,
    ) {
        let by_output = gradients.of(output);
        let Parameters { values, gradients: all, statistics, .. } = parameters;
        let gamma = self.gamma.as_ref();
        clock.start();
        // SAFETY (of all in here): the caller's promise.
        let by_beta = match (&self.statistics, self.raw) {
            (Some(statistics), Some(raw)) if self.follows() => {
                let maps = [&maps.of(raw), &maps.of(output), &by_output];
                let gamma_now = gamma.map(|gamma| gamma.of(values));
                let [by_beta, by_gamma] = unsafe { batch_norm::backward(workers, maps, statistics, gamma_now) };
                add(gamma.and_then(|gamma| gamma.gradient(all)), &by_gamma);
                by_beta
            }
            _ => unsafe { pixels::mask(workers, &maps.of(output), &by_output) },
        };
        add(self.beta.gradient(all), &by_beta);
        clock.stop(Phase::Mask);

        let linear = self.linear.map(|linear| gradients.of(linear));
        if let (Some((window, counts_padding)), Some(linear)) = (&self.pooled, &linear) {
            unsafe { pools::average(workers, window, *counts_padding, [&by_output, linear], false) }
            clock.stop(Phase::Pools);
        }
        let by_convolved = linear.as_ref().unwrap_or(&by_output);
        if let Some(gradient) = &self.input_gradient {
            unsafe { gradient.run(workers, weights, [by_convolved, &gradients.of(input)]) }
            clock.stop(Phase::ByInput);
        }
        if let Some(gradient) = &self.kernel_gradient {
            let trained_gamma = gamma.filter(|gamma| gamma.is_trained() && !self.follows());
            let mut by_scale = trained_gamma.map(|_| vec![0.0; self.shape.out_channels]);
            let ones = vec![1.0; self.shape.out_channels];
            let rows = Rows {
                kernel: self.kernel.of(values),
                scales: if self.follows() { &ones } else { &self.scales },
                gradient: self.kernel.gradient(all),
                by_scale: by_scale.as_deref_mut(),
            };
            unsafe { gradient.run(workers, [&maps.of(input), by_convolved], panels, rows) }
            if let (Some(gamma), Some(by_scale)) = (trained_gamma, by_scale) {
                // y = s (w x - mean) + beta, where s = gamma / deviation.
                let (mean, reciprocals) = (self.mean.of(statistics), self.reciprocals(statistics));
                let by_gamma =
                    reciprocals.enumerate().map(|(c, r)| r * (by_scale[c] - f64::from(mean[c]) * by_beta[c]));
                add(gamma.gradient(all), &by_gamma.collect::<Vec<_>>());
            }
            clock.stop(Phase::ByKernel);
        }
    }
}

fn add(to: Option<&mut [f32]>, numbers: &[f64]) {
    to.into_iter().flatten().zip(numbers).for_each(|(to, number)| *to += *number as f32);
}
