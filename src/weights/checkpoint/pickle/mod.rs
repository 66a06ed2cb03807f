//! Python's pickle, read as data.
//!
//! A pickle is a program for a stack machine, and Python runs it: what it names is imported, what it calls is called. This machine
//! calls nothing. It has the operations that a dictionary of tensors needs; a call is recorded with its arguments, and only what is
//! on the caller's list may be named at all.
//!
//! ```text
//! bytes ─▶ operations ─▶ stack, memo ─▶ Values: flat, by number ─▶ torch: which of them are tensors
//!                           └ a name that is not on the list, an operation that is not known: an error
//! ```
//!
//! Values lie in one list and refer to each other by position. So nothing is copied however often it is shared, nothing is nested in
//! memory however deep it is on paper, and what a byte of a pickle takes is bounded: a value, and an entry of the stack and the memo.

mod machine;
mod stack;
mod stream;
mod value;

pub(super) use machine::read;
pub(super) use value::{Id, Value, Values};

use crate::printable::{printable, shortened};

/// Why a pickle is not read.
#[derive(Debug, thiserror::Error)]
pub enum PickleError {
    /// It ends before its end.
    #[error("the pickle is cut off")]
    CutOff,
    /// It names a class or a function that tensors do not need.
    #[error(
        "the pickle names `{}`, which no tensor needs: it may be meant to run code, and is not read. If the file is one of yours, \
         save the tensors alone: torch.save(model.state_dict(), ...)",
        printable(&shortened(.0))
    )]
    Global(String),
    /// An operation that tensors do not need.
    #[error("the pickle has the operation {0:#04x}, which tensors do not need")]
    Operation(u8),
    /// Anything else that no pickler writes.
    #[error("the pickle is damaged: {0}")]
    Damaged(&'static str),
}
