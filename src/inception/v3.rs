//! The table: a stem, then eleven blocks of parallel branches. It is meant to be read beside figures 5, 6 and 7 of the paper.
//!
//! Two rules of the architecture are built into the words of the table: a convolution of stride 1 keeps the size of its
//! input unless it says `valid`, and whatever has stride 2 is `valid`.

use super::variant::{LastPool, Variant};

/// One step along a branch.
pub(super) enum Step {
    /// Convolution without bias, batch norm, ReLU.
    Conv { name: &'static str, channels: usize, kernel: [usize; 2], stride: usize, padding: [usize; 2] },
    /// 3x3 maximum of stride 2, `valid`.
    MaxPool { name: &'static str },
    /// 3x3 average of stride 1 that keeps the size.
    AveragePool { name: &'static str },
    /// 3x3 maximum of stride 1 that keeps the size.
    MaxPoolSame { name: &'static str },
    /// Branches within a branch, concatenated.
    Fork { name: &'static str, keras: Option<&'static str>, branches: Vec<Branch> },
}

pub(super) type Branch = Vec<Step>;

/// Parallel branches over one input, concatenated along the channels.
pub(super) struct Block {
    /// torchvision's name.
    pub name: &'static str,
    /// Keras' name.
    pub keras: &'static str,
    pub branches: Vec<Branch>,
}

/// The name under which the layers before the first block are listed.
pub(super) const STEM: &str = "stem";

pub(super) fn stem() -> Branch {
    vec![
        conv("Conv2d_1a_3x3", 32, [3, 3]).stride_2(),
        conv("Conv2d_2a_3x3", 32, [3, 3]).valid(),
        conv("Conv2d_2b_3x3", 64, [3, 3]),
        Step::MaxPool { name: "maxpool1" },
        conv("Conv2d_3b_1x1", 80, [1, 1]),
        conv("Conv2d_4a_3x3", 192, [3, 3]).valid(),
        Step::MaxPool { name: "maxpool2" },
    ]
}

pub(super) fn blocks(variant: Variant) -> Vec<Block> {
    let block = |name, keras, branches| Block { name, keras, branches };
    vec![
        block("Mixed_5b", "mixed0", inception_a(32)),
        block("Mixed_5c", "mixed1", inception_a(64)),
        block("Mixed_5d", "mixed2", inception_a(64)),
        block("Mixed_6a", "mixed3", reduction_b()),
        block("Mixed_6b", "mixed4", inception_c(128)),
        block("Mixed_6c", "mixed5", inception_c(160)),
        block("Mixed_6d", "mixed6", inception_c(160)),
        block("Mixed_6e", "mixed7", inception_c(192)),
        block("Mixed_7a", "mixed8", reduction_d()),
        block("Mixed_7b", "mixed9", inception_e("mixed9_0", LastPool::Average)),
        block("Mixed_7c", "mixed10", inception_e("mixed9_1", variant.last_pool())),
    ]
}

/// 35x35 (figure 5).
fn inception_a(pool_channels: usize) -> Vec<Branch> {
    vec![
        vec![conv("branch1x1", 64, [1, 1])],
        vec![conv("branch5x5_1", 48, [1, 1]), conv("branch5x5_2", 64, [5, 5])],
        vec![
            conv("branch3x3dbl_1", 64, [1, 1]),
            conv("branch3x3dbl_2", 96, [3, 3]),
            conv("branch3x3dbl_3", 96, [3, 3]),
        ],
        vec![Step::AveragePool { name: "pool" }, conv("branch_pool", pool_channels, [1, 1])],
    ]
}

/// 35x35 to 17x17 (figure 10).
fn reduction_b() -> Vec<Branch> {
    vec![
        vec![conv("branch3x3", 384, [3, 3]).stride_2()],
        vec![
            conv("branch3x3dbl_1", 64, [1, 1]),
            conv("branch3x3dbl_2", 96, [3, 3]),
            conv("branch3x3dbl_3", 96, [3, 3]).stride_2(),
        ],
        vec![Step::MaxPool { name: "pool" }],
    ]
}

/// 17x17, with 7x7 factorised into 1x7 and 7x1 (figure 6); `c` channels between the factors.
fn inception_c(c: usize) -> Vec<Branch> {
    vec![
        vec![conv("branch1x1", 192, [1, 1])],
        vec![conv("branch7x7_1", c, [1, 1]), conv("branch7x7_2", c, [1, 7]), conv("branch7x7_3", 192, [7, 1])],
        vec![
            conv("branch7x7dbl_1", c, [1, 1]),
            conv("branch7x7dbl_2", c, [7, 1]),
            conv("branch7x7dbl_3", c, [1, 7]),
            conv("branch7x7dbl_4", c, [7, 1]),
            conv("branch7x7dbl_5", 192, [1, 7]),
        ],
        vec![Step::AveragePool { name: "pool" }, conv("branch_pool", 192, [1, 1])],
    ]
}

/// 17x17 to 8x8.
fn reduction_d() -> Vec<Branch> {
    vec![
        vec![conv("branch3x3_1", 192, [1, 1]), conv("branch3x3_2", 320, [3, 3]).stride_2()],
        vec![
            conv("branch7x7x3_1", 192, [1, 1]),
            conv("branch7x7x3_2", 192, [1, 7]),
            conv("branch7x7x3_3", 192, [7, 1]),
            conv("branch7x7x3_4", 192, [3, 3]).stride_2(),
        ],
        vec![Step::MaxPool { name: "pool" }],
    ]
}

/// 8x8, with the filter bank spread out (figure 7). Keras names the first inner concatenation and lets the second be
/// numbered.
fn inception_e(keras_fork: &'static str, pool: LastPool) -> Vec<Branch> {
    let fork = |name, keras, a, b| Step::Fork {
        name,
        keras,
        branches: vec![vec![conv(a, 384, [1, 3])], vec![conv(b, 384, [3, 1])]],
    };
    vec![
        vec![conv("branch1x1", 320, [1, 1])],
        vec![conv("branch3x3_1", 384, [1, 1]), fork("branch3x3", Some(keras_fork), "branch3x3_2a", "branch3x3_2b")],
        vec![
            conv("branch3x3dbl_1", 448, [1, 1]),
            conv("branch3x3dbl_2", 384, [3, 3]),
            fork("branch3x3dbl", None, "branch3x3dbl_3a", "branch3x3dbl_3b"),
        ],
        vec![
            match pool {
                LastPool::Average => Step::AveragePool { name: "pool" },
                LastPool::Maximum => Step::MaxPoolSame { name: "pool" },
            },
            conv("branch_pool", 192, [1, 1]),
        ],
    ]
}

const fn conv(name: &'static str, channels: usize, kernel: [usize; 2]) -> Step {
    Step::Conv { name, channels, kernel, stride: 1, padding: [kernel[0] / 2, kernel[1] / 2] }
}

impl Step {
    fn valid(self) -> Self {
        self.strided(1)
    }

    fn stride_2(self) -> Self {
        self.strided(2)
    }

    /// Without padding, at `stride`; only convolutions are asked.
    fn strided(self, stride: usize) -> Self {
        match self {
            Self::Conv { name, channels, kernel, .. } => Self::Conv { name, channels, kernel, stride, padding: [0, 0] },
            other => other,
        }
    }
}
