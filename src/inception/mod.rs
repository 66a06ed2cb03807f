//! Inception-v3, written down once, as data.
//!
//! Everything that knows the network reads it from here: the engines that run it, the readers of weights, the table of
//! `inspect layers`, the point where fine-tuning starts.
//!
//! ```text
//! v3 (the paper's table) ──▶ Network (a flat list of nodes) ──▶ engines, weights
//!        ▲                            │
//!     Variant                         └──▶ keras (the 311 numbered layers) ──▶ freeze ──▶ border
//! ```
//!
//! Source: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture for Computer Vision", 2015
//! (arXiv:1512.00567), in the form of the checkpoints that people use: TensorFlow's of 2015-12-05, Keras', torchvision's.
//! The nodes bear torchvision's names, which timm, pytorch-fid and the model hubs share.
//!
//! This room knows numbers and names only: no tensor, no file.

mod border;
pub mod freeze;
mod grid;
pub mod keras;
mod network;
mod v3;
mod variant;

pub use border::{Border, BorderGroup};
pub use freeze::FreezePoint;
pub use grid::Grid;
pub use network::{Convolution, Network, Node, NodeId, Op, ShapeError, Window};
pub use variant::{UnknownVariant, Variant};

/// The side, in pixels, of the square image the published weights were trained on.
pub const INPUT_SIDE: usize = 299;

/// The length of the pooled feature vector.
pub const FEATURES: usize = 2048;
