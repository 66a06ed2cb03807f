//! The weights of all units, laid out for one direction at a time: every step changes them, and reads each once forward and once back.

use rayon::prelude::*;

use super::super::memory::Memory;
use super::parameters::Parameters;
use super::program::{Program, Step};

/// Which way a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Back,
}

/// A unit's weights after the other, in one memory for both directions.
pub struct UnitWeights {
    memory: Memory,
    /// For which direction they are laid out as the parameters are now.
    direction: Option<Direction>,
}

impl UnitWeights {
    /// With room for either direction.
    pub fn new(program: &Program) -> Self {
        let len = [Direction::Forward, Direction::Back].map(|direction| {
            program.steps.iter().filter_map(Step::unit).map(|unit| unit.weights(direction)).sum::<usize>()
        });
        Self { memory: Memory::zeroed(len[0].max(len[1])), direction: None }
    }

    /// The parameters are others now.
    pub fn forget(&mut self) {
        self.direction = None;
    }

    /// Of each step, its weights for a direction, empty where it has none; laid out now if they are not yet.
    pub fn of(&mut self, direction: Direction, program: &mut Program, parameters: &Parameters) -> Vec<&[f32]> {
        let is_new = self.direction != Some(direction);
        if is_new && direction == Direction::Forward {
            program.steps.par_iter_mut().filter_map(Step::unit_mut).for_each(|unit| unit.fold(parameters));
        }
        let mut rest = &mut *self.memory;
        let weights = program.steps.iter().map(|step| {
            let len = step.unit().map_or(0, |unit| unit.weights(direction));
            rest.split_off_mut(..len).unwrap_or_default()
        });
        let mut weights: Vec<&mut [f32]> = weights.collect();
        if is_new {
            program.steps.par_iter().zip(&mut weights).for_each(|(step, weights)| {
                if let Some(unit) = step.unit() {
                    unit.lay_out(direction, &parameters.values, weights);
                }
            });
            self.direction = Some(direction);
        }
        weights.into_iter().map(|weights| &*weights).collect()
    }
}
