//! From a location to a file in the cache.

use std::env;
use std::fs;
use std::path::{Path, PathBuf, absolute};

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::{HubError, Location};
use crate::sha256;

/// The files that weights are usually in, the safer ones first.
const USUAL: [&str; 3] = ["model.safetensors", "pytorch_model.bin", "model.onnx"];
/// How often a transfer goes on that was cut off.
const RETRIES: usize = 3;
const ENDPOINT: &str = "https://huggingface.co";

/// The Hub and its cache, as the environment says where they are.
pub struct Hub {
    cache: Cache,
    folder: PathBuf,
    endpoint: String,
    is_offline: bool,
    shows_progress: bool,
}

impl Hub {
    /// As the variables say. Nothing is opened yet.
    ///
    /// # Errors
    /// Where there is no place for a cache.
    pub fn from_env(shows_progress: bool) -> Result<Self, HubError> {
        let folder = cache_folder().ok_or(HubError::NoCache)?;
        // The crate follows links between absolute paths only.
        let folder = absolute(&folder).map_err(|source| HubError::Cache { path: folder, source })?;
        Ok(Self {
            cache: Cache::new(folder.clone()),
            folder,
            endpoint: said("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()).trim_end_matches('/').to_owned(),
            is_offline: said("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            shows_progress,
        })
    }

    /// The file of a location: out of the cache, or fetched. Of a repository the first that weights are usually in.
    ///
    /// # Errors
    /// Where it cannot be had, or is damaged.
    pub fn fetch(&self, location: &Location) -> Result<PathBuf, HubError> {
        if let Some(file) = &location.file {
            return self.fetch_file(location, file);
        }
        let cached = USUAL.iter().find_map(|file| self.cached(location, file));
        if let Some(path) = cached {
            return Ok(path);
        }
        for file in USUAL {
            match self.fetch_file(location, file) {
                Err(HubError::NotFound { .. }) => {}
                other => return other,
            }
        }
        Err(HubError::NoWeights { repository: location.repository.clone(), tried: USUAL.to_vec() })
    }

    /// A file of the repository that a location is in.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn fetch_file(&self, location: &Location, file: &str) -> Result<PathBuf, HubError> {
        if let Some(path) = self.cached(location, file) {
            return Ok(path);
        }
        let url = format!("{}/{}/resolve/{}/{file}", self.endpoint, location.repository, location.revision);
        if self.is_offline {
            return Err(HubError::Offline { url, cache: self.folder.clone() });
        }
        let builder = ApiBuilder::from_cache(self.cache.clone())
            .with_endpoint(self.endpoint.clone())
            .with_retries(RETRIES)
            .with_progress(self.shows_progress);
        let builder = match said("HF_TOKEN") {
            Some(token) => builder.with_token(Some(token)),
            None => builder,
        };
        let fetched = builder.build().and_then(|api| self.download(&api.repo(repo(location)), location, file));
        let path = fetched.map_err(|error| failure(url.clone(), &error))?;
        self.hold_to_its_name(&path, url)?;
        Ok(path)
    }

    /// Downloads a file. What an earlier transfer left of another file may be longer than this one: then it is begun anew.
    fn download(&self, repository: &ApiRepo, location: &Location, file: &str) -> Result<PathBuf, ApiError> {
        match repository.download(file) {
            Err(ApiError::InvalidResume) => {
                self.remove_parts(location)?;
                repository.download(file)
            }
            other => other,
        }
    }

    /// Removes what transfers from a repository have left.
    fn remove_parts(&self, location: &Location) -> std::io::Result<()> {
        let blobs = self.cache.repo(repo(location)).blob_path("");
        for entry in fs::read_dir(blobs)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn cached(&self, location: &Location, file: &str) -> Option<PathBuf> {
        self.cache.repo(repo(location)).get(file)
    }

    /// In the cache a large file bears the SHA-256 that the Hub says it has; a damaged one does not stay.
    fn hold_to_its_name(&self, path: &Path, url: String) -> Result<(), HubError> {
        let unusable = |source| HubError::Cache { path: self.folder.clone(), source };
        let blob = fs::canonicalize(path).map_err(unusable)?;
        let name = blob.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.len() != 64 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(());
        }
        let found = sha256::of_file(&blob).map_err(unusable)?;
        if found == name {
            return Ok(());
        }
        let expected = name.to_owned();
        fs::remove_file(path).and_then(|()| fs::remove_file(&blob)).map_err(unusable)?;
        Err(HubError::Damaged { url, expected, found })
    }
}

fn repo(location: &Location) -> Repo {
    Repo::with_revision(location.repository.clone(), RepoType::Model, location.revision.clone())
}

fn failure(url: String, error: &ApiError) -> HubError {
    let reason = error.to_string();
    let is_refused = ["401", "403", "404"].iter().any(|status| reason.ends_with(&format!("http status: {status}")));
    if is_refused { HubError::NotFound { url } } else { HubError::Transfer { url, reason } }
}

/// `huggingface_hub`'s: `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or in the usual place of the user's caches.
fn cache_folder() -> Option<PathBuf> {
    let home = || said("HF_HOME").map(PathBuf::from);
    let of_user = || said("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cache")));
    let in_home = || home().or_else(|| Some(of_user()?.join("huggingface"))).map(|home| home.join("hub"));
    said("HF_HUB_CACHE").map(PathBuf::from).or_else(in_home)
}

/// A variable that is set, and not to nothing.
fn said(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

/// What `huggingface_hub` takes for true.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str())
}
