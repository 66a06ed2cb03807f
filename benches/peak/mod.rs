//! What the processor can do at most: multiply and add in registers; and on x86-64 what bytes would gain over
//! float32 where there is AVX2 and no more.
#![allow(dead_code, reason = "each benchmark uses a part")]
#![allow(clippy::inline_always, reason = "only what is inlined is compiled for the instructions of its caller")]

use std::hint::black_box;

use pulp::{Arch, Simd, WithSimd};

/// Multiplies and adds in registers, as many at once as hide the latency.
pub struct Peak(pub usize);

pub const SUMS: usize = 12;

impl WithSimd for Peak {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let mut sums = [simd.splat_f32s(black_box(0.5)); SUMS];
        let (by, and) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(1e-3)));
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, by, and);
            }
        }
        let mut all = sums[0];
        for &sum in &sums[1..] {
            all = simd.add_f32s(all, sum);
        }
        simd.reduce_sum_f32s(all)
    }
}

/// Numbers in a vector.
pub struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// Operations of a run of [`Peak`], two for a product and its addition.
pub fn operations(rounds: usize) -> usize {
    2 * rounds * SUMS * Arch::new().dispatch(Lanes)
}

/// The best of some runs on one thread, GFLOP/s.
pub fn gflops() -> f64 {
    const ROUNDS: usize = 2_000_000;
    let run = |_| {
        let began = std::time::Instant::now();
        black_box(Arch::new().dispatch(Peak(black_box(ROUNDS))));
        operations(ROUNDS) as f64 / began.elapsed().as_secs_f64() / 1e9
    };
    (0..5).map(run).fold(0.0, f64::max)
}

/// The inner loop of a matrix product, 6 rows by 16 channels, on data that is near: as AVX2 and FMA have it.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "loads and stores of vectors, instructions that are asked for")]
pub mod avx2 {
    use std::arch::x86_64::{
        _mm256_add_epi32, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
        _mm256_maddubs_epi16, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setzero_ps, _mm256_setzero_si256,
    };
    use std::hint::black_box;

    /// Numbers of a row.
    const DEPTH: usize = 256;
    const ROWS: usize = 6;
    /// Operations of a run, two for a product and its addition.
    pub const OPERATIONS: usize = 2 * ROWS * 16 * DEPTH;

    pub struct Data<T> {
        rows: Vec<T>,
        weights: Vec<T>,
    }

    impl<T: Clone> Data<T> {
        pub fn new(number: T) -> Self {
            Self { rows: vec![number.clone(); ROWS * DEPTH], weights: vec![number; 16 * DEPTH] }
        }
    }

    pub fn is_there() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    /// # Safety
    /// There is AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn floats(data: &Data<f32>) {
        let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
        let (rows, weights) = (data.rows.as_ptr(), data.weights.as_ptr());
        for k in 0..DEPTH {
            // SAFETY: k is below the depth.
            unsafe {
                let weights = [0, 8].map(|at| _mm256_loadu_ps(weights.add(k * 16 + at)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let number = _mm256_broadcast_ss(&*rows.add(row * DEPTH + k));
                    sums[0] = _mm256_fmadd_ps(number, weights[0], sums[0]);
                    sums[1] = _mm256_fmadd_ps(number, weights[1], sums[1]);
                }
            }
        }
        black_box(sums);
    }

    /// Unsigned bytes by signed ones: pairs to 16 bits, pairs of those to 32 bits, and those to the sum.
    ///
    /// # Safety
    /// There is AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn bytes(data: &Data<u8>) {
        let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
        let ones = _mm256_set1_epi16(1);
        let (rows, weights) = (data.rows.as_ptr(), data.weights.as_ptr());
        for k in (0..DEPTH).step_by(4) {
            // SAFETY: k is below the depth.
            unsafe {
                let weights = [0, 32].map(|at| _mm256_loadu_si256(weights.add(k * 16 + at).cast()));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let numbers = _mm256_set1_epi32(rows.add(row * DEPTH + k).cast::<i32>().read_unaligned());
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        let pairs = _mm256_maddubs_epi16(numbers, weights);
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
                    }
                }
            }
        }
        black_box(sums);
    }
}
