//! Numbers in files beside the graph: `torch.onnx.export(..., dynamo=True)` puts them there unless told not to.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use prost::bytes::Bytes;

use super::OnnxError;
use super::proto::TensorProto;

/// The files that tensors of one graph name, each read once.
pub(super) struct ExternalFiles {
    folder: Option<PathBuf>,
    files: HashMap<PathBuf, Bytes>,
}

impl ExternalFiles {
    /// Those in the folder of a graph; of a graph that is in no file, none can be had.
    pub(super) fn beside(path: Option<&Path>) -> Self {
        Self { folder: path.map(|path| path.parent().unwrap_or(Path::new("")).to_owned()), files: HashMap::new() }
    }

    /// The bytes of a tensor whose numbers lie in another file.
    pub(super) fn bytes(&mut self, tensor: &TensorProto) -> Result<Bytes, OnnxError> {
        let wrong = |reason: String| OnnxError::Tensor { name: tensor.name.clone(), reason };
        let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &*entry.value);
        let number = |key: &str| match entry(key) {
            Some(text) => text.parse().map(Some).map_err(|_| wrong(format!("its {key} in another file is no number"))),
            None => Ok(None),
        };
        let location = entry("location").ok_or_else(|| wrong("it names no file for its numbers".to_owned()))?;
        let (offset, length): (Option<usize>, Option<usize>) = (number("offset")?, number("length")?);
        let file = self.file(location)?;
        let start = offset.unwrap_or(0);
        let end = length.map_or(Some(file.len()), |length| start.checked_add(length));
        match end {
            Some(end) if start <= end && end <= file.len() => Ok(file.slice(start..end)),
            _ => Err(wrong(format!("{location} ends before its numbers do"))),
        }
    }

    /// All files that were read, by name: what else the numbers depend on.
    pub(super) fn read(self) -> Vec<Bytes> {
        let mut files: Vec<_> = self.files.into_iter().collect();
        files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        files.into_iter().map(|(_, bytes)| bytes).collect()
    }

    fn file(&mut self, location: &str) -> Result<Bytes, OnnxError> {
        let external = |reason: &str| OnnxError::External { location: location.to_owned(), reason: reason.to_owned() };
        let relative = PathBuf::from(location);
        // A file from a stranger does not say which other files are read.
        if location.is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(external("it is no name of a file in the same folder, or below it"));
        }
        if let Some(bytes) = self.files.get(&relative) {
            return Ok(bytes.clone());
        }
        let folder = self.folder.as_ref().ok_or_else(|| external("the graph itself is in no file"))?;
        let path = folder.join(&relative);
        let bytes = std::fs::read(&path).map_err(|source| external(&format!("{}: {source}", path.display())))?;
        let bytes = Bytes::from(bytes);
        self.files.insert(relative, bytes.clone());
        Ok(bytes)
    }
}
