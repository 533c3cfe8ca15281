//! The folder a network is written to, such that a killed run leaves nothing that looks like a network.
//!
//! - `config.yaml` is what makes a folder a network, and it is written last.
//! - Before anything else there is [`UNFINISHED`]; it goes after `config.yaml` has come. Only a folder that has it may
//!   lose files to the next run, so keys that somebody else put there are never overwritten.
//! - The running process holds a lock on it, so two runs cannot mix.
//! - Every file appears whole, by a rename that is durable before the next file is written.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{GenesisError, NODE_PREFIX};
use crate::{
    NetworkDir,
    whole_file::{self, Access, UNFINISHED_EXTENSION},
};

/// Marks a folder whose files are an interrupted run's.
const UNFINISHED: &str = ".lamella-genesis-unfinished";

/// A folder that belongs to this run until [`Directory::finish`].
pub(super) struct Directory {
    pub(super) paths: NetworkDir,
    unfinished: PathBuf,
    _lock: File,
}

impl Directory {
    /// Takes the folder, removing what an interrupted run left.
    pub(super) fn claim(root: &Path) -> Result<Self, GenesisError> {
        let paths = NetworkDir::new(root);
        let unfinished = root.join(UNFINISHED);
        refuse_network(&paths)?;
        if !unfinished.exists()
            && let Some(path) = generated_files(&paths).map_err(failed(root))?.into_iter().next()
        {
            return Err(GenesisError::WouldOverwrite { path });
        }
        fs::create_dir_all(&paths.keys_dir).map_err(failed(&paths.keys_dir))?;
        let lock = OpenOptions::new().create(true).append(true).open(&unfinished);
        let lock = lock.map_err(failed(&unfinished))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(GenesisError::Busy { path: root.into() }),
            Err(TryLockError::Error(source)) => return Err(failed(&unfinished)(source)),
        }
        // Once more under the lock: a run that ended just now may have made the network.
        refuse_network(&paths)?;
        for path in generated_files(&paths).map_err(failed(root))? {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
        Ok(Self { paths, unfinished, _lock: lock })
    }

    /// Makes the folder a network.
    ///
    /// # Atomicity
    /// Every other file is on disk before `config.yaml` appears, and that appears whole.
    pub(super) fn finish(self, config: &str) -> Result<(), GenesisError> {
        write(&self.paths.config, config.as_bytes(), Access::Public)?;
        fs::remove_file(&self.unfinished).map_err(failed(&self.unfinished))
    }
}

/// Writes a file that appears whole.
pub(super) fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), GenesisError> {
    whole_file::write(path, bytes, access).map_err(failed(path))
}

fn refuse_network(paths: &NetworkDir) -> Result<(), GenesisError> {
    if paths.config.exists() {
        return Err(GenesisError::NetworkExists { path: paths.config.clone() });
    }
    Ok(())
}

/// The files present that a run writes, finished or temporary.
fn generated_files(paths: &NetworkDir) -> io::Result<Vec<PathBuf>> {
    let named = [
        &paths.config,
        &paths.annotated_validators,
        &paths.validators,
        &paths.validator_config,
        &paths.nodes,
    ];
    let mut found = Vec::new();
    for path in entries(&paths.root)? {
        let finished = finished_name(&path);
        let name = finished.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_node_key = name.starts_with(NODE_PREFIX) && name.ends_with(".key");
        if is_node_key || named.contains(&&finished) {
            found.push(path);
        }
    }
    for path in entries(&paths.keys_dir)? {
        let finished = finished_name(&path);
        let name = finished.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_key = name.starts_with("validator_") && name.ends_with(".ssz");
        if is_key || name == super::MANIFEST {
            found.push(path);
        }
    }
    Ok(found)
}

fn finished_name(path: &Path) -> PathBuf {
    if path.extension().is_some_and(|extension| extension == UNFINISHED_EXTENSION) {
        path.with_extension("")
    } else {
        path.into()
    }
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> GenesisError + '_ {
    move |source| GenesisError::Write { path: path.into(), source }
}
