//! Where training starts: Keras' defaults for a dense layer.

use ndarray::Array2;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Dense;

impl Dense {
    /// Weights by Glorot and Bengio (2010), uniform in ±sqrt(6 / (inputs + outputs)) of each layer; biases are zero.
    #[must_use]
    pub fn glorot_uniform(features: usize, hidden: usize, classes: usize, rng: &mut ChaCha8Rng) -> Self {
        Self {
            weight1: uniform(hidden, features, rng),
            bias1: vec![0.0; hidden],
            weight2: uniform(classes, hidden, rng),
            bias2: vec![0.0; classes],
        }
    }
}

fn uniform(outputs: usize, inputs: usize, rng: &mut ChaCha8Rng) -> Array2<f32> {
    let limit = (6.0 / (inputs + outputs) as f64).sqrt() as f32;
    Array2::from_shape_simple_fn((outputs, inputs), || (rng.random::<f32>() * 2.0 - 1.0) * limit)
}
