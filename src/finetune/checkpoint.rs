//! A training on disk, whole, so that one that was killed goes on with the same bits.
//!
//! | | | |
//! |---|---|---|
//! | `parameters`, `statistics`, `head` | F32 `[P]`, `[S]`, `[H]` | as they stand |
//! | `best.parameters`, `best.statistics`, `best.head` | the same | of the best epoch, where there is one |
//! | `network.state.0`, ..., `head.state.0`, ... | F32 `[P]`, F32 `[H]` | what the optimisers keep |
//! | metadata | strings | `format`, `of` (all that decides the bytes), `position`, `history`, `steps` (JSON) |
//!
//! It takes the place of the one before it in a rename: whenever the run ends, one of the two is there, and it is whole.

use std::io::Write;
use std::path::Path;

use safetensors::Dtype;
use serde_json::Value;

use super::{Snapshot, Trainer};
use crate::pipeline::difference;
use crate::tensor_file::{Entry, Fault, ReadError, TensorFile, fault, write_header};
use crate::whole_file::{WriteError, write_whole};

/// The name of the format and its version.
const FORMAT: &str = "headstock.checkpoint/1";

/// Why a checkpoint cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is of a run with other images, flags or files.
    #[error("the unfinished run cannot be resumed: {0} since; start over by --restart")]
    Different(String),
    /// The network cannot take it.
    #[error("the checkpoint cannot be put into the network")]
    Candle(#[from] candle_core::Error),
}

impl Trainer {
    /// Writes all of this training, whole or not at all; `of` says what decides the bytes.
    ///
    /// # Errors
    /// Where it cannot be written, or the device cannot hand out its numbers.
    pub fn write_checkpoint(&mut self, path: &Path, of: &Value) -> Result<(), super::TrainError> {
        self.network.settle(&mut self.network_optimiser)?;
        let Snapshot { parameters, statistics, head } = self.snapshot()?;
        let mut tensors: Vec<(String, &[f32])> = vec![
            ("parameters".to_owned(), &parameters),
            ("statistics".to_owned(), &statistics),
            ("head".to_owned(), &head),
        ];
        if let Some(best) = &self.best {
            tensors.push(("best.parameters".to_owned(), &best.parameters));
            tensors.push(("best.statistics".to_owned(), &best.statistics));
            tensors.push(("best.head".to_owned(), &best.head));
        }
        let (of_network, steps) = self.network_optimiser.state();
        let (of_head, _) = self.head_optimiser.state();
        for (whose, state) in [("network", of_network), ("head", of_head)] {
            tensors.extend(state.iter().enumerate().map(|(i, state)| (format!("{whose}.state.{i}"), state.as_slice())));
        }
        let entry = |(name, numbers): &(String, &[f32])| (name.clone(), numbers.len());
        let shapes: Vec<(String, usize)> = tensors.iter().map(entry).collect();
        let entries: Vec<Entry<'_>> =
            shapes.iter().map(|(name, len)| Entry { name, dtype: Dtype::F32, shape: vec![*len] }).collect();
        let written = write_whole(path, |out| {
            let metadata = [
                ("format", FORMAT.to_owned()),
                ("of", of.to_string()),
                ("position", serde_json::to_string(&self.position)?),
                ("history", serde_json::to_string(&self.history)?),
                ("steps", steps.to_string()),
            ];
            write_header(&metadata, &entries, out)?;
            tensors.iter().try_for_each(|(_, numbers)| write_numbers(numbers, out))
        });
        written.map_err(|error: WriteError| super::TrainError::Checkpoint(error))
    }

    /// Goes on from a checkpoint of a run about `of`. What is here already, but for network, head and parameters of training, is
    /// replaced.
    ///
    /// # Errors
    /// Where it cannot be read, is of another run, or does not fit.
    pub fn restore(&mut self, path: &Path, of: &Value) -> Result<(), CheckpointError> {
        let wrong = |(reason, source): Fault| {
            CheckpointError::Read(ReadError { path: path.to_owned(), role: "a checkpoint", reason, source })
        };
        let mut file = TensorFile::open(path, FORMAT).map_err(wrong)?;
        let was: Value = file.value("of").map_err(wrong)?;
        if let Some(difference) = difference(&was, of) {
            return Err(CheckpointError::Different(difference));
        }
        let does_not_fit = || wrong(fault("it is of another network or head"));
        let parts = self.read_parts(&mut file).map_err(wrong)?;
        if !self.set(&parts.now)?
            || !self.network_optimiser.restore(parts.of_network, parts.steps)
            || !self.head_optimiser.restore(parts.of_head, parts.steps)
        {
            return Err(does_not_fit());
        }
        self.best = parts.best;
        self.position = file.json("position").map_err(wrong)?;
        self.history = file.json("history").map_err(wrong)?;
        Ok(())
    }

    fn read_parts(&self, file: &mut TensorFile) -> Result<Parts, Fault> {
        let now = read_snapshot(file, "")?;
        let best = if file.tensor("best.head").is_some() { Some(read_snapshot(file, "best.")?) } else { None };
        let states = |file: &mut TensorFile, whose: &str, count: usize| -> Result<Vec<Vec<f32>>, Fault> {
            (0..count).map(|i| read_numbers(file, &format!("{whose}.state.{i}"))).collect()
        };
        let of_network = states(file, "network", self.network_optimiser.state().0.len())?;
        let of_head = states(file, "head", self.head_optimiser.state().0.len())?;
        Ok(Parts { now, best, of_network, of_head, steps: file.json("steps")? })
    }
}

/// What a checkpoint holds beside its JSON.
struct Parts {
    now: Snapshot,
    best: Option<Snapshot>,
    of_network: Vec<Vec<f32>>,
    of_head: Vec<Vec<f32>>,
    steps: u64,
}

/// Of which run a checkpoint is.
///
/// # Errors
/// Where it cannot be read.
pub fn checkpoint_position(path: &Path) -> Result<super::Position, ReadError> {
    let read = || TensorFile::open(path, FORMAT)?.json("position");
    read().map_err(|(reason, source)| ReadError { path: path.to_owned(), role: "a checkpoint", reason, source })
}

fn read_snapshot(file: &mut TensorFile, prefix: &str) -> Result<Snapshot, Fault> {
    let mut read = |name: &str| read_numbers(file, &format!("{prefix}{name}"));
    Ok(Snapshot { parameters: read("parameters")?, statistics: read("statistics")?, head: read("head")? })
}

fn read_numbers(file: &mut TensorFile, name: &str) -> Result<Vec<f32>, Fault> {
    let shape = file.tensor(name).map(|info| info.shape.clone());
    file.floats(name, &shape.ok_or_else(|| fault(format!("it has no tensor `{name}`")))?)
}

/// Little-endian, a piece at a time.
fn write_numbers(numbers: &[f32], out: &mut impl Write) -> std::io::Result<()> {
    const PIECE: usize = 1 << 16;
    let mut bytes = vec![0; PIECE * size_of::<f32>()];
    for numbers in numbers.chunks(PIECE) {
        let bytes = &mut bytes[..size_of_val(numbers)];
        bytes.as_chunks_mut().0.iter_mut().zip(numbers).for_each(|(bytes, number)| *bytes = number.to_le_bytes());
        out.write_all(bytes)?;
    }
    Ok(())
}
