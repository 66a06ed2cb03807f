//! `hf:OWNER/REPO[@REV][:FILE]`.

use std::fmt;
use std::str::FromStr;

/// A file of a repository, or the one in it that weights are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// `OWNER/REPO`.
    pub repository: String,
    /// A branch, a tag or a commit; `main` if none is given.
    pub revision: String,
    /// Its path in the repository.
    pub file: Option<String>,
}

/// What is no location.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is no place on the Hub: write hf:OWNER/REPO, hf:OWNER/REPO:FILE or hf:OWNER/REPO@REVISION:FILE")]
pub struct LocationError(String);

/// What a location begins with.
const SCHEME: &str = "hf:";
const MAIN: &str = "main";

impl Location {
    /// Whether a text means to be one.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// A file on the main branch of a repository.
    #[must_use]
    pub fn of_file(repository: &str, file: &str) -> Self {
        Self { repository: repository.to_owned(), revision: MAIN.to_owned(), file: Some(file.to_owned()) }
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let read = || {
            let rest = text.strip_prefix(SCHEME)?;
            let (rest, file) = rest.split_once(':').map_or((rest, None), |(rest, file)| (rest, Some(file)));
            let (repository, revision) = rest.split_once('@').unwrap_or((rest, MAIN));
            let (owner, name) = repository.split_once('/')?;
            let are_names = is_name(owner) && is_name(name) && is_path(revision) && file.is_none_or(is_path);
            are_names.then(|| Self {
                repository: repository.to_owned(),
                revision: revision.to_owned(),
                file: file.map(str::to_owned),
            })
        };
        read().ok_or_else(|| LocationError(text.to_owned()))
    }
}

/// Letters, digits, `-`, `_` and `.`: nothing that is more than a name in a path or in an address.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain) && text.bytes().any(|byte| byte != b'.')
}

/// Names with a `/` between them.
fn is_path(text: &str) -> bool {
    text.split('/').all(is_name)
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.repository)?;
        if self.revision != MAIN {
            write!(f, "@{}", self.revision)?;
        }
        self.file.as_ref().map_or(Ok(()), |file| write!(f, ":{file}"))
    }
}
