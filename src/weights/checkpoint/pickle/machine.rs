//! The machine: one operation after the other, by `pickletools.opcodes` of Python 3.

use std::collections::HashMap;

use super::stream::Stream;
use super::{Id, PickleError, Value, Values};

/// Values, entries of the stack and of the memo: a checkpoint of this network with the state of its optimiser has some 60,000.
const LIMIT: usize = 1 << 20;

/// Reads the first pickle of `bytes`: its values, which of them it is, and what is behind it. `allowed` tells which classes and
/// functions, by module and name, may be named.
pub(in super::super) fn read<'a>(
    bytes: &'a [u8],
    allowed: fn(&str, &str) -> bool,
) -> Result<(Values<'a>, Id, &'a [u8]), PickleError> {
    let mut machine = Machine {
        stream: Stream { rest: bytes },
        allowed,
        values: Values::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let root = loop {
        let operation = machine.stream.u8()?;
        if let Some(root) = machine.step(operation)? {
            break root;
        }
    };
    Ok((machine.values, root, machine.stream.rest))
}

struct Machine<'a> {
    stream: Stream<'a>,
    allowed: fn(&str, &str) -> bool,
    values: Values<'a>,
    stack: Vec<Id>,
    /// Lengths of the stack where a group of values begins.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// One operation. The last one gives the value that the pickle is.
    fn step(&mut self, operation: u8) -> Result<Option<Id>, PickleError> {
        match operation {
            // PROTO, FRAME: a version and a length, which nothing here depends on.
            0x80 => drop(self.stream.u8()?),
            0x95 => drop(self.stream.u64()?),
            b'.' => return self.pop().map(Some),

            // NONE, NEWTRUE, NEWFALSE, BININT, BININT1, BININT2, LONG1, LONG4, BINFLOAT
            b'N' | 0x88 | 0x89 => self.push(Value::Opaque)?,
            b'J' => self.integer(4)?,
            b'K' => {
                let number = self.stream.u8()?;
                self.push(Value::Integer(number.into()))?;
            }
            b'M' => {
                let number = self.stream.u16()?;
                self.push(Value::Integer(number.into()))?;
            }
            0x8a => {
                let len = self.stream.u8()?;
                self.integer(len.into())?;
            }
            0x8b => {
                let len = self.stream.u32()?;
                self.integer(len.into())?;
            }
            b'G' => {
                self.stream.array::<8>()?;
                self.push(Value::Opaque)?;
            }

            // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8; SHORT_BINBYTES, BINBYTES, BINBYTES8, SHORT_BINSTRING, BINSTRING
            0x8c => self.text(Width::One)?,
            b'X' => self.text(Width::Four)?,
            0x8d => self.text(Width::Eight)?,
            b'C' | b'U' => self.raw(Width::One)?,
            b'B' | b'T' => self.raw(Width::Four)?,
            0x8e => self.raw(Width::Eight)?,

            _ => return self.step_of_structure(operation),
        }
        Ok(None)
    }

    /// Operations on what is on the stack already.
    fn step_of_structure(&mut self, operation: u8) -> Result<Option<Id>, PickleError> {
        match operation {
            // MARK, POP, POP_MARK, DUP
            b'(' => {
                within_limit(self.marks.len())?;
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.group()?),
            b'2' => {
                let top = self.top()?;
                self.push_id(top)?;
            }

            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' => {
                let key = self.stream.u8()?;
                self.put(key.into())?;
            }
            b'r' => {
                let key = self.stream.u32()?;
                self.put(key)?;
            }
            0x94 => self.put(self.memo.len() as u32)?,
            b'h' => {
                let key = self.stream.u8()?;
                self.get(key.into())?;
            }
            b'j' => {
                let key = self.stream.u32()?;
                self.get(key)?;
            }

            // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
            b')' => self.tuple_of_last(0)?,
            0x85..=0x87 => self.tuple_of_last(usize::from(operation) - 0x84)?,
            b't' => {
                let parts = self.group()?;
                self.push(Value::Tuple(parts))?;
            }

            // EMPTY_LIST, LIST, EMPTY_SET, APPEND, APPENDS, ADDITEMS
            b']' | 0x8f => self.push(Value::List(Vec::new()))?,
            b'l' => {
                let parts = self.group()?;
                self.push(Value::List(parts))?;
            }
            b'a' => {
                let part = self.pop()?;
                self.extend(&[part])?;
            }
            b'e' | 0x90 => {
                let parts = self.group()?;
                self.extend(&parts)?;
            }

            // EMPTY_DICT, DICT, SETITEM, SETITEMS
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'd' => {
                let parts = self.group()?;
                self.push(Value::Dict(Vec::new()))?;
                self.set(&parts)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])?;
            }
            b'u' => {
                let parts = self.group()?;
                self.set(&parts)?;
            }

            // GLOBAL, STACK_GLOBAL, REDUCE, NEWOBJ, BUILD, BINPERSID
            b'c' => {
                let (module, name) = (self.stream.line()?, self.stream.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.values.text(module), self.values.text(name)) {
                    (Some(module), Some(name)) => self.global(module, name)?,
                    _ => return Err(PickleError::Damaged("a class is named by no text")),
                }
            }
            b'R' => self.call()?,
            0x81 => {
                let (_, class) = (self.pop()?, self.pop()?);
                self.values.global(class).ok_or(PickleError::Damaged("an object is of no class"))?;
                self.push(Value::Object { attributes: None })?;
            }
            b'b' => self.build()?,
            b'Q' => {
                let name = self.pop()?;
                self.push(Value::Persistent(name))?;
            }
            other => return Err(PickleError::Operation(other)),
        }
        Ok(None)
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), PickleError> {
        within_limit(self.values.0.len())?;
        self.values.0.push(value);
        self.push_id(self.values.0.len() as Id - 1)
    }

    fn push_id(&mut self, id: Id) -> Result<(), PickleError> {
        within_limit(self.stack.len())?;
        self.stack.push(id);
        Ok(())
    }

    /// The last value of the stack, but none of before the last mark.
    fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Result<Id, PickleError> {
        let begin = self.marks.last().copied().unwrap_or(0);
        self.stack.get(begin..).and_then(|group| group.last()).copied().ok_or(EMPTY)
    }

    /// All values since the last mark.
    fn group(&mut self) -> Result<Vec<Id>, PickleError> {
        let begin = self.marks.pop().ok_or(EMPTY)?;
        Ok(self.stack.split_off(begin.min(self.stack.len())))
    }

    fn tuple_of_last(&mut self, count: usize) -> Result<(), PickleError> {
        let mut parts = Vec::with_capacity(count);
        for _ in 0..count {
            parts.push(self.pop()?);
        }
        parts.reverse();
        self.push(Value::Tuple(parts))
    }

    /// Adds to the list on top of the stack.
    fn extend(&mut self, parts: &[Id]) -> Result<(), PickleError> {
        match self.top_mut()? {
            Value::List(list) => list.extend_from_slice(parts),
            // Attributes that are no data, of an object that is none of ours.
            Value::Object { .. } => {}
            _ => return Err(PickleError::Damaged("something is added to what is no list")),
        }
        Ok(())
    }

    /// Adds keys and values in turns to the dictionary on top of the stack.
    fn set(&mut self, parts: &[Id]) -> Result<(), PickleError> {
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

    fn top_mut(&mut self) -> Result<&mut Value<'a>, PickleError> {
        let top = self.top()?;
        self.values.0.get_mut(top as usize).ok_or(EMPTY)
    }

    fn global(&mut self, module: &'a str, name: &'a str) -> Result<(), PickleError> {
        if !(self.allowed)(module, name) {
            return Err(PickleError::Global(format!("{}.{}", module, name)));
        }
        self.push(Value::Global(module, name))
    }

    /// Records a call. The one that is carried out is that of an ordered dictionary, which begins empty.
    fn call(&mut self) -> Result<(), PickleError> {
        let (arguments, of) = (self.pop()?, self.pop()?);
        match self.values.global(of) {
            Some(("collections", "OrderedDict")) => self.push(Value::Dict(Vec::new())),
            Some(_) => self.push(Value::Call { of, arguments }),
            None => Err(PickleError::Damaged("what is no function is called")),
        }
    }

    /// Gives the object on top of the stack its attributes; what a dictionary has beside its entries is passed over.
    fn build(&mut self) -> Result<(), PickleError> {
        let state = self.pop()?;
        let is_dict = matches!(self.values.get(state), Value::Dict(_));
        if let Value::Object { attributes } = self.top_mut()?
            && is_dict
        {
            *attributes = Some(state);
        }
        Ok(())
    }

    fn put(&mut self, key: u32) -> Result<(), PickleError> {
        within_limit(self.memo.len())?;
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn get(&mut self, key: u32) -> Result<(), PickleError> {
        let id = *self.memo.get(&key).ok_or(PickleError::Damaged("it recalls what it has not kept"))?;
        self.push_id(id)
    }

    fn integer(&mut self, len: u64) -> Result<(), PickleError> {
        let number = self.stream.integer(len)?;
        self.push(number.map_or(Value::Opaque, Value::Integer))
    }

    fn text(&mut self, width: Width) -> Result<(), PickleError> {
        let len = self.len(width)?;
        let text = self.stream.text(len)?;
        self.push(Value::Text(text))
    }

    /// Bytes, and Python 2's texts. Those that are UTF-8 may be names.
    fn raw(&mut self, width: Width) -> Result<(), PickleError> {
        let len = self.len(width)?;
        let bytes = self.stream.bytes(len)?;
        self.push(str::from_utf8(bytes).map_or(Value::Opaque, Value::Text))
    }

    fn len(&mut self, width: Width) -> Result<u64, PickleError> {
        Ok(match width {
            Width::One => self.stream.u8()?.into(),
            Width::Four => self.stream.u32()?.into(),
            Width::Eight => self.stream.u64()?,
        })
    }
}

/// Bytes of a length.
#[derive(Clone, Copy)]
enum Width {
    One,
    Four,
    Eight,
}

const EMPTY: PickleError = PickleError::Damaged("it takes more from its stack than is there");

fn within_limit(count: usize) -> Result<(), PickleError> {
    if count < LIMIT { Ok(()) } else { Err(PickleError::Damaged("it has more values than tensors need")) }
}
