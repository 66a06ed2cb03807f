//! Where the buffers of a plan lie in one piece of the card's memory, for so many images of one size.
//!
//! ```text
//! the plan's buffers, the images' and that of what leaves ─▶ lifetimes ─▶ first fit ─▶ addresses
//! ```

use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::arithmetic::Arithmetic;
use super::map::{Map, Shape};
use super::parameters::padded;
use crate::engine::lifetimes::{first_fit, lifetimes};
use crate::engine::plan::{Place, Plan, Task};

/// Bytes that buffers begin at multiples of.
const LINE: usize = 256;

/// The lie of the buffers.
#[derive(Debug)]
pub struct Layout {
    images: usize,
    dtype_bytes: usize,
    /// By buffer, the images' after the plan's.
    slots: Vec<Slot>,
    /// Where what leaves the network lies: float32.
    result: usize,
    /// Bytes of memory.
    pub len: usize,
}

/// Where a buffer lies.
#[derive(Clone, Copy, Debug)]
struct Slot {
    offset: usize,
    size: [usize; 2],
    channels: usize,
}

impl Layout {
    /// Lays out a plan, `[channels, height, width]` of each node's result being known.
    pub fn new(plan: &Plan, shapes: &[[usize; 3]], images: usize, arithmetic: Arithmetic) -> Self {
        let dtype_bytes = arithmetic.dtype.size_in_bytes();
        let buffer = |node: usize, channels| Slot { offset: 0, size: [shapes[node][1], shapes[node][2]], channels };
        let mut slots: Vec<Slot> = plan.buffers.iter().map(|of| buffer(of.node, of.channels)).collect();
        let of_images = slots.len();
        slots.push(buffer(0, padded(3, arithmetic.pack())));
        let bytes = |slot: &Slot| images * slot.size[0] * slot.size[1] * slot.channels * dtype_bytes;
        let mut lens: Vec<usize> = slots.iter().map(bytes).collect();
        let of_result = lens.len();
        let result_numbers: usize = shapes.last().map_or(0, |shape| shape.iter().product());
        lens.push(images * result_numbers * size_of::<f32>());
        for len in &mut lens {
            *len = len.next_multiple_of(LINE);
        }

        // The last of the steps writes what leaves: the mean does it itself, a feature map is turned by a step more.
        let place = |buffer| Place { buffer: Some(buffer), channel: 0, channels: 0 };
        let of_buffer = |at: Place| Place { buffer: at.buffer.or(Some(of_images)), ..at };
        let steps = plan.steps.iter().map(|step| match step.task {
            Task::GlobalAverage => [of_buffer(step.input), place(of_result)],
            _ => [of_buffer(step.input), of_buffer(step.output)],
        });
        let mut steps: Vec<_> = steps.collect();
        if !plan.steps.last().is_some_and(|step| step.task == Task::GlobalAverage) {
            steps.push([of_buffer(plan.result), place(of_result)]);
        }
        let alive = lifetimes(steps.into_iter(), lens.len(), place(of_result));
        let (offsets, len) = first_fit(&lens, &alive);
        for (slot, &offset) in slots.iter_mut().zip(&offsets) {
            slot.offset = offset;
        }
        Self { images, dtype_bytes, slots, result: offsets[of_result], len }
    }

    /// The map of a place, in memory that begins at `base`.
    pub fn map(&self, base: CUdeviceptr, place: Place) -> Map {
        let of_images = self.slots.len() - 1;
        let slot = self.slots[place.buffer.unwrap_or(of_images)];
        // The image has more channels here than a place of the plan knows of.
        let channels = if place.buffer.is_none() { slot.channels } else { place.channels };
        let shape = Shape { images: self.images, size: slot.size, channels, stride: slot.channels };
        Map { address: base + (slot.offset + place.channel * self.dtype_bytes) as CUdeviceptr, shape }
    }

    /// Where what leaves the network lies.
    pub const fn result(&self, base: CUdeviceptr) -> CUdeviceptr {
        base + self.result as CUdeviceptr
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use super::*;
    use crate::engine::Precision;
    use crate::inception::{Network, Variant};

    #[test]
    fn what_is_written_is_nobodys_who_is_read_later() {
        for end in ["features", "Mixed_7c", "Mixed_6a", "Conv2d_1a_3x3"] {
            let network = Network::new(Variant::Tf2015).until(end).unwrap();
            let plan = Plan::new(&network).unwrap();
            let shapes = network.shapes([299, 299]).unwrap();
            for precision in [Precision::F16, Precision::F32] {
                let arithmetic = Arithmetic::of(precision);
                let layout = Layout::new(&plan, &shapes, 3, arithmetic);
                let bytes = |place: Place| {
                    let Map { address, shape } = layout.map(0, Place { channel: 0, ..place });
                    let len = shape.images * shape.pixels() * shape.stride * arithmetic.dtype.size_in_bytes();
                    address as usize..address as usize + len
                };
                let writes = |at: usize| plan.steps[at].task != Task::GlobalAverage;
                for (at, step) in plan.steps.iter().enumerate().filter(|&(at, _)| writes(at)) {
                    let written = bytes(step.output);
                    assert!(written.end <= layout.len && bytes(step.input).end <= layout.len);
                    // What is read from here on and was written before, or is the images.
                    let is_there = |read: &Place| {
                        read.buffer.is_none()
                            || plan.steps[..at].iter().any(|before| before.output.buffer == read.buffer)
                    };
                    let later = plan.steps[at..].iter().map(|step| step.input).filter(is_there);
                    for read in later.map(bytes).filter(|read| *read != written) {
                        assert!(read.end <= written.start || written.end <= read.start, "{end}, step {at}");
                    }
                }
                let last = plan.steps.last().unwrap();
                let read = bytes(if last.task == Task::GlobalAverage { last.input } else { plan.result });
                let result = layout.result(0) as usize;
                let result = result..result + 3 * shapes.last().unwrap().iter().product::<usize>() * size_of::<f32>();
                assert!(result.end <= layout.len, "{end}, what leaves");
                assert!(read.end <= result.start || result.end <= read.start, "{end}, what leaves");
            }
        }
    }

    #[test]
    fn memory_grows_with_the_images_and_is_shared() {
        let network = Network::new(Variant::Tf2015);
        let plan = Plan::new(&network).unwrap();
        let shapes = network.shapes([299, 299]).unwrap();
        let len = |images| Layout::new(&plan, &shapes, images, Arithmetic::of(Precision::F16)).len;
        let all: usize = plan.buffers.iter().map(|of| shapes[of.node][1] * shapes[of.node][2] * of.channels * 2).sum();
        assert!(len(8) > 7 * len(1) && len(1) < all / 3, "{} of {all}", len(1));
    }
}
