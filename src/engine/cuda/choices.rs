//! Which of cuDNN's engines computes which layer, kept from run to run.
//!
//! The first run on a machine times what cuDNN proposes; later ones keep to what it chose, and so start at once and give the same bits.
//! One file for a card, a version of cuDNN and of the driver, `cuda-plans-NVIDIA-H100-91700-13000.json` in `headstock` under
//! `$XDG_CACHE_HOME` or `~/.cache`: `{"KEY": "TAG"}`, sorted. To choose anew, delete it. A file that cannot be read is as none, and one
//! that cannot be written is not.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::whole_file::write_whole;

/// Bytes that such a file never has.
const MOST: u64 = 16 << 20;

/// What was chosen.
#[derive(Debug, Default)]
pub struct Choices {
    path: Option<PathBuf>,
    tags: BTreeMap<String, String>,
    changed: bool,
}

impl Choices {
    /// Those for all cards of a name, with this cuDNN and this driver: engines of one process share them, so that two of them, on one
    /// card or on equal ones, give the same bits.
    pub fn of(card: &str, cudnn: usize, driver: i32) -> Arc<Mutex<Self>> {
        static ALL: Mutex<BTreeMap<PathBuf, Arc<Mutex<Choices>>>> = Mutex::new(BTreeMap::new());
        let card: String = card.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let name = format!("cuda-plans-{card}-{cudnn}-{driver}.json");
        let path = caches().map(|caches| caches.join("headstock").join(&name));
        let key = path.clone().unwrap_or_else(|| name.into());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(key).or_insert_with(|| Arc::new(Mutex::new(Self::open(path)))))
    }

    /// Those that were kept in a file.
    fn open(path: Option<PathBuf>) -> Self {
        let tags = path.as_deref().and_then(read).unwrap_or_default();
        Self { path, tags, changed: false }
    }

    /// The tag that was chosen for a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// Whether anything was chosen for keys that begin so.
    pub fn has_any(&self, beginning: &str) -> bool {
        self.tags.keys().any(|key| key.starts_with(beginning))
    }

    /// Chooses.
    pub fn set(&mut self, key: String, tag: &str) {
        self.changed |= self.tags.insert(key, tag.to_owned()).as_deref() != Some(tag);
    }

    /// Chooses nothing any more, here; what a file has already stays there.
    pub fn remove(&mut self, key: &str) {
        self.tags.remove(key);
    }

    /// Keeps what is new, beside what another process kept meanwhile.
    pub fn keep(&mut self) {
        let Some(path) = self.path.as_deref().filter(|_| self.changed) else { return };
        self.changed = false;
        let mut all = read(path).unwrap_or_default();
        all.extend(self.tags.iter().map(|(key, tag)| (key.clone(), tag.clone())));
        let Ok(json) = serde_json::to_string_pretty(&all) else { return };
        // Without the file the next run chooses again, that is all.
        let _ = path.parent().map(fs::create_dir_all);
        let _ = write_whole(path, |file| writeln!(file, "{json}"));
    }
}

/// The user's folder for such things, where there is one.
fn caches() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))
}

fn read(path: &Path) -> Option<BTreeMap<String, String>> {
    if fs::metadata(path).ok()?.len() > MOST {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
mod tests {
    use super::*;

    #[test]
    fn choices_are_kept_beside_those_of_others_and_a_damaged_file_is_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/yet/there.json");
        let mut first = Choices::open(Some(path.clone()));
        let mut second = Choices::open(Some(path.clone()));
        first.set("a".into(), "eng1");
        first.keep();
        second.set("b".into(), "eng2_k1=3");
        second.keep();
        let both = Choices::open(Some(path.clone()));
        assert_eq!([both.get("a"), both.get("b"), both.get("c")], [Some("eng1"), Some("eng2_k1=3"), None]);

        fs::write(&path, "{\"a\": \"eng1\", ").unwrap();
        let mut damaged = Choices::open(Some(path.clone()));
        assert_eq!(damaged.get("a"), None);
        damaged.set("a".into(), "eng7");
        damaged.keep();
        assert_eq!(Choices::open(Some(path)).get("a"), Some("eng7"));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let mut choices = Choices::open(Some(file.join("below.json")));
        choices.set("a".into(), "eng1");
        choices.keep();
        assert_eq!(choices.get("a"), Some("eng1"));
    }
}
