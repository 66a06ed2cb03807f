//! A group of images through the program, step by step, in one piece of memory.
#![expect(unsafe_code, reason = "follows the pointers of maps")]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::Cpu;
use super::convolution::Block;
use super::layout::Layout;
use super::map::Map;
use super::pool::{self, Pool};
use super::program::{Step, Work};
use super::scratch::Scratch;
use crate::engine::plan::Place;

/// Images on their way through the program.
pub(super) struct Group<'a> {
    pub(super) engine: &'a Cpu,
    pub(super) layout: &'a Layout,
    /// Of the images.
    pub(super) size: [usize; 2],
    /// Whether other threads may take blocks of a step,
    pub(super) share: bool,
    /// and the blocks that there are to be for them, where that can be.
    pub(super) least: usize,
    /// What each step took so far.
    pub(super) watch: Option<&'a Mutex<Vec<Duration>>>,
}

impl Group<'_> {
    /// Runs the program on [images, height, width, 3], to [images, height, width, channels].
    pub(super) fn run(&self, memory: &mut [f32], pixels: &[f32], results: &mut [f32]) {
        let program = &self.engine.program;
        let images = pixels.len() / (3 * self.size[0] * self.size[1]);
        let (apart, together) = program.steps.split_at(self.layout.together);
        let base = memory.as_mut_ptr();
        for image in 0..images {
            for step in apart {
                self.step(step, [step.input, step.output].map(|place| self.map(place, base, pixels, image, 1)));
            }
        }
        for step in together {
            self.step(step, [step.input, step.output].map(|place| self.map(place, base, pixels, 0, images)));
        }
        let result = self.map(program.result, base, pixels, 0, images);
        for (pixel, to) in results.chunks_exact_mut(result.channels).enumerate() {
            let [image, y, x] = result.position(pixel);
            let from = result.at(image, y, x);
            // SAFETY: a pixel of the result's buffer, which no step writes any more.
            to.copy_from_slice(unsafe { std::slice::from_raw_parts(from, to.len()) });
        }
    }

    /// The place of some images, from one on.
    fn map(&self, place: Place, base: *mut f32, pixels: &[f32], image: usize, images: usize) -> Map {
        let Some(buffer) = place.buffer else {
            // It is only ever read.
            let data = pixels[image * 3 * self.size[0] * self.size[1]..].as_ptr().cast_mut();
            return Map::dense(data, images, self.size, 3, 3);
        };
        let slot = &self.layout.slots[buffer];
        let of_image = if slot.group { image * slot.image } else { 0 };
        let data = base.wrapping_add(slot.offset + of_image + place.channel);
        let stride = self.engine.program.buffers[buffer].channels;
        Map::dense(data, images, slot.size, place.channels, stride)
    }

    fn step(&self, step: &Step, maps: [Map; 2]) {
        let Some(watch) = self.watch else { return self.blocks(step, maps) };
        let began = Instant::now();
        self.blocks(step, maps);
        let position = self.engine.program.steps.iter().position(|other| std::ptr::eq(other, step));
        let mut times = watch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(time) = position.and_then(|position| times.get_mut(position)) {
            *time += began.elapsed();
        }
    }

    fn blocks(&self, step: &Step, maps: [Map; 2]) {
        let Cpu { kernels, program, .. } = self.engine;
        let kernels = kernels.as_ref();
        let [input, output] = &maps;
        let maps = [input, output];
        // SAFETY (of all three): the layout gives each buffer memory that no other buffer has while it is alive, the program gives
        // each step channels that no other step writes, and blocks are different pixels; `memory` is borrowed for all of it.
        match &step.work {
            Work::Convolutions(convolutions) => {
                for convolution in convolutions {
                    let of = convolution.blocks(output, self.least);
                    self.each(of, |scratch, at| unsafe {
                        convolution.run(kernels, &program.zeros, scratch, maps, Block { at, of });
                    });
                }
            }
            Work::Pool(pool) => self.each(Pool::blocks(output), |scratch, block| unsafe {
                pool.run(kernels, &program.zeros, scratch, maps, block);
            }),
            Work::GlobalAverage => self.each(output.images, |_, image| unsafe { pool::global_average(maps, image) }),
        }
    }

    /// Does each block, on this thread or on all that have nothing to do.
    fn each(&self, blocks: usize, block: impl Fn(&mut Scratch, usize) + Sync) {
        let scratches = &self.engine.scratches;
        let new = || self.engine.scratch();
        if self.share {
            (0..blocks).into_par_iter().for_each(|at| scratches.lend(new, |scratch| block(scratch, at)));
        } else {
            scratches.lend(new, |scratch| (0..blocks).for_each(|at| block(scratch, at)));
        }
    }
}
