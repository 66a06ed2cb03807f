//! Which kind of file it is, by its first bytes.

use std::fmt;

/// The kinds of files that hold weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `.safetensors`.
    Safetensors,
    /// What `torch.save` writes: `.pth`, `.pt`, `.ckpt`, `.bin`; a zip archive with a pickle in it.
    Torch,
    /// What `torch.save` wrote before version 1.6: pickles, one after the other.
    TorchLegacy,
    /// What `torch.jit.save` writes: an archive with a program in it, which is not run.
    TorchScript,
    /// Keras' `.h5` and `.weights.h5`.
    Hdf5,
    /// Keras' `.keras`: a zip archive with an HDF5 file in it.
    Keras,
    /// `.onnx`.
    Onnx,
}

/// The pickle of the number 0x1950a86a20f9469cfc6c.
const TORCH_LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const ZIP: &[u8] = b"PK\x03\x04";
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

impl Container {
    /// The kind of a file of these bytes. A zip archive is said to be [`Self::Torch`] until it is opened. What is
    /// [`Self::Onnx`] is told by `onnx`, which is asked before.
    pub(in super::super) fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(ZIP) {
            Some(Self::Torch)
        } else if bytes.starts_with(HDF5) {
            Some(Self::Hdf5)
        } else if bytes.starts_with(TORCH_LEGACY) {
            Some(Self::TorchLegacy)
        } else if is_safetensors(bytes) {
            Some(Self::Safetensors)
        } else {
            None
        }
    }
}

/// The length of a header, and a header, which is a JSON object.
fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8..).is_some_and(|header| header.first() == Some(&b'{'))
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Safetensors => "safetensors file",
            Self::Torch => "PyTorch file",
            Self::TorchLegacy => "PyTorch file of before version 1.6",
            Self::TorchScript => "TorchScript file",
            Self::Hdf5 => "HDF5 file",
            Self::Keras => "Keras archive",
            Self::Onnx => "ONNX file",
        })
    }
}
