//! Engine configurations: which of cuDNN's engines computes a graph, and how its knobs are set.
//!
//! A tag names one as NVIDIA's own tools do, `eng4_k2=1_k13=0`: engine 4, knob 2 at 1, knob 13 at 0. It is short enough to be kept and
//! means the same configuration in every process with the same cuDNN.

use candle_core::cuda_backend::cudarc::cudnn::sys::{cudnnBackendHeurMode_t, cudnnBackendNumericalNote_t as Numerical};

use super::descriptor::{Attribute, Descriptor, Kind, Knob, Note};
use super::graph::Graph;
use crate::engine::cuda::error::Result;

/// Who proposes engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heuristics {
    /// A decision by rules.
    A,
    /// A decision by a model, slower.
    B,
    /// Whatever works.
    Fallback,
}

/// More than cuDNN has of either.
const MOST_NOTES: usize = 32;
const MOST_KNOBS: usize = 64;

/// An engine with its knobs set.
pub struct Config {
    descriptor: Descriptor,
    tag: String,
    notes: Vec<Note>,
    /// What it is of, where it was put together here.
    _parts: Vec<Descriptor>,
}

impl Config {
    /// The first `most` that heuristics propose, best first.
    ///
    /// # Errors
    /// Those of cuDNN: a graph that the heuristics do not know.
    pub fn proposed(graph: &Graph, heuristics: Heuristics, most: usize) -> Result<Vec<Self>> {
        let mode = match heuristics {
            Heuristics::A => cudnnBackendHeurMode_t::CUDNN_HEUR_MODE_A,
            Heuristics::B => cudnnBackendHeurMode_t::CUDNN_HEUR_MODE_B,
            Heuristics::Fallback => cudnnBackendHeurMode_t::CUDNN_HEUR_MODE_FALLBACK,
        };
        let heuristics = Descriptor::new(Kind::CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)?
            .with_parts(Attribute::CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, &[graph.descriptor()])?
            .with(Attribute::CUDNN_ATTR_ENGINEHEUR_MODE, &[mode])?
            .finalised()?;
        let results = Attribute::CUDNN_ATTR_ENGINEHEUR_RESULTS;
        let most = heuristics.count_parts(results)?.min(most);
        let configs = heuristics.get_parts(results, Kind::CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, most)?;
        configs.into_iter().map(Self::known).collect()
    }

    /// The one of this tag; `None` where the text is none.
    ///
    /// # Errors
    /// Those of cuDNN: an engine that it does not have, or not for this graph.
    pub fn tagged(graph: &Graph, tag: &str) -> Result<Option<Self>> {
        let Some((engine, knobs)) = parse(tag) else { return Ok(None) };
        let engine = Descriptor::new(Kind::CUDNN_BACKEND_ENGINE_DESCRIPTOR)?
            .with_parts(Attribute::CUDNN_ATTR_ENGINE_OPERATION_GRAPH, &[graph.descriptor()])?
            .with(Attribute::CUDNN_ATTR_ENGINE_GLOBAL_INDEX, &[engine])?
            .finalised()?;
        let choices = knobs.into_iter().map(|(knob, value)| {
            Descriptor::new(Kind::CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR)?
                .with(Attribute::CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, &[knob])?
                .with(Attribute::CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, &[value])?
                .finalised()
        });
        let choices = choices.collect::<Result<Vec<_>>>()?;
        let mut descriptor = Descriptor::new(Kind::CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)?
            .with_parts(Attribute::CUDNN_ATTR_ENGINECFG_ENGINE, &[&engine])?;
        if !choices.is_empty() {
            let choices: Vec<_> = choices.iter().collect();
            descriptor = descriptor.with_parts(Attribute::CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, &choices)?;
        }
        let notes = notes(&engine)?;
        let mut parts = choices;
        parts.push(engine);
        Ok(Some(Self { descriptor: descriptor.finalised()?, tag: tag.to_owned(), notes, _parts: parts }))
    }

    /// Reads what a proposed one is.
    fn known(descriptor: Descriptor) -> Result<Self> {
        let engine = Kind::CUDNN_BACKEND_ENGINE_DESCRIPTOR;
        let engines = descriptor.get_parts(Attribute::CUDNN_ATTR_ENGINECFG_ENGINE, engine, 1)?;
        let mut tag = "eng".to_owned();
        let mut notes_of_all = Vec::new();
        for engine in &engines {
            for index in engine.get::<i64>(Attribute::CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 1)? {
                tag += &index.to_string();
            }
            notes_of_all.extend(notes(engine)?);
        }
        let choice = Kind::CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR;
        for choice in descriptor.get_parts(Attribute::CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, choice, MOST_KNOBS)? {
            let knobs = choice.get::<Knob>(Attribute::CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, 1)?;
            let values = choice.get::<i64>(Attribute::CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 1)?;
            for (knob, value) in knobs.iter().zip(values) {
                tag.extend(["_k", &knob.0.to_string(), "=", &value.to_string()]);
            }
        }
        Ok(Self { descriptor, tag, notes: notes_of_all, _parts: engines })
    }

    /// Its name.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Its descriptor.
    pub const fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Whether it gives the same bits each time, and all the digits: of float32 without tensor cores, those of float32.
    pub fn keeps(&self, tensor_cores: bool) -> bool {
        let mut not_wanted = vec![
            Numerical::CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC,
            Numerical::CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS,
            Numerical::CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION,
            // Transforms of so many points lose digits.
            Numerical::CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6,
            Numerical::CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13,
        ];
        if !tensor_cores {
            not_wanted.push(Numerical::CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
        }
        not_wanted.into_iter().all(|note| !self.notes.contains(&Note(note as i32)))
    }
}

fn notes(engine: &Descriptor) -> Result<Vec<Note>> {
    engine.get(Attribute::CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, MOST_NOTES)
}

fn parse(tag: &str) -> Option<(i64, Vec<(Knob, i64)>)> {
    let mut parts = tag.strip_prefix("eng")?.split('_');
    let engine = parts.next()?.parse().ok()?;
    let knobs = parts.map(|part| {
        let (knob, value) = part.strip_prefix('k')?.split_once('=')?;
        Some((Knob(knob.parse().ok()?), value.parse().ok()?))
    });
    Some((engine, knobs.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_an_engine_and_its_knobs_and_other_texts_are_none() {
        assert_eq!(parse("eng0"), Some((0, vec![])));
        assert_eq!(parse("eng34_k2=1_k13=-7"), Some((34, vec![(Knob(2), 1), (Knob(13), -7)])));
        for text in ["", "eng", "none", "eng4_", "eng4_k2", "eng4_k=1", "4_k2=1", "eng4 k2=1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
