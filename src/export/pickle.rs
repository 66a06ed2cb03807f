//! PyTorch's file: a zip of a pickle that says which tensors there are, and of their numbers.
//!
//! ```text
//! archive/data.pkl      {name: a tensor of storage "0", its shape and strides, ...}
//! archive/byteorder     little
//! archive/data/0, ...   the numbers of a storage
//! archive/version       3
//! ```
//!
//! Only what `torch.load(weights_only=True)` takes is written: dictionaries, and tensors by `torch._utils._rebuild_tensor_v2`. Opcodes are
//! those of pickle's protocol 2 (`Lib/pickletools.py` of Python); the layout is that of `torch/serialization.py`.

use std::io::{self, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The numbers of a tensor.
pub(super) enum Numbers {
    /// `torch.float32`.
    Floats(Vec<f32>),
    /// One `torch.int64` without axes.
    Integer(i64),
}

/// A tensor of a state dict.
pub(super) struct Entry {
    pub(super) name: String,
    /// Row-major.
    pub(super) shape: Vec<usize>,
    pub(super) numbers: Numbers,
}

/// Bytes to which PyTorch aligns numbers, so that they can be mapped.
const ALIGNMENT: u16 = 64;

/// Writes a state dict. The same tensors give the same bytes.
pub(super) fn write(tensors: &[Entry], out: &mut (impl Write + Seek)) -> io::Result<()> {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).with_alignment(ALIGNMENT);
    let mut zip = ZipWriter::new(out);
    let mut file = |name: &str, bytes: &[u8]| -> io::Result<()> {
        zip.start_file(format!("archive/{name}"), stored)?;
        zip.write_all(bytes)
    };
    file("data.pkl", &state_dict(tensors))?;
    file("byteorder", b"little")?;
    for (storage, tensor) in tensors.iter().enumerate() {
        file(&format!("data/{storage}"), &tensor.numbers.bytes())?;
    }
    file("version", b"3\n")?;
    zip.finish()?;
    Ok(())
}

impl Numbers {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Floats(floats) => floats.iter().flat_map(|number| number.to_le_bytes()).collect(),
            Self::Integer(integer) => integer.to_le_bytes().to_vec(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Floats(floats) => floats.len(),
            Self::Integer(_) => 1,
        }
    }

    const fn storage(&self) -> &'static str {
        match self {
            Self::Floats(_) => "FloatStorage",
            Self::Integer(_) => "LongStorage",
        }
    }
}

const PROTOCOL_2: &[u8] = b"\x80\x02";
const MARK: &[u8] = b"(";
const TUPLE: &[u8] = b"t";
const EMPTY_TUPLE: &[u8] = b")";
const CALL: &[u8] = b"R";
const PERSISTENT: &[u8] = b"Q";
const FALSE: &[u8] = b"\x89";
const SET_ITEMS: &[u8] = b"u";
const STOP: &[u8] = b".";

/// `OrderedDict` of name to tensor.
fn state_dict(tensors: &[Entry]) -> Vec<u8> {
    let mut pickle = Pickle(PROTOCOL_2.to_vec());
    pickle.ordered_dict();
    pickle.add(MARK);
    for (storage, tensor) in tensors.iter().enumerate() {
        pickle.text(&tensor.name);
        pickle.tensor(storage, tensor);
    }
    pickle.add(SET_ITEMS);
    pickle.add(STOP);
    pickle.0
}

struct Pickle(Vec<u8>);

impl Pickle {
    fn add(&mut self, opcodes: &[u8]) {
        self.0.extend_from_slice(opcodes);
    }

    fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.add(EMPTY_TUPLE);
        self.add(CALL);
    }

    /// `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`.
    fn tensor(&mut self, storage: usize, tensor: &Entry) {
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.add(MARK);
        self.add(MARK);
        self.text("storage");
        self.global("torch", tensor.numbers.storage());
        self.text(&storage.to_string());
        self.text("cpu");
        self.integer(tensor.numbers.len());
        self.add(TUPLE);
        self.add(PERSISTENT);
        self.integer(0);
        self.integers(&tensor.shape);
        self.integers(&strides(&tensor.shape));
        self.add(FALSE);
        self.ordered_dict();
        self.add(TUPLE);
        self.add(CALL);
    }

    fn global(&mut self, module: &str, name: &str) {
        self.add(format!("c{module}\n{name}\n").as_bytes());
    }

    /// `BINUNICODE`.
    fn text(&mut self, text: &str) {
        self.add(b"X");
        self.add(&(text.len() as u32).to_le_bytes());
        self.add(text.as_bytes());
    }

    /// `BININT`: no tensor here has 2^31 numbers.
    fn integer(&mut self, integer: usize) {
        self.add(b"J");
        self.add(&(integer as i32).to_le_bytes());
    }

    fn integers(&mut self, integers: &[usize]) {
        self.add(MARK);
        for &integer in integers {
            self.integer(integer);
        }
        self.add(TUPLE);
    }
}

/// Row-major.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}
