//! NumPy's old generator, `np.random.RandomState`, as far as torch-fidelity draws with it: the same subsets, not only ones
//! from the same distribution. Its stream is frozen by NumPy's own promise (NEP 19).

use rand_mt::Mt;

/// A Mersenne Twister as NumPy seeds and reads it.
#[derive(Clone, Debug)]
pub struct RandomState(Mt);

impl RandomState {
    /// `np.random.RandomState(seed)`.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self(Mt::new(seed))
    }

    /// `choice(population, size, replace=False)`: the first `size` of a shuffle of all.
    ///
    /// # Panics
    /// Where more are asked for than there are, or there are more than a million millions.
    pub fn choice(&mut self, population: usize, size: usize) -> Vec<usize> {
        assert!(size <= population && population < 1 << 40, "{size} of {population}");
        let mut all: Vec<usize> = (0..population).collect();
        for last in (1..population).rev() {
            let other = self.at_most(last as u64);
            all.swap(last, other as usize);
        }
        all[..size].to_vec()
    }

    /// A number from 0 to `most`: as many bits as it takes, drawn again where they say more.
    fn at_most(&mut self, most: u64) -> u64 {
        let mask = u64::MAX >> most.leading_zeros();
        loop {
            let bits = match u32::try_from(most) {
                Ok(_) => u64::from(self.0.next_u32()),
                // The word of higher bits comes first.
                Err(_) => u64::from(self.0.next_u32()) << 32 | u64::from(self.0.next_u32()),
            };
            if bits & mask <= most {
                return bits & mask;
            }
        }
    }
}
