//! Where in an image a head sees its class: class activation maps, exact for a linear head.
//!
//! ```text
//! last feature maps [C, 8, 8] ─┐
//! a linear head ───────────────┴▶ map [8, 8] ─┐
//! the picture ────────────────────────────────┴▶ overlay
//! ```
//!
//! The features are the means of the last maps, and a linear head's logit is a weighted sum of them. Both are linear, so
//! they change places: the weighted sum of the maps is a map of its own whose mean is the logit, less the bias. Nothing is
//! approximated and no gradient is needed.
//!
//! Source: Zhou, Khosla, Lapedriza, Oliva, Torralba, "Learning Deep Features for Discriminative Localization", 2015
//! (arXiv:1512.04150).

mod draw;
mod map;
mod ramp;

pub use draw::overlay;
pub use map::{activation_map, contrast_map};
