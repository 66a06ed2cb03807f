//! Plain loops, compiled for the widest instructions that this processor has.

use pulp::{Arch, Simd, WithSimd};

/// Runs a closure whose loops are compiled once for each family of instructions, and gives what it gives.
///
/// Only what is inlined into it is: the closure, and the functions that it calls, have to be `#[inline(always)]`. It is borrowed and
/// not consumed because a closure that is called as [`FnOnce`] is reached through a function of the compiler's that nobody can ask to
/// be inlined, so that its loops would stay those of the oldest processor (pulp's own `dispatch` of a closure ends there).
pub fn vectorised<R>(run: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Loops(run))
}

struct Loops<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Loops<F> {
    type Output = R;

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}
