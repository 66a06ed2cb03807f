//! Checkpoints that go by a name.

use std::fmt;

use crate::image::Preset;

/// A published checkpoint, and all that it does not say of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Published {
    /// What people call it.
    pub name: &'static str,
    /// Where the Hub has it; `None` for the one inside the binary.
    pub place: Option<Place>,
    /// What it was trained with, and its classes were named with.
    pub preset: Preset,
}

/// A file on the Hub.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// `OWNER/REPO`.
    pub repository: &'static str,
    /// Its path there.
    pub file: &'static str,
}

/// Every one, in the order of the README's table. timm keeps torchvision's numbers too: what torchvision names are the same with
/// torchvision's own preprocessing.
pub static PUBLISHED: [Published; 6] = [
    Published { name: "tf2015", place: None, preset: Preset::Tf },
    of_timm("torchvision", "timm/inception_v3.tv_in1k", Preset::Torchvision),
    of_timm("timm/tf_in1k", "timm/inception_v3.tf_in1k", Preset::Timm),
    of_timm("timm/tv_in1k", "timm/inception_v3.tv_in1k", Preset::Timm),
    of_timm("timm/tf_adv_in1k", "timm/inception_v3.tf_adv_in1k", Preset::Timm),
    of_timm("timm/gluon_in1k", "timm/inception_v3.gluon_in1k", Preset::TimmImagenet),
];

const fn of_timm(name: &'static str, repository: &'static str, preset: Preset) -> Published {
    Published { name, place: Some(Place { repository, file: "model.safetensors" }), preset }
}

impl Published {
    /// The checkpoint of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PUBLISHED.iter().find(|published| published.name == name)
    }

    /// All names, for people.
    #[must_use]
    pub fn names() -> String {
        PUBLISHED.each_ref().map(|published| published.name).join(", ")
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}
