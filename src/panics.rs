//! Panics of others as errors: cudarc, under candle, panics where a library is missing, or a function of it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(any(feature = "cuda", test))]
use std::panic::{set_hook, take_hook};

/// What the work gives, or its panic's own words; the panic is printed where it happens as well.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What it worked on is given up with it.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words(panic.as_ref()))
}

/// The same without the print.
///
/// While it runs no panic of another thread is printed either: it is for opening things, before there are others at work.
#[cfg(any(feature = "cuda", test))]
pub fn silently<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let outcome = caught(work);
    set_hook(hook);
    outcome
}

/// In one line.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::panic, reason = "it is what is tested")]
mod tests {
    use super::{caught, silently};

    #[test]
    fn a_panic_becomes_its_words_in_one_line() {
        assert_eq!(caught(|| 7), Ok(7));
        let with_words: Result<(), String> = silently(|| panic!("no {}\nhere", "library"));
        assert_eq!(with_words, Err("no library here".to_owned()));
    }
}
