//! What a pickle builds.

/// The position of a value in its [`Values`].
pub(in super::super) type Id = u32;

/// All values of a pickle.
#[derive(Debug, Default)]
pub(in super::super) struct Values<'a>(pub(super) Vec<Value<'a>>);

/// One value; texts lie in the pickle.
#[derive(Debug)]
pub(in super::super) enum Value<'a> {
    /// None, true, false, a real number, bytes: nothing that a tensor's place depends on.
    Opaque,
    /// An integer of up to 64 bits.
    Integer(i64),
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// A dictionary, ordered or not: keys and values in turns.
    Dict(Vec<Id>),
    /// A class or a function, by its module and name.
    Global(&'a str, &'a str),
    /// What a call would have given.
    Call {
        of: Id,
        arguments: Id,
    },
    /// An object of a class that may be named, and the dictionary of its attributes.
    Object {
        attributes: Option<Id>,
    },
    /// What lies outside of the pickle, by the tuple that names it.
    Persistent(Id),
}

impl<'a> Values<'a> {
    /// The value at this position: every position that a value holds is one of the list.
    pub(in super::super) fn get(&self, id: Id) -> &Value<'a> {
        self.0.get(id as usize).unwrap_or(&Value::Opaque)
    }

    /// The parts of a tuple.
    pub(in super::super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(parts) => Some(parts),
            _ => None,
        }
    }

    pub(in super::super) fn text(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer that is not negative.
    pub(in super::super) fn count(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Value::Integer(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The parts of a tuple as integers that are not negative.
    pub(in super::super) fn counts(&self, id: Id) -> Option<Vec<usize>> {
        self.tuple(id)?.iter().map(|&part| self.count(part)).collect()
    }

    /// The name of a class or function.
    pub(in super::super) fn global(&self, id: Id) -> Option<(&'a str, &'a str)> {
        match self.get(id) {
            Value::Global(module, name) => Some((module, name)),
            _ => None,
        }
    }

    pub(in super::super) fn len(&self) -> usize {
        self.0.len()
    }
}
