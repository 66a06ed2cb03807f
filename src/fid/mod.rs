//! How far apart two sets of images are: the Fréchet distance of the Gaussians through their features (FID, Heusel et al.
//! 2017), and the squared maximum mean discrepancy of the features themselves (KID, Bińkowski et al. 2018).
//!
//! ```text
//! rows ─▶ Moments ─▶ Statistics ─▶ frechet_distance      means and covariances: memory does not grow with the rows
//!           a block     ▲  │
//!           at a time   │  └▶ StatisticsFile, mu_sigma.npz, pytorch-fid's format
//!                       └────┘
//! rows ─▶ Subsets ─▶ kernel_distance                      torch-fidelity's draws, in its order
//! ```
//!
//! Nothing here knows an image or a network: rows are `[N, F]` float32, F = 2048 for FID proper. All sums are float64.

mod frechet;
mod kernel;
mod moments;
mod npy_header;
mod npz;
mod random_state;
mod statistics;

pub use frechet::{FrechetError, frechet_distance};
pub use kernel::{KernelDistance, KernelError, Subsets, kernel_distance};
pub use moments::Moments;
pub use npz::{MOST_FEATURES, Origin, StatisticsFile};
pub use random_state::RandomState;
pub use statistics::{Statistics, StatisticsError};

/// Rows from which on the covariance of 2048 features can have full rank. With fewer, FID is far too large and not comparable with
/// that of another number of rows.
pub const ENOUGH_ROWS: usize = 2048;
