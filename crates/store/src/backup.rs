//! A store of its own, made of one that goes on importing.

use std::{
    ops::ControlFlow,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use lamella_chain::copy::{self, CopyError, CopyJob};
use lamella_inspect::database_path;
use lamella_tables::Consequence;

use crate::{answer::Checkpoint, store::Store};

/// A backup, as its own tables say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackedUp {
    /// Its head: what is imported after that is not in it.
    pub head: Checkpoint,
    /// Blocks on all branches.
    pub blocks: u64,
    /// Bytes of its file.
    pub file_bytes: u64,
}

/// Why there is no backup. The store is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A row of the store is damaged or lost, or contradicts another; the text names it.
    #[error("{0}")]
    Damaged(String),
    /// Something is where the backup is to be, or it cannot be written there.
    #[error("{0}")]
    Target(String),
    /// The engine refused for now. Called again, it goes on.
    #[error("{0}")]
    Retry(String),
    /// The store cannot be used any more: close it, and verify it.
    #[error("{0}")]
    Unusable(String),
    /// `progress` said so. Called again, it goes on.
    #[error("stopped; called again, it goes on")]
    Stopped,
}

impl Store {
    /// Copies the store into a new folder, each row proven and every invariant checked, while imports go on; killed or
    /// stopped, it goes on when it is called again. `progress` is told the table, how many rows of it are done and how many
    /// there are, after short reads, and may stop it; or wait, to leave the disk to imports, but not while it is told
    /// [`BACKUP_SNAPSHOT`].
    ///
    /// # Errors
    /// [`BackupError`]; without one, the folder has a store that opens.
    ///
    /// # Cost
    /// Each row is read once, its key three times, each state of the copy reconstructed and hashed once, on this thread.
    pub fn backup(
        &self,
        to: &Path,
        progress: &mut dyn FnMut(&'static str, u64, u64) -> ControlFlow<()>,
    ) -> Result<BackedUp, BackupError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let done = CopyJob::default().backup_from(
            self.chain.database(),
            &database_path(to),
            now,
            &mut |step| progress(step.stage, step.done, step.total),
        )?;
        let head = Checkpoint { root: done.head.root.0.0, slot: done.head.slot };
        Ok(BackedUp { head, blocks: done.blocks, file_bytes: done.copy.file_bytes })
    }
}

/// What `progress` of [`Store::backup`] is told while the backup holds one snapshot of the store: waiting then grows its file.
pub const BACKUP_SNAPSHOT: &str = copy::SNAPSHOT_STAGE;

impl From<CopyError> for BackupError {
    fn from(error: CopyError) -> Self {
        let text = error.to_string();
        match error {
            CopyError::Damaged(_) | CopyError::Findings { .. } => Self::Damaged(text),
            CopyError::Engine(error) => match error.consequence {
                Consequence::Unusable => Self::Unusable(text),
                Consequence::NoSpace | Consequence::Retry => Self::Retry(text),
            },
            CopyError::Open(_)
            | CopyError::Chain(_)
            | CopyError::Other { .. }
            | CopyError::InTheWay { .. }
            | CopyError::Differs { .. }
            | CopyError::Io { .. } => Self::Target(text),
            CopyError::Stopped => Self::Stopped,
        }
    }
}
