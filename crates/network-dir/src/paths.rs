//! Where the files of a network are, by lean-quickstart's names.

use std::path::{Path, PathBuf};

use super::{Assignments, NetworkFileError};

/// Where the files of a network are. A flag may replace any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkDir {
    /// The folder with `config.yaml`.
    pub root: PathBuf,
    /// `config.yaml`.
    pub config: PathBuf,
    /// `annotated_validators.yaml`.
    pub annotated_validators: PathBuf,
    /// `validators.yaml`, read where the annotated one is absent.
    pub validators: PathBuf,
    /// `validator-config.yaml`.
    pub validator_config: PathBuf,
    /// `nodes.yaml`.
    pub nodes: PathBuf,
    /// `hash-sig-keys/`.
    pub keys_dir: PathBuf,
}

impl NetworkDir {
    /// The standard paths below a folder. Reads nothing.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.into(),
            config: root.join("config.yaml"),
            annotated_validators: root.join("annotated_validators.yaml"),
            validators: root.join("validators.yaml"),
            validator_config: root.join("validator-config.yaml"),
            nodes: root.join("nodes.yaml"),
            keys_dir: root.join("hash-sig-keys"),
        }
    }

    /// The standard paths below `root`, or below `root/genesis` if only that holds a `config.yaml`, as in
    /// lean-quickstart's `$NETWORK_DIR`.
    #[must_use]
    pub fn find(root: &Path) -> Self {
        let (here, below) = (Self::new(root), Self::new(&root.join("genesis")));
        if !here.config.exists() && below.config.exists() { below } else { here }
    }

    /// The node's identity key file.
    #[must_use]
    pub fn node_key(&self, node_id: &str) -> PathBuf {
        self.root.join(format!("{node_id}.key"))
    }

    /// Which node runs which validators: the annotated file, else the plain one. `None`: there is neither, and every
    /// node follows.
    ///
    /// # Errors
    /// A [`NetworkFileError`] other than an absent file.
    pub fn assignments(&self) -> Result<Option<Assignments>, NetworkFileError> {
        for path in [&self.annotated_validators, &self.validators] {
            match Assignments::load(path) {
                Ok(found) => return Ok(Some(found)),
                Err(NetworkFileError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
