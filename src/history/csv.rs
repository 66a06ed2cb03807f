//! The table: a line a step, and at an epoch's last step what came of the epoch.
//!
//! ```text
//! step,epoch,learning_rate,loss,epoch_loss,validation_loss,validation_accuracy
//! 0,0,,,,2.1,0.3                                     before the first step
//! 1,1,0.0001,2.04,,,
//! 2,1,0.0001,1.93,1.985,1.8,0.45
//! ```

use std::io::{self, Write};
use std::path::Path;

use super::{Epoch, History, Step, Validation};
use crate::whole_file::{WriteError, write_whole};

impl History {
    /// Writes the table, whole or not at all.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_csv(&self, path: &Path) -> Result<(), WriteError> {
        write_whole(path, |out| self.csv(out))
    }

    fn csv(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "step,epoch,learning_rate,loss,epoch_loss,validation_loss,validation_accuracy")?;
        if let Some(start) = self.start {
            writeln!(out, "0,0,,,,{}", numbers(Some(start)))?;
        }
        let mut epochs = self.epochs.iter().peekable();
        for (i, &Step { step, epoch, loss, learning_rate }) in self.steps.iter().enumerate() {
            let is_last = self.steps.get(i + 1).is_none_or(|next| next.epoch != epoch);
            let ended = epochs.next_if(|ended| is_last && ended.epoch == epoch);
            write!(out, "{step},{epoch},{learning_rate},{loss},")?;
            match ended {
                Some(Epoch { train_loss, validation, .. }) => writeln!(out, "{train_loss},{}", numbers(*validation))?,
                None => writeln!(out, ",,")?,
            }
        }
        Ok(())
    }
}

/// Two columns.
fn numbers(validation: Option<Validation>) -> String {
    validation.map_or_else(|| ",".to_owned(), |Validation { loss, accuracy }| format!("{loss},{accuracy}"))
}
