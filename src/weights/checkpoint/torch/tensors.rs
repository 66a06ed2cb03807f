//! Which of a pickle's values are tensors, and by what names.

use std::collections::HashSet;

use crate::weights::checkpoint::Number;
use crate::weights::checkpoint::pickle::{Id, Value, Values};

/// A tensor as a pickle describes it.
pub(super) struct TensorRecord<'p> {
    pub(super) storage: Storage<'p>,
    /// Of its first number, in numbers.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// In numbers.
    pub(super) strides: Vec<usize>,
}

/// A piece of memory that tensors share.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Storage<'p> {
    pub(super) key: &'p str,
    pub(super) number: Number,
    /// Bytes of a number.
    pub(super) size: usize,
}

/// The longest name of a tensor, in bytes.
const LONGEST_NAME: usize = 256;

/// Dictionaries in dictionaries, or modules in modules.
const DEEPEST: usize = 64;

/// What `torch.save` names in a dictionary of tensors.
pub(super) fn is_allowed(module: &str, name: &str) -> bool {
    const TYPES: [&str; 14] = [
        "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "half",
        "float", "double", "long",
    ];
    match module {
        "collections" => name == "OrderedDict",
        "torch._utils" => {
            matches!(name, "_rebuild_tensor_v2" | "_rebuild_parameter" | "_rebuild_parameter_with_state")
        }
        "torch" => matches!(name, "Size" | "device") || TYPES.contains(&name) || storage_type(name).is_some(),
        _ => false,
    }
}

/// What `torch.jit.save` names: its own classes as well, of which nothing is known here but their attributes.
pub(super) fn is_allowed_in_script(module: &str, name: &str) -> bool {
    const LISTS: [&str; 4] = ["build_intlist", "build_doublelist", "build_boollist", "build_tensorlist"];
    let is_own = module == "__torch__" || module.starts_with("__torch__.");
    is_own || (module == "torch.jit._pickle" && LISTS.contains(&name)) || is_allowed(module, name)
}

/// The type of a storage's numbers, and the bytes of one.
fn storage_type(name: &str) -> Option<(Number, usize)> {
    Some(match name.strip_suffix("Storage")? {
        "Half" => (Number::F16, 2),
        "BFloat16" => (Number::BF16, 2),
        "Float" => (Number::F32, 4),
        "Double" => (Number::F64, 8),
        "Long" => (Number::Other("I64"), 8),
        "Int" => (Number::Other("I32"), 4),
        "Short" => (Number::Other("I16"), 2),
        "Char" => (Number::Other("I8"), 1),
        "Byte" => (Number::Other("U8"), 1),
        "Bool" => (Number::Other("BOOL"), 1),
        _ => return None,
    })
}

/// All tensors in the dictionaries and objects below `root`. The names are the keys on the way, with points between, as
/// `state_dict` makes them. A dictionary that is there twice is entered once.
pub(super) fn collect<'p>(values: &Values<'p>, root: Id) -> Vec<(String, TensorRecord<'p>)> {
    let mut tensors = Vec::new();
    let mut entered = HashSet::new();
    let mut ahead = vec![(root, String::new(), 0)];
    while let Some((id, name, depth)) = ahead.pop() {
        let entries = match values.get(id) {
            Value::Dict(entries) => entries,
            Value::Object { attributes: Some(attributes) } => match values.get(*attributes) {
                Value::Dict(entries) => entries,
                _ => continue,
            },
            Value::Call { .. } => {
                tensors.extend(tensor(values, id).map(|record| (name, record)));
                continue;
            }
            _ => continue,
        };
        if depth == DEEPEST || !entered.insert(id) {
            continue;
        }
        for pair in entries.as_chunks().0 {
            let &[key, value] = pair;
            let key = match values.get(key) {
                Value::Text(text) => (*text).to_owned(),
                Value::Integer(number) => number.to_string(),
                _ => continue,
            };
            let holds = matches!(values.get(value), Value::Dict(_) | Value::Object { .. } | Value::Call { .. });
            let inner = if name.is_empty() { key } else { format!("{name}.{key}") };
            if holds && inner.len() <= LONGEST_NAME {
                ahead.push((value, inner, depth + 1));
            }
        }
    }
    tensors
}

/// The tensor that a call makes; none where it makes something else.
fn tensor<'p>(values: &Values<'p>, mut id: Id) -> Option<TensorRecord<'p>> {
    // A parameter is made of a tensor, and no parameter of a parameter.
    for _ in 0..2 {
        let Value::Call { of, arguments } = values.get(id) else { return None };
        let arguments = values.tuple(*arguments)?;
        match (values.global(*of)?, arguments) {
            (("torch._utils", "_rebuild_tensor_v2"), &[storage, offset, shape, strides, ..]) => {
                let (storage, before) = self::storage(values, storage)?;
                let offset = values.count(offset)?.checked_add(before)?;
                return Some(TensorRecord {
                    storage,
                    offset,
                    shape: values.counts(shape)?,
                    strides: values.counts(strides)?,
                });
            }
            (("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state"), &[tensor, ..]) => id = tensor,
            _ => return None,
        }
    }
    None
}

/// The storage that a persistent name means, and how many numbers of it come before: `("storage", type, key, device, length)`, and
/// before version 1.6 a sixth part, `(key, offset, length)` of a view, or nothing.
pub(super) fn storage<'p>(values: &Values<'p>, id: Id) -> Option<(Storage<'p>, usize)> {
    let Value::Persistent(name) = values.get(id) else { return None };
    let &[word, kind, key, _, _, ref rest @ ..] = values.tuple(*name)? else { return None };
    let ("storage", ("torch", kind)) = (values.text(word)?, values.global(kind)?) else { return None };
    let (number, size) = storage_type(kind)?;
    let before = match rest.first().and_then(|&view| values.tuple(view)) {
        Some(&[_, offset, _]) => values.count(offset)?,
        _ => 0,
    };
    Some((Storage { key: values.text(key)?, number, size }, before))
}
