//! Makes batches: memory for activations and gradients, engines, and what the card does one thing after the other, forward and back.
//!
//! ```text
//! program ─▶ arenas: addresses ─▶ engines, forward and back (tuner) ─▶ workspace, the largest ─▶ works ─▶ batch
//! ```

use candle_core::cuda_backend::cudarc::driver::sys::CUdeviceptr;

use super::super::cudnn::Handle;
use super::super::error::Result;
use super::super::map::Map;
use super::super::memory::Memory;
use super::super::tuner::Tuner;
use super::super::way::{self, Layer};
use super::super::work::Work as Forward;
use super::arena::Arena;
use super::back::Back;
use super::batch::{Batch, Ends, Works};
use super::model::Model;
use super::program::Work;
use super::scratch::Scratch;
use super::unit_back::{self, UnitBack};
use crate::engine::trainable::Pass;
use crate::engine::trainable::plan::{Buffer, Place, Step};

/// Who makes batches.
pub struct Maker<'a> {
    /// Of what,
    pub model: &'a Model,
    /// with cuDNN on the card's stream.
    pub handle: &'a Handle,
}

/// The memory of a batch to learn from, beside its activations.
struct Gradients {
    arena: Arena,
    scratch: Scratch,
}

/// The engines of a unit.
struct Engines {
    forward: way::Chosen,
    back: Option<unit_back::Chosen>,
}

impl Maker<'_> {
    /// Gets ready for batches of these shapes, by group of the border; `sizes` are those of each node's maps.
    ///
    /// # Errors
    /// Out of memory; a layer that no engine computes, or its gradients.
    pub fn make(&self, tuner: &mut Tuner, shapes: &[[usize; 4]], sizes: &[[usize; 2]], pass: Pass) -> Result<Batch> {
        let Model { program, card, .. } = self.model;
        let images = shapes.first().map_or(0, |shape| shape[0]);
        let arena =
            |has: fn(&Buffer) -> bool| Arena::new(&card.stream, &program.buffers, sizes, images, card.arithmetic, has);
        let maps = arena(|_| true)?;
        let gradients = match pass {
            Pass::Evaluate => None,
            Pass::Train => Some(Gradients {
                arena: arena(|buffer| buffer.has_gradient)?,
                scratch: Scratch::new(self.model, |step| [maps.map(step.input), maps.map(step.output)])?,
            }),
        };

        // First which engines, then the memory that they share.
        let engines = program.steps.iter().map(|(step, work)| {
            let Some((layer, target)) = layer(step, work) else { return Ok(None) };
            let places = [maps.map(step.input), maps.map(target)];
            let forward = way::Chosen::new(card, self.handle, tuner, &layer, places)?;
            let back = gradients.as_ref().and_then(|gradients| self.unit_back(step, work, &maps, gradients));
            let back = back.map(|back| back.choose(self.handle, tuner)).transpose()?;
            Ok(Some((places, Engines { forward, back })))
        });
        let engines = engines.collect::<Result<Vec<_>>>()?;
        tuner.finish();
        let all = || engines.iter().flatten();
        let of_back = |engines: &Engines| engines.back.as_ref().map_or(0, unit_back::Chosen::workspace);
        let workspace = all().map(|(_, engines)| engines.forward.workspace().max(of_back(engines))).max().unwrap_or(0);
        let workspace = Memory::zeroed(&card.stream, workspace)?;
        let packed = all().map(|([input, output], engines)| engines.forward.packed(input.shape, output.shape)).max();
        let packed = Memory::zeroed(&card.stream, packed.unwrap_or(0))?;
        let numbers = images * program.result.channels;
        let [features, by_features] = [(); 2].map(|()| Memory::zeroed(&card.stream, numbers * size_of::<f32>()));
        let (features, by_features) = (features?, by_features?);

        let mut forward = Vec::new();
        for ((step, work), engines) in program.steps.iter().zip(&engines) {
            let of_unit = engines.as_ref().map(|(places, engines)| (&engines.forward, *places));
            let memory = [workspace.address(), packed.address()];
            forward.extend(forward_works(step, work, &maps, of_unit, memory, features.address())?);
        }
        let mut back = gradients.as_ref().map(|_| Vec::new());
        if let (Some(back), Some(gradients)) = (&mut back, &gradients) {
            for ((step, work), engines) in program.steps.iter().zip(&engines).rev() {
                let chosen = engines.as_ref().and_then(|(_, engines)| engines.back.as_ref());
                let unit = self.unit_back(step, work, &maps, gradients);
                match (unit, chosen) {
                    (Some(unit), Some(chosen)) => back.extend(unit.works(chosen, workspace.address())?),
                    _ => back.extend(other_back(step, work, &maps, &gradients.arena, by_features.address())),
                }
            }
        }
        let place = |buffer| Place { buffer, channel: 0, channels: program.buffers[buffer].channels };
        let ends = Ends {
            inputs: (0..shapes.len()).map(|group| maps.map(place(group))).collect(),
            features: features.address(),
            by_features: by_features.address(),
        };
        let (mut arenas, mut memory) = (vec![maps], vec![workspace, packed, features, by_features]);
        if let Some(Gradients { arena, scratch }) = gradients {
            arenas.push(arena);
            memory.extend(scratch.into_memory());
        }
        #[expect(unsafe_code, reason = "names memory by address")]
        // SAFETY: the arenas have all buffers; workspace, packed memory and scratch are as large as the largest that any work wants; the
        // numbers of the units are the model's. Only the card's stream works on them.
        unsafe {
            Batch::new(self.model, self.handle, shapes.to_vec(), Works { forward, back }, ends, (arenas, memory))
        }
    }

    /// The way back through a step, where it is a unit and something of it, or before it, is trained.
    fn unit_back<'b>(
        &'b self,
        step: &Step,
        work: &'b Work,
        maps: &Arena,
        gradients: &'b Gradients,
    ) -> Option<UnitBack<'b>> {
        let pooled = match work {
            Work::Pooled { linear, pool, .. } => Some((*pool, gradients.arena.map(*linear))),
            _ => None,
        };
        let unit = work.unit()?;
        (step.by_input.is_some() || unit.is_trained()).then(|| UnitBack {
            unit,
            model: self.model,
            scratch: &gradients.scratch,
            input: maps.map(step.input),
            output: maps.map(step.output),
            by_output: gradients.arena.map(step.output),
            by_input: step.by_input.map(|adds| (gradients.arena.map(step.input), adds)),
            pooled,
        })
    }
}

/// The convolution of a step, if it has one, and where it goes.
fn layer<'a>(step: &Step, work: &'a Work) -> Option<(Layer<'a>, Place)> {
    match work {
        Work::Unit(unit) => Some((unit.layer(true), step.output)),
        Work::Pooled { unit, linear, .. } => Some((unit.layer(false), *linear)),
        Work::Pool(_) | Work::GlobalAverage => None,
    }
}

/// What the card does for a step on the way forward.
fn forward_works(
    step: &Step,
    work: &Work,
    maps: &Arena,
    of_unit: Option<(&way::Chosen, [Map; 2])>,
    [workspace, packed]: [CUdeviceptr; 2],
    features: CUdeviceptr,
) -> Result<Vec<Forward>> {
    let (input, output) = (maps.map(step.input), maps.map(step.output));
    let mut works = Vec::new();
    if let (Some((layer, _)), Some((chosen, places))) = (layer(step, work), of_unit) {
        works = chosen.works(&layer, places, workspace, packed)?;
    }
    works.push(match work {
        Work::Unit(_) => return Ok(works),
        Work::Pooled { linear, pool, .. } => Forward::Pool { pool: *pool, input: maps.map(*linear), output },
        Work::Pool(pool) => Forward::Pool { pool: *pool, input, output },
        Work::GlobalAverage => Forward::GlobalAverage { input, output: features },
    });
    Ok(works)
}

/// What the card does for a step that is no unit, on the way back.
fn other_back(step: &Step, work: &Work, maps: &Arena, gradients: &Arena, by_features: CUdeviceptr) -> Option<Back> {
    let adds = step.by_input?;
    let by_input = gradients.map(step.input);
    match work {
        Work::Pool(pool) => {
            Some(Back::Pool { pool: *pool, maps: [maps.map(step.input), gradients.map(step.output), by_input], adds })
        }
        Work::GlobalAverage => Some(Back::GlobalAverage { by_output: by_features, by_input, adds }),
        Work::Unit(_) | Work::Pooled { .. } => None,
    }
}
