//! The distances, for people and for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::set::Set;
use crate::counts::{count, thousands};
use crate::fid::{KernelDistance, Subsets};

/// All that came out.
pub(super) struct Outcome<'a> {
    /// None of one set alone.
    pub(super) fid: Option<f64>,
    pub(super) kid: Option<(Subsets, KernelDistance)>,
    pub(super) sets: &'a [Set],
}

impl Outcome<'_> {
    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(fid) = self.fid {
            writeln!(out, "FID  {fid:.6}")?;
        }
        if let Some((subsets, kid)) = &self.kid {
            writeln!(
                out,
                "KID  {:.8} ± {:.8}  ({} of {}; standard error {:.8})",
                kid.mean,
                kid.standard_deviation,
                count(subsets.count, "subset", "subsets"),
                thousands(subsets.size),
                kid.standard_error
            )?;
        }
        for (letter, set) in ["A", "B"].into_iter().zip(self.sets) {
            match &set.origin {
                Some(origin) => writeln!(
                    out,
                    "{letter}    {}: {}, {}, weights {:.12} ({})",
                    set.name,
                    count(origin.rows, "image", "images"),
                    set.recipe().unwrap_or_else(|| "an unknown recipe".to_owned()),
                    origin.provenance.weights,
                    origin.provenance.variant,
                )?,
                None => writeln!(out, "{letter}    {}: statistics of unknown origin", set.name)?,
            }
        }
        Ok(())
    }

    pub(super) fn json(&self) -> Value {
        let kid = self.kid.map(|(subsets, kid)| {
            json!({
                "mean": kid.mean,
                "standard_deviation": kid.standard_deviation,
                "standard_error": kid.standard_error,
                "subsets": subsets.count,
                "subset_size": subsets.size,
                "seed": subsets.seed,
            })
        });
        let set = |set: &Set| {
            let rejected = set.rejected.iter().map(|file| json!({ "path": file.path, "reason": file.reason }));
            json!({
                "name": set.name,
                "images": set.origin.as_ref().map(|origin| origin.rows),
                "recipe": set.recipe(),
                "provenance": set.origin.as_ref().map(|origin| &origin.provenance),
                "rejected": rejected.collect::<Vec<_>>(),
            })
        };
        json!({ "fid": self.fid, "kid": kid, "sets": self.sets.iter().map(set).collect::<Vec<_>>() })
    }
}
