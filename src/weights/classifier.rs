//! The network's own classifier, which most files that hold the network hold as well.

use candle_core::Tensor;

/// `data/imagenet_classes.txt`: a name a line, in the order of the outputs; origin and licence in `data/README.md`.
const NAMES: &str = include_str!("../../data/imagenet_classes.txt");

/// Outputs of the classifiers that were trained on ImageNet's 1000 classes.
const OUTPUTS: [usize; 2] = [1000, 1008];

/// Whether so many outputs are those of a classifier of ImageNet: one for each of its 1000 classes, or the 1008 of the network of 2015,
/// which has one for the background before them and seven that mean nothing behind.
pub(super) fn is_imagenet(outputs: usize) -> bool {
    OUTPUTS.contains(&outputs)
}

/// From the 2048 features to logits, float32.
#[derive(Clone, Debug)]
pub struct Classifier {
    /// `[outputs, 2048]`.
    pub weight: Tensor,
    /// `[outputs]`.
    pub bias: Tensor,
}

impl Classifier {
    /// 1000 or 1008.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.bias.elem_count()
    }

    /// What each output stands for. Of 1000 the names of ImageNet's classes, in the order of their synsets that torchvision, timm and
    /// Keras share. The 1008 of the network of 2015 are in an order of its own, which no file of weights tells: they are called by
    /// their numbers, `output_0` to `output_1007`.
    #[must_use]
    pub fn classes(&self) -> Vec<String> {
        match self.outputs() {
            1000 => NAMES.lines().map(str::to_owned).collect(),
            outputs => (0..outputs).map(|output| format!("output_{output}")).collect(),
        }
    }
}
