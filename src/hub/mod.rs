//! Files of the Hugging Face Hub, in the cache that all of its programs share.
//!
//! ```text
//! hf:OWNER/REPO[@REV][:FILE] ─▶ Location ─▶ Hub: in the cache? ─ yes ────────────────────────────▶ path
//!                                                   │ no          a transfer that goes on where
//!                                                   ╰▶ fetched ─▶ it was cut off ─▶ its SHA-256 ─▶ path
//! ```
//!
//! Who has fetched a file by `huggingface_hub`, or by this, needs no network for it again. The variables are those of the ecosystem:
//!
//! | | |
//! |---|---|
//! | `HF_HOME`, `HF_HUB_CACHE` | where the cache is (`~/.cache/huggingface`, and `hub` in it) |
//! | `HF_ENDPOINT` | another hub than `https://huggingface.co`: a mirror |
//! | `HF_HUB_OFFLINE` | 1: nothing is fetched |
//! | `HF_TOKEN` | who asks, for repositories that are not open to all; else the file that `hf auth login` wrote |
//!
//! The Hub names a large file by its SHA-256. What was fetched is held to that, and what differs is thrown away.

mod fetch;
mod location;

pub use fetch::Hub;
pub use location::{Location, LocationError};

use std::path::PathBuf;

/// Why a file of the Hub cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// It is not in the cache, and nothing may be fetched.
    #[error("it is not in {}, and HF_HUB_OFFLINE says that nothing is to be fetched. Fetch {url} by another way, and give the file", cache.display())]
    Offline {
        /// Where it would be fetched from.
        url: String,
        /// The cache.
        cache: PathBuf,
    },
    /// There is no such repository, revision or file, or it is not for everybody.
    #[error(
        "there is no {url} for who asks: see to the spelling; a repository that is gated or private needs a token, in HF_TOKEN or by `hf auth login`"
    )]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// A repository that was named without a file has none of those that weights are usually in.
    #[error("{repository} has none of {}: say which file, hf:{repository}:FILE", .tried.join(", "))]
    NoWeights {
        /// `OWNER/REPO`.
        repository: String,
        /// The files that were looked for.
        tried: Vec<&'static str>,
    },
    /// The hub cannot be reached, or the transfer broke off.
    #[error(
        "{url} cannot be fetched: {reason}. What has come so far is kept, and the next run goes on from there. Without a network, \
         fetch it by another way, and give the file"
    )]
    Transfer {
        /// What was asked for.
        url: String,
        /// One line.
        reason: String,
    },
    /// What came is not what the hub says that it is.
    #[error("what came from {url} is damaged: its SHA-256 is {found}, not {expected}. It is thrown away; try again")]
    Damaged {
        /// What was asked for.
        url: String,
        /// The digest by which the hub names it.
        expected: String,
        /// Its digest.
        found: String,
    },
    /// Nothing says where a cache could be.
    #[error("there is no home folder to keep what is fetched in: say by HF_HOME where")]
    NoCache,
    /// The cache cannot be used.
    #[error("the cache {} cannot be used", path.display())]
    Cache {
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}
