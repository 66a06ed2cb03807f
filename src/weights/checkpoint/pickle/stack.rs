//! The machine's memory: values, the stack of those in work, marks in it, and the memo of those that are used again.

use std::collections::HashMap;

use super::{Id, PickleError, Value, Values};

/// Values, entries of the stack and of the memo: a checkpoint of this network with the state of its optimiser has some 60,000.
const LIMIT: usize = 1 << 20;

/// All that a machine remembers.
#[derive(Debug, Default)]
pub(super) struct Stack<'a> {
    pub(super) values: Values<'a>,
    /// Of those in work, the last one on top.
    ids: Vec<Id>,
    /// Lengths of the stack where a group of values begins.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Stack<'a> {
    pub(super) fn push(&mut self, value: Value<'a>) -> Result<(), PickleError> {
        within_limit(self.values.0.len())?;
        self.values.0.push(value);
        self.push_id(self.values.0.len() as Id - 1)
    }

    fn push_id(&mut self, id: Id) -> Result<(), PickleError> {
        within_limit(self.ids.len())?;
        self.ids.push(id);
        Ok(())
    }

    /// The last value of the stack, but none of before the last mark.
    pub(super) fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.ids.pop();
        Ok(top)
    }

    fn top(&self) -> Result<Id, PickleError> {
        let begin = self.marks.last().copied().unwrap_or(0);
        self.ids.get(begin..).and_then(|group| group.last()).copied().ok_or(EMPTY)
    }

    fn top_mut(&mut self) -> Result<&mut Value<'a>, PickleError> {
        let top = self.top()?;
        self.values.0.get_mut(top as usize).ok_or(EMPTY)
    }

    pub(super) fn duplicate(&mut self) -> Result<(), PickleError> {
        let top = self.top()?;
        self.push_id(top)
    }

    pub(super) fn mark(&mut self) -> Result<(), PickleError> {
        within_limit(self.marks.len())?;
        self.marks.push(self.ids.len());
        Ok(())
    }

    /// All values since the last mark.
    pub(super) fn group(&mut self) -> Result<Vec<Id>, PickleError> {
        let begin = self.marks.pop().ok_or(EMPTY)?;
        Ok(self.ids.split_off(begin.min(self.ids.len())))
    }

    /// The last values, in their order.
    pub(super) fn last(&mut self, count: usize) -> Result<Vec<Id>, PickleError> {
        let mut parts = (0..count).map(|_| self.pop()).collect::<Result<Vec<Id>, _>>()?;
        parts.reverse();
        Ok(parts)
    }

    /// Keeps the top of the stack under a key, or under the next one.
    pub(super) fn put(&mut self, key: Option<u32>) -> Result<(), PickleError> {
        within_limit(self.memo.len())?;
        let top = self.top()?;
        self.memo.insert(key.unwrap_or(self.memo.len() as u32), top);
        Ok(())
    }

    pub(super) fn get(&mut self, key: u32) -> Result<(), PickleError> {
        let id = *self.memo.get(&key).ok_or(PickleError::Damaged("it recalls what it has not kept"))?;
        self.push_id(id)
    }

    /// Adds to the list on top of the stack.
    pub(super) fn extend(&mut self, parts: &[Id]) -> Result<(), PickleError> {
        match self.top_mut()? {
            Value::List(list) => list.extend_from_slice(parts),
            // An object that is none of ours.
            Value::Object { .. } => {}
            _ => return Err(PickleError::Damaged("something is added to what is no list")),
        }
        Ok(())
    }

    /// Adds keys and values in turns to the dictionary on top of the stack.
    pub(super) fn set(&mut self, parts: &[Id]) -> Result<(), PickleError> {
        if parts.len() % 2 == 1 {
            return Err(PickleError::Damaged("a key has no value"));
        }
        match self.top_mut()? {
            Value::Dict(dict) => dict.extend_from_slice(parts),
            Value::Object { .. } => {}
            _ => return Err(PickleError::Damaged("a key is set in what is no dictionary")),
        }
        Ok(())
    }

    /// Gives the object on top of the stack its attributes; what a dictionary has beside its entries is passed over.
    pub(super) fn build(&mut self) -> Result<(), PickleError> {
        let state = self.pop()?;
        let is_dict = matches!(self.values.get(state), Value::Dict(_));
        if let Value::Object { attributes } = self.top_mut()?
            && is_dict
        {
            *attributes = Some(state);
        }
        Ok(())
    }
}

const EMPTY: PickleError = PickleError::Damaged("it takes more from its stack than is there");

fn within_limit(count: usize) -> Result<(), PickleError> {
    if count < LIMIT { Ok(()) } else { Err(PickleError::Damaged("it has more values than tensors need")) }
}
