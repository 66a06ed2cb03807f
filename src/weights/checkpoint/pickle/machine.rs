//! The machine: one operation after the other, by `pickletools.opcodes` of Python 3.

use super::stack::Stack;
use super::stream::Stream;
use super::{Id, PickleError, Value, Values};

/// Reads the first pickle of `bytes`: its values, which of them it is, and what is behind it. `allowed` tells which classes and
/// functions, by module and name, may be named.
pub(in super::super) fn read(
    bytes: &[u8],
    allowed: fn(&str, &str) -> bool,
) -> Result<(Values<'_>, Id, &[u8]), PickleError> {
    let mut machine = Machine { stream: Stream { rest: bytes }, allowed, stack: Stack::default() };
    loop {
        match machine.stream.u8()? {
            // STOP
            b'.' => {
                let root = machine.stack.pop()?;
                return Ok((machine.stack.values, root, machine.stream.rest));
            }
            operation => machine.step(operation)?,
        }
    }
}

struct Machine<'a> {
    stream: Stream<'a>,
    allowed: fn(&str, &str) -> bool,
    stack: Stack<'a>,
}

impl<'a> Machine<'a> {
    /// One operation: those that bring something in from the stream are here.
    fn step(&mut self, operation: u8) -> Result<(), PickleError> {
        let Self { stream, stack, .. } = self;
        match operation {
            // PROTO, FRAME: a version and a length, on which nothing here depends.
            0x80 => stream.u8().map(drop),
            0x95 => stream.u64().map(drop),

            // NONE, NEWTRUE, NEWFALSE, BINFLOAT
            b'N' | 0x88 | 0x89 => stack.push(Value::Opaque),
            b'G' => {
                stream.array::<8>()?;
                stack.push(Value::Opaque)
            }
            // BININT, BININT1, BININT2, LONG1, LONG4
            b'J' => stack.push(integer(stream.integer(4)?)),
            b'K' => stack.push(Value::Integer(stream.u8()?.into())),
            b'M' => stack.push(Value::Integer(stream.u16()?.into())),
            0x8a => {
                let len = stream.u8()?;
                stack.push(integer(stream.integer(len.into())?))
            }
            0x8b => {
                let len = stream.u32()?;
                stack.push(integer(stream.integer(len.into())?))
            }
            // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
            0x8c | b'X' | 0x8d => {
                let len = len(stream, operation)?;
                stack.push(Value::Text(stream.text(len)?))
            }
            // SHORT_BINBYTES, BINBYTES, BINBYTES8, and Python 2's SHORT_BINSTRING, BINSTRING. Those that are UTF-8 may be names.
            b'C' | b'B' | 0x8e | b'U' | b'T' => {
                let len = len(stream, operation)?;
                stack.push(str::from_utf8(stream.bytes(len)?).map_or(Value::Opaque, Value::Text))
            }

            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' => stack.put(Some(stream.u8()?.into())),
            b'r' => stack.put(Some(stream.u32()?)),
            0x94 => stack.put(None),
            b'h' => stack.get(stream.u8()?.into()),
            b'j' => stack.get(stream.u32()?),

            // GLOBAL
            b'c' => {
                let (module, name) = (stream.line()?, stream.line()?);
                self.global(module, name)
            }
            _ => self.step_of_structure(operation),
        }
    }

    /// Operations on what is on the stack already.
    fn step_of_structure(&mut self, operation: u8) -> Result<(), PickleError> {
        let stack = &mut self.stack;
        match operation {
            // MARK, POP, POP_MARK, DUP
            b'(' => stack.mark(),
            b'0' => stack.pop().map(drop),
            b'1' => stack.group().map(drop),
            b'2' => stack.duplicate(),

            // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
            b')' => stack.push(Value::Tuple(Vec::new())),
            0x85..=0x87 => {
                let parts = stack.last(usize::from(operation) - 0x84)?;
                stack.push(Value::Tuple(parts))
            }
            b't' => {
                let parts = stack.group()?;
                stack.push(Value::Tuple(parts))
            }

            // EMPTY_LIST, EMPTY_SET, LIST, APPEND, APPENDS, ADDITEMS
            b']' | 0x8f => stack.push(Value::List(Vec::new())),
            b'l' => {
                let parts = stack.group()?;
                stack.push(Value::List(parts))
            }
            b'a' => {
                let part = stack.pop()?;
                stack.extend(&[part])
            }
            b'e' | 0x90 => {
                let parts = stack.group()?;
                stack.extend(&parts)
            }

            // EMPTY_DICT, DICT, SETITEM, SETITEMS
            b'}' => stack.push(Value::Dict(Vec::new())),
            b'd' => {
                let parts = stack.group()?;
                stack.push(Value::Dict(Vec::new()))?;
                stack.set(&parts)
            }
            b's' => {
                let parts = stack.last(2)?;
                stack.set(&parts)
            }
            b'u' => {
                let parts = stack.group()?;
                stack.set(&parts)
            }

            // STACK_GLOBAL, REDUCE, NEWOBJ, BUILD, BINPERSID
            0x93 => {
                let (name, module) = (stack.pop()?, stack.pop()?);
                match (stack.values.text(module), stack.values.text(name)) {
                    (Some(module), Some(name)) => self.global(module, name),
                    _ => Err(PickleError::Damaged("a class is named by no text")),
                }
            }
            b'R' => self.call(),
            0x81 => {
                let (_, class) = (stack.pop()?, stack.pop()?);
                stack.values.global(class).ok_or(PickleError::Damaged("an object is of no class"))?;
                stack.push(Value::Object { attributes: None })
            }
            b'b' => stack.build(),
            b'Q' => {
                let name = stack.pop()?;
                stack.push(Value::Persistent(name))
            }
            other => Err(PickleError::Operation(other)),
        }
    }

    fn global(&mut self, module: &'a str, name: &'a str) -> Result<(), PickleError> {
        if !(self.allowed)(module, name) {
            return Err(PickleError::Global(format!("{module}.{name}")));
        }
        self.stack.push(Value::Global(module, name))
    }

    /// Records a call. The one that is carried out is that of an ordered dictionary, which begins empty.
    fn call(&mut self) -> Result<(), PickleError> {
        let (arguments, of) = (self.stack.pop()?, self.stack.pop()?);
        match self.stack.values.global(of) {
            Some(("collections", "OrderedDict")) => self.stack.push(Value::Dict(Vec::new())),
            Some(_) => self.stack.push(Value::Call { of, arguments }),
            None => Err(PickleError::Damaged("what is no function is called")),
        }
    }
}

/// The length of a text or of bytes, as wide as the operation has it.
fn len(stream: &mut Stream<'_>, operation: u8) -> Result<u64, PickleError> {
    match operation {
        0x8c | b'C' | b'U' => stream.u8().map(u64::from),
        0x8d | 0x8e => stream.u64(),
        _ => stream.u32().map(u64::from),
    }
}

fn integer<'a>(number: Option<i64>) -> Value<'a> {
    number.map_or(Value::Opaque, Value::Integer)
}
