//! The node's libp2p identity: from a file, from the network's files, or made once and kept in the data directory.
//!
//! A made key is written only after the data directory proved to be ours ([`IdentityKey::keep`]), so that a directory
//! that is refused stays untouched.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use lamella_network_dir::{
    NetworkFileError, NodeKey,
    whole_file::{self, Access},
};

/// Name of the key file in the data directory.
const FILE_NAME: &str = "node.key";

/// The node's key and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityKey {
    /// The key.
    pub key: NodeKey,
    /// Where it is from.
    pub source: KeySource,
}

/// Where a node's key is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// This file.
    File(PathBuf),
    /// `privkey` of the node's entry in this `validator-config.yaml`.
    ValidatorConfig(PathBuf),
    /// Just made; to be kept in this file.
    Made(PathBuf),
}

/// Why the node has no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityKeyError {
    /// The key file is there, but no good.
    #[error(transparent)]
    File(#[from] NetworkFileError),
    /// No random bytes.
    #[error("cannot make a node key: {0}")]
    Random(#[from] getrandom::Error),
    /// The made key cannot be kept.
    #[error(
        "{path}: cannot write the node key: {source}; make the folder writable or pass --node-key"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl IdentityKey {
    /// The key kept in a data directory, or a new one that is to be kept there. Writes nothing.
    ///
    /// # Errors
    /// [`IdentityKeyError`].
    pub fn of_data_dir(data_dir: &Path) -> Result<Self, IdentityKeyError> {
        let path = data_dir.join(FILE_NAME);
        match NodeKey::load(&path) {
            Ok(key) => Ok(Self { key, source: KeySource::File(path) }),
            Err(NetworkFileError::Missing { .. }) => {
                Ok(Self { key: NodeKey::random()?, source: KeySource::Made(path) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a key that was made, readable by the owner only. To be called by whoever holds the data directory's
    /// lock.
    ///
    /// # Errors
    /// [`IdentityKeyError::Write`].
    ///
    /// # Atomicity
    /// The file appears whole, and its name is durable.
    pub fn keep(&self) -> Result<(), IdentityKeyError> {
        let KeySource::Made(path) = &self.source else { return Ok(()) };
        let failed = |source| IdentityKeyError::Write { path: path.clone(), source };
        // What a killed start left goes: its identity was never seen by anyone who came back.
        let line = format!("{}\n", hex::encode(self.key.as_bytes()));
        whole_file::write(path, line.as_bytes(), Access::Owner).map_err(failed)
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::ValidatorConfig(path) => write!(f, "{} (privkey)", path.display()),
            Self::Made(path) => write!(f, "{} (new)", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_made_key_is_kept_once_whole_and_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let made = IdentityKey::of_data_dir(dir.path()).unwrap();
        assert_eq!(made.source, KeySource::Made(path.clone()));
        assert!(!path.exists(), "nothing is written before the directory is known to be ours");
        fs::write(dir.path().join("node.key.tmp"), "cut of").unwrap();
        made.keep().unwrap();

        let kept = IdentityKey::of_data_dir(dir.path()).unwrap();
        assert_eq!(kept, IdentityKey { key: made.key, source: KeySource::File(path.clone()) });
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap());
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        fs::write(&path, "").unwrap();
        let error = IdentityKey::of_data_dir(dir.path()).unwrap_err().to_string();
        assert!(error.contains("node.key") && error.contains("64 hex digits"), "{error}");
    }
}
