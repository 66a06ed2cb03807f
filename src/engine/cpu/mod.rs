//! The planned engine for CPUs.
//!
//! ```text
//! once:     Network + Weights ─▶ program (steps, algorithms, weights laid out)
//! per size: program ─▶ layout (where each buffer lies)
//! always:   images ─▶ groups, a thread each ─▶ step by step through one piece of memory ─▶ results
//!                                                 └ a step: blocks ─▶ kernels
//! ```
//!
//! What is in which file, from the outside in: `program` says what is done, `layout` where, `group` does it, `convolution` and
//! `pool` cut a step into blocks, `kernels` are the inner loops; `algorithm` chooses, `minimal_filtering` has the arithmetic that makes
//! it faster than multiplying everything out. ARCHITECTURE.md explains it from the start.

pub mod algorithm;
mod convolution;
mod group;
pub mod kernels;
pub mod layer;
mod layout;
mod map;
mod memory;
pub mod minimal_filtering;
mod pool;
mod program;
mod scratch;
mod shelf;
mod stream;
pub mod training;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use candle_core::{Device, Error, Result, Storage, Tensor, bail};
use rayon::prelude::*;

use self::convolution::LaidOut;
use self::group::Group;
use self::kernels::{Instructions, Kernels};
use self::layout::Layout;
use self::memory::Memory;
use self::program::{Program, Work};
use self::scratch::Scratch;
use self::shelf::Shelf;
use super::Engine;
use crate::inception::{Network, Op};
use crate::weights::Weights;

/// Images that go together where maps are small: so many that their pixels fill the register tiles, and the weights are
/// read once for all of them.
const GROUP: usize = 8;

/// The planned engine.
pub struct Cpu {
    network: Network,
    kernels: Box<dyn Kernels>,
    program: Program,
    /// By height, width and images of a group.
    layouts: Mutex<HashMap<[usize; 3], Arc<Layout>>>,
    activations: Shelf<Memory>,
    scratches: Shelf<Scratch>,
}

impl Cpu {
    /// Prepares a network for the fastest instructions that this processor has.
    ///
    /// # Errors
    /// Where the weights are of another variant than the network; those of candle.
    pub fn new(network: Network, weights: &Weights) -> Result<Self> {
        Self::with(network, weights, Instructions::best())
    }

    /// Prepares a network for these instructions.
    ///
    /// # Errors
    /// As [`Self::new`], and where this processor does not have them.
    pub fn with(network: Network, weights: &Weights, instructions: Instructions) -> Result<Self> {
        let Some(kernels) = instructions.kernels() else { bail!("this processor has no {instructions}") };
        let program = Program::new(&network, weights, kernels.as_ref())?;
        Ok(Self {
            network,
            kernels,
            program,
            layouts: Mutex::default(),
            activations: Shelf::new(),
            scratches: Shelf::new(),
        })
    }

    fn layout(&self, size: [usize; 2], group: usize) -> Result<Arc<Layout>> {
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layout) = layouts.get(&[size[0], size[1], group]) {
            return Ok(Arc::clone(layout));
        }
        let shapes = self.network.shapes(size).map_err(Error::wrap)?;
        let layout = Arc::new(Layout::new(&self.program, &shapes, group));
        layouts.insert([size[0], size[1], group], Arc::clone(&layout));
        Ok(layout)
    }

    fn scratch(&self) -> Scratch {
        let values = self.program.steps.iter().map(|step| match &step.work {
            Work::Convolutions(convolutions) => convolutions.iter().map(LaidOut::scratch).max().unwrap_or(0),
            Work::Pool(_) | Work::GlobalAverage => 0,
        });
        Scratch::new(values.max().unwrap_or(0), self.program.zeros.len())
    }
}

impl Engine for Cpu {
    fn device(&self) -> &Device {
        &Device::Cpu
    }

    /// A feature map comes channels last in memory, as it is computed: whoever wants it so has it without a copy.
    fn run(&self, images: &Tensor) -> Result<Tensor> {
        let (count, colors, height, width) = images.dims4()?;
        if colors != 3 {
            bail!("images have three channels, these have {colors}");
        }
        let pixels = images.permute((0, 2, 3, 1))?.contiguous()?;
        let (storage, place) = pixels.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { bail!("the images are not on the CPU") };
        let pixels = &storage.as_slice::<f32>()?[place.start_offset()..];

        // Each thread takes the next group when it is done with one. The blocks of a step are there for whoever has nothing to
        // do, which is how the last groups, or a single image, keep all threads busy.
        let threads = rayon::current_num_threads();
        let group = GROUP.min(count.div_ceil(threads)).max(1);
        let layout = self.layout([height, width], group)?;
        let [channels, rows, columns] = layout.result;
        let of_result = channels * rows * columns;
        let of_image = 3 * height * width;
        let mut results = vec![0.0_f32; count * of_result];
        if of_result > 0 {
            let groups = results.chunks_mut(group * of_result).zip(pixels[..count * of_image].chunks(group * of_image));
            let groups = Mutex::new(groups);
            let next = || groups.lock().unwrap_or_else(PoisonError::into_inner).next();
            let workers = threads.min(count.div_ceil(group));
            // With fewer groups than threads a group's blocks are made small enough for those that have none.
            let least = if workers < threads { 2 * threads.div_ceil(workers) } else { 1 };
            let work = Group { engine: self, layout: &layout, size: [height, width], share: true, least, watch: None };
            (0..workers).into_par_iter().with_max_len(1).for_each(|_| {
                while let Some((results, pixels)) = next() {
                    self.activations.lend(
                        || Memory::zeroed(layout.len),
                        |memory| {
                            if memory.len() < layout.len {
                                *memory = Memory::zeroed(layout.len);
                            }
                            work.run(memory, pixels, results);
                        },
                    );
                }
            });
        }
        if self.network.nodes().last().is_some_and(|node| node.op == Op::GlobalAverage) {
            return Tensor::from_vec(results, (count, channels), &Device::Cpu);
        }
        Tensor::from_vec(results, (count, rows, columns, channels), &Device::Cpu)?.permute((0, 3, 1, 2))
    }
}

impl Cpu {
    /// What each step takes on one thread, in order, with the name of the node that it computes: for whoever looks for the time.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn time_steps(&self, images: &Tensor) -> Result<Vec<(&str, Duration)>> {
        let (count, _, height, width) = images.dims4()?;
        let pixels = images.permute((0, 2, 3, 1))?.flatten_all()?.to_vec1::<f32>()?;
        let layout = self.layout([height, width], count)?;
        let watch = Mutex::new(vec![Duration::ZERO; self.program.steps.len()]);
        let group =
            Group { engine: self, layout: &layout, size: [height, width], share: false, least: 1, watch: Some(&watch) };
        let mut memory = Memory::zeroed(layout.len);
        group.run(&mut memory, &pixels, &mut []);
        let times = watch.into_inner().unwrap_or_else(PoisonError::into_inner);
        let names = self.program.steps.iter().map(|step| self.network.nodes()[step.node].name.as_str());
        Ok(names.zip(times).collect())
    }
}
