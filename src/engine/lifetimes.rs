//! Buffers that are not alive at the same time share memory.
//!
//! ```text
//! steps     0 1 2 3 4
//! buffer A  ▪▪▪            A and C lie at the same place, B beside them
//! buffer B    ▪▪▪▪
//! buffer C        ▪▪▪
//! ```

use super::plan::Place;

/// From the first step that touches a buffer to the last one; the other way round where none does.
pub type Lifetime = (usize, usize);

/// How long each buffer is alive, by the places that each step reads and writes; the result is alive to the end.
pub fn lifetimes(steps: impl ExactSizeIterator<Item = [Place; 2]>, buffers: usize, result: Place) -> Vec<Lifetime> {
    let end = steps.len();
    let mut alive = vec![(end, 0); buffers];
    let mut touch = |place: Place, step: usize| {
        if let Some(buffer) = place.buffer {
            let (from, to) = alive[buffer];
            alive[buffer] = (step.min(from), step.max(to));
        }
    };
    for (position, places) in steps.enumerate() {
        for place in places {
            touch(place, position);
        }
    }
    touch(result, end);
    alive
}

/// Where each of some buffers of these lengths begins, first fit, in the order of the steps; and the length of it all. Buffers that
/// nobody touches lie at the beginning and have no room.
pub fn first_fit(lens: &[usize], alive: &[Lifetime]) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; lens.len()];
    let mut order: Vec<usize> = (0..lens.len()).filter(|&buffer| alive[buffer].0 <= alive[buffer].1).collect();
    order.sort_by_key(|&buffer| alive[buffer]);
    let mut placed: Vec<usize> = Vec::new();
    let mut end = 0;
    for buffer in order {
        let overlaps = |&other: &usize| alive[other].0 <= alive[buffer].1 && alive[buffer].0 <= alive[other].1;
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&other| overlaps(other))
            .map(|&other| (offsets[other], offsets[other] + lens[other]))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (from, to) in taken {
            if offset + lens[buffer] <= from {
                break;
            }
            offset = offset.max(to);
        }
        offsets[buffer] = offset;
        end = end.max(offset + lens[buffer]);
        placed.push(buffer);
    }
    (offsets, end)
}
