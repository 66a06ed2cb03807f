//! Minimal filtering: m outputs of an r-tap filter by m + r - 1 multiplications where m r are usual.
//!
//! A filter of r taps and m outputs is, transposed, a product of polynomials of r and m coefficients. Such a product has
//! m + r - 1 coefficients, so it is known when it is known at as many points: evaluate both factors there, multiply point by
//! point, interpolate (Toom 1963, Cook 1966; Winograd 1980 proves that there is no way with fewer; Lavin and Gray 2015,
//! arXiv:1509.09308, brought it to convolutions). Transposed again, for an input d and a kernel g,
//!
//! ```text
//! y = A' [(G g) * (B' d)]       B': the input transform, n x n        (interpolation, transposed)
//!                               G:  the kernel transform, n x r       (evaluation, over the interpolation's divisors)
//!                               A': the output transform, m x n       (evaluation, transposed)
//! ```
//!
//! and over two axes the same along one after the other.
//!
//! The points here are always 0, pairs +-p, and infinity (the leading coefficient). Then, with Q the product of
//! (x^2 - q^2) over the other pairs, the polynomials of +p and -p are x (x + p) Q and x (x - p) Q: their even parts are the same and
//! their odd parts differ in sign, which halves both transforms of the data. All points are dyadic fractions of few bits, so
//! that the tables below are exact in float64; only the divisors in G, and the last rounding to float32, round.
//!
//! Which points: small ones keep the numbers small, near ones make the interpolation ill-conditioned. These are the best that were
//! measured (a search over dyadic fractions up to 4, float32 against float64; ARCHITECTURE.md).

/// F(m, r).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MinimalFilter {
    /// m, outputs of a tile along an axis.
    pub outputs: usize,
    /// r, taps of the kernel.
    pub taps: usize,
    /// p of each pair of points.
    pairs: &'static [f64],
}

impl MinimalFilter {
    /// F(3, 2).
    pub const F3_2: Self = Self { outputs: 3, taps: 2, pairs: &[1.0] };
    /// F(2, 3).
    pub const F2_3: Self = Self { outputs: 2, taps: 3, pairs: &[1.0] };
    /// F(4, 3).
    pub const F4_3: Self = Self { outputs: 4, taps: 3, pairs: &[0.625, 1.5] };
    /// F(6, 3).
    pub const F6_3: Self = Self { outputs: 6, taps: 3, pairs: &[0.5, 1.0, 2.0] };
    /// F(2, 5).
    pub const F2_5: Self = Self { outputs: 2, taps: 5, pairs: &[0.625, 1.5] };
    /// F(4, 5).
    pub const F4_5: Self = Self { outputs: 4, taps: 5, pairs: &[0.5, 1.0, 2.0] };
    /// F(2, 7).
    pub const F2_7: Self = Self { outputs: 2, taps: 7, pairs: &[0.5, 1.0, 2.0] };
    /// F(4, 7).
    pub const F4_7: Self = Self { outputs: 4, taps: 7, pairs: &[0.375, 0.75, 1.25, 2.5] };
    /// F(6, 7).
    pub const F6_7: Self = Self { outputs: 6, taps: 7, pairs: &[0.375, 0.625, 1.0, 1.5, 3.0] };

    /// Every one that the kernels know.
    pub const ALL: [Self; 9] =
        [Self::F3_2, Self::F2_3, Self::F4_3, Self::F6_3, Self::F2_5, Self::F4_5, Self::F2_7, Self::F4_7, Self::F6_7];

    /// n = m + r - 1: points, and inputs of a tile along an axis.
    #[must_use]
    pub const fn points(&self) -> usize {
        self.outputs + self.taps - 1
    }

    /// G, n rows of r numbers. Rows are in the order of the points: 0, +p and -p of each pair, infinity.
    #[must_use]
    pub fn kernel_transform(&self) -> Vec<Vec<f64>> {
        let powers = |point: f64, divisor: f64| (0..self.taps).map(|k| point.powi(k as i32) / divisor).collect();
        let squares = |p: f64| self.pairs.iter().map(move |q| p * p - q * q).filter(|&square| square != 0.0);
        let mut rows = vec![powers(0.0, squares(0.0).product())];
        for &p in self.pairs {
            let divisor = 2.0 * p * p * squares(p).product::<f64>();
            rows.extend([powers(p, divisor), powers(-p, divisor)]);
        }
        rows.push((0..self.taps).map(|k| if k + 1 == self.taps { 1.0 } else { 0.0 }).collect());
        rows
    }

    /// What the transforms of the data multiply by; P is the number of pairs.
    #[must_use]
    pub fn coefficients<const P: usize>(&self) -> Coefficients<P> {
        let pairs: [f64; P] = std::array::from_fn(|pair| self.pairs[pair]);
        // The product of (t - q^2) over some pairs: its leading coefficient, 1, stands past the others.
        let product = |without: Option<usize>| {
            let mut polynomial = [0.0; P];
            let mut leading = 0;
            for (_, q) in pairs.iter().enumerate().filter(|&(pair, _)| Some(pair) != without) {
                // Times t, and less q^2 times itself, from the top down; at `leading` stands 1 before and after.
                for k in (0..=leading).rev() {
                    let itself = if k == leading { 1.0 } else { polynomial[k] };
                    let below = if k == 0 { 0.0 } else { polynomial[k - 1] };
                    polynomial[k] = below - q * q * itself;
                }
                leading += 1;
            }
            if let Some(last) = polynomial.get_mut(leading) {
                *last = 1.0;
            }
            polynomial.map(|coefficient| coefficient as f32)
        };
        Coefficients {
            pairs: pairs.map(|p| p as f32),
            whole: product(None),
            part: std::array::from_fn(|pair| product(Some(pair))),
        }
    }
}

/// The numbers in both transforms of the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients<const P: usize> {
    /// p of each pair.
    pub pairs: [f32; P],
    /// The product of (t - q^2) over all pairs, from its constant on; its leading coefficient is 1 and not here.
    pub whole: [f32; P],
    /// The product over all pairs but one; the leading coefficient, 1, is the last.
    pub part: [[f32; P]; P],
}
