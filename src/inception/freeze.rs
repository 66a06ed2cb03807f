//! Where the frozen part of the network ends.

use std::fmt;
use std::str::FromStr;

use super::Network;
use super::keras::{self, Layer};

/// The first layers, in Keras' numbering, that training leaves as they are.
///
/// As in `for layer in model.layers[:150]: layer.trainable = False`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FreezePoint {
    /// The first so many layers: with 150, the layers 0 to 149.
    Layers(usize),
    /// Everything up to the end of this block, by torchvision's name or Keras': `Mixed_6c` is `mixed5`.
    Block(String),
    /// Nothing is frozen.
    Nothing,
}

/// A freeze point that the network does not have.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// More layers than there are.
    #[error("the network has {layers} layers, so that {asked} of them cannot be frozen")]
    TooMany {
        /// How many were to be frozen.
        asked: usize,
        /// How many there are.
        layers: usize,
    },
    /// No such block.
    #[error(
        "'{0}' is no freeze point: it is a number of layers in Keras' order (150), a block (mixed0 to mixed10, or Mixed_5b to Mixed_7c), or none"
    )]
    Unknown(String),
}

impl FreezePoint {
    /// How many of `layers` are frozen: the layer of index `i` is trained where `i` is not below this.
    ///
    /// # Errors
    /// Where the network has no such point.
    pub fn frozen_layers(&self, network: &Network, layers: &[Layer]) -> Result<usize, FreezeError> {
        match self {
            Self::Nothing => Ok(0),
            Self::Layers(asked) if *asked <= layers.len() => Ok(*asked),
            Self::Layers(asked) => Err(FreezeError::TooMany { asked: *asked, layers: layers.len() }),
            Self::Block(name) => layers
                .iter()
                .position(|layer| {
                    let node = &network.nodes()[layer.node];
                    node.name == node.block && (node.name == *name || node.keras == Some(name))
                })
                .map(|end| end + 1)
                .ok_or_else(|| FreezeError::Unknown(name.clone())),
        }
    }

    /// Numbers that training changes past this point, those of batch norm's statistics not counted.
    ///
    /// # Errors
    /// As [`Self::frozen_layers`].
    pub fn trainable_parameters(&self, network: &Network) -> Result<usize, FreezeError> {
        let layers = keras::layers(network);
        let frozen = self.frozen_layers(network, &layers)?;
        Ok(layers[frozen..].iter().map(|layer| layer.trainable_parameters(network)).sum())
    }
}

impl FromStr for FreezePoint {
    type Err = FreezeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::Nothing);
        }
        if let Ok(layers) = text.parse() {
            return Ok(Self::Layers(layers));
        }
        if text.to_ascii_lowercase().starts_with("mixed") {
            return Ok(Self::Block(text.to_owned()));
        }
        Err(FreezeError::Unknown(text.to_owned()))
    }
}

impl fmt::Display for FreezePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layers(layers) => write!(f, "{layers}"),
            Self::Block(name) => f.write_str(name),
            Self::Nothing => f.write_str("none"),
        }
    }
}
