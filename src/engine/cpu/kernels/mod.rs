//! The inner loops, once, over whatever vectors the processor has.
//!
//! A [`Kernels`] value is the proof that the processor has the instructions: it can only be had by asking the processor
//! ([`Instructions::kernels`]). The loops are generic over `pulp::Simd`, whose values are such proofs too; what differs from one
//! set of instructions to the next is the size of the register tile.
//!
//! Matrix products reach their rows by an address and a step, which is all that a sum of 32 products has time for. Transforms and
//! windows have a pointer for each pixel: padding is a pointer to zeros, the ragged edge of a tile is a pointer to where nobody
//! looks, strides and concatenations are pointers further apart, and no kernel knows of any of them.
#![expect(unsafe_code, reason = "kernels reach their data by pointers, see above")]
#![allow(
    clippy::needless_range_loop,
    reason = "iterators have closures, and a closure that is not inlined is compiled without the instructions of its caller"
)]
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]

mod filter;
mod matrix_product;
mod strassen;
mod window;

pub use filter::{GradientTransform, InputTransform, OutputTransform, Steps};
pub use matrix_product::{Lie, MatrixProduct};
pub use strassen::{QuarterResults, QuarterSums};
pub use window::{Reduce, WindowReduction};

use std::any::TypeId;
use std::fmt;

use pulp::{Scalar128b, Simd};

/// The inner loops for one set of instructions.
pub trait Kernels: Send + Sync {
    /// Rows of a register tile.
    fn tile(&self) -> usize;

    /// Output channels of a register tile: weights are packed in panels of so many.
    fn panel(&self) -> usize;

    /// Rows times weights.
    ///
    /// # Safety
    /// Pointers and lengths are as [`MatrixProduct`] says.
    unsafe fn matrix_product(&self, job: &MatrixProduct<'_>);

    /// The input transform of minimal filtering.
    ///
    /// # Safety
    /// Pointers and lengths are as [`InputTransform`] says.
    unsafe fn input_transform(&self, job: &InputTransform<'_>);

    /// The output transform of minimal filtering.
    ///
    /// # Safety
    /// Pointers and lengths are as [`OutputTransform`] says.
    unsafe fn output_transform(&self, job: &OutputTransform<'_>);

    /// The sums that Strassen's products take.
    ///
    /// # Safety
    /// Pointers and lengths are as [`QuarterSums`] says.
    unsafe fn quarter_sums(&self, job: &mut QuarterSums<'_>);

    /// The result of Strassen's products.
    ///
    /// # Safety
    /// Pointers and lengths are as [`QuarterResults`] says.
    unsafe fn quarter_results(&self, job: &QuarterResults<'_>);

    /// The transform of the result's gradient, for the gradient of the kernel.
    ///
    /// # Safety
    /// Pointers and lengths are as [`GradientTransform`] says.
    unsafe fn gradient_transform(&self, job: &GradientTransform<'_>);

    /// Maxima or means of windows.
    ///
    /// # Safety
    /// Pointers and lengths are as [`WindowReduction`] says.
    unsafe fn window(&self, job: &WindowReduction<'_>);
}

/// A set of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// x86-64 with AVX-512 (F, BW, CD, DQ, VL).
    Avx512,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// 64-bit ARM.
    Neon,
    /// Whatever the compiler makes of plain loops.
    Portable,
}

impl Instructions {
    /// Every one, the fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// The kernels for these instructions, where this processor has them.
    #[must_use]
    pub fn kernels(self) -> Option<Box<dyn Kernels>> {
        match self {
            // 12 x 32: 24 sums, 2 weights and a pixel in 32 registers.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().map(|simd| Box::new(Family::<_, 12, 2>(simd)) as _),
            // 6 x 16: 12 sums, 2 weights and a pixel in 16 registers.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().map(|simd| Box::new(Family::<_, 6, 2>(simd)) as _),
            // 8 x 8 of 4 lanes: 16 sums, 2 weights and a pixel in 32 registers. Nobody has measured it yet.
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().map(|simd| Box::new(Family::<_, 8, 2>(simd)) as _),
            Self::Portable => Some(Box::new(Family::<_, 4, 2>(Scalar128b))),
            #[allow(unreachable_patterns, reason = "of another architecture")]
            _ => None,
        }
    }

    /// The fastest that this processor has.
    #[must_use]
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|set| set.kernels().is_some()).unwrap_or(Self::Portable)
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512 => "AVX-512",
            Self::Avx2 => "AVX2 + FMA",
            Self::Neon => "NEON",
            Self::Portable => "portable",
        })
    }
}

/// The kernels over vectors of S, with a register tile of M pixels by V vectors.
struct Family<S, const M: usize, const V: usize>(S);

impl<S: Simd, const M: usize, const V: usize> Kernels for Family<S, M, V> {
    fn tile(&self) -> usize {
        M
    }

    fn panel(&self) -> usize {
        V * S::F32_LANES
    }

    unsafe fn matrix_product(&self, job: &MatrixProduct<'_>) {
        self.0.vectorize(matrix_product::Run::<M, V>(job));
    }

    unsafe fn input_transform(&self, job: &InputTransform<'_>) {
        self.0.vectorize(filter::RunInput(job));
    }

    unsafe fn output_transform(&self, job: &OutputTransform<'_>) {
        self.0.vectorize(filter::RunOutput(job));
    }

    unsafe fn quarter_sums(&self, job: &mut QuarterSums<'_>) {
        self.0.vectorize(strassen::RunSums(job));
    }

    unsafe fn quarter_results(&self, job: &QuarterResults<'_>) {
        self.0.vectorize(strassen::RunResults(job));
    }

    unsafe fn gradient_transform(&self, job: &GradientTransform<'_>) {
        self.0.vectorize(filter::RunGradient(job));
    }

    unsafe fn window(&self, job: &WindowReduction<'_>) {
        self.0.vectorize(window::Run(job));
    }
}

/// a * b + c, rounded once where the instructions can do that. Plain loops cannot: they would call a function for each number.
#[inline(always)]
fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if TypeId::of::<S>() == TypeId::of::<Scalar128b>() {
        simd.add_f32s(simd.mul_f32s(a, b), c)
    } else {
        simd.mul_add_e_f32s(a, b, c)
    }
}

/// A vector from anywhere.
///
/// # Safety
/// `S::F32_LANES` numbers can be read.
#[inline(always)]
unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller's promise; any bits are floats.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// A vector to anywhere.
///
/// # Safety
/// `S::F32_LANES` numbers can be written.
#[inline(always)]
unsafe fn store<S: Simd>(to: *mut f32, vector: S::f32s) {
    // SAFETY: the caller's promise.
    unsafe { to.cast::<S::f32s>().write_unaligned(vector) }
}
