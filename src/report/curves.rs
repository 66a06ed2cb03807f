//! How training went, as one picture that needs nothing else: a file of SVG, with its style in it.

use std::io::Write;
use std::path::Path;

use super::chart::training;
use crate::history::History;
use crate::whole_file::{WriteError, write_whole};

/// The picture: losses, accuracy and learning rate over the epochs. In the colours that the reader's system asks for, dark or light. Of
/// training without a step, a frame without curves.
#[must_use]
pub fn curves(history: &History) -> String {
    training::picture(history)
}

/// Writes the picture, whole or not at all.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_curves(history: &History, path: &Path) -> Result<(), WriteError> {
    write_whole(path, |out| out.write_all(curves(history).as_bytes()))
}
