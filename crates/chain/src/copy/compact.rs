//! A database written anew in the order of its keys, without the pages that pruning and growth left free.
//!
//! | `db` | `db.compacting` | `db.before-compact` | |
//! |---|---|---|---|
//! | old | | | nothing has happened |
//! | old | under way | | a node may run on the old one: what it writes is carried by the next run |
//! | | whole | old | killed between the renamings: whoever looks for a database refuses |
//! | new | | old | killed before the old one was deleted; the next run deletes it |
//! | new | | | done |

use std::{ops::ControlFlow, path::Path, time::Duration};

use lamella_tables::DatabaseView;

use super::{Copy, CopyError, CopyJob, Sizes, is_there};
use crate::{
    beside::{self, COMPACTED, COMPACTING, beside},
    error::ChainOpenError,
    identity::{Identity, SCHEMA},
    invariants::{Progress, all_lanes},
    open::ReadOnlyChain,
};

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compacted {
    /// Rows that this run carried.
    pub rows: u64,
    /// Rows that an earlier run had carried.
    pub kept: u64,
    /// Sizes of the old database.
    pub before: Sizes,
    /// Sizes of the new one.
    pub after: Sizes,
}

impl CopyJob {
    /// Compacts the database at `path`, which no node may have open, or goes on with that. `progress` is called after each
    /// commit and may stop it.
    ///
    /// # Errors
    /// [`CopyError`]; the database is as it was.
    ///
    /// # Cost
    /// Each row is read three times and written once, each state reconstructed and hashed once. The disk needs room for both.
    pub fn compact(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Compacted, CopyError> {
        let (new_path, old_path) = (beside(path, COMPACTING), beside(path, COMPACTED));
        if !path.exists() && new_path.exists() && old_path.exists() {
            drop(ReadOnlyChain::open(&new_path)?);
            let (before, after) = (sizes_at(&old_path)?, sizes_at(&new_path)?);
            rename(&new_path, path)?;
            remove(&old_path)?;
            return Ok(Compacted { rows: 0, kept: rows(&after), before, after });
        }
        let opened = DatabaseView::open_locked(path);
        let old = opened.map_err(|error| beside::explain(path, error.into()))?;
        if is_there(&old_path) {
            // Of an earlier run, which had put its successor in its place: that is a chain, or it stays.
            Identity::read(&old.read()?)?.ok_or(ChainOpenError::NoIdentity("it has no schema"))?;
            remove(&old_path)?;
        }
        let before = Sizes::of(&old)?;
        let mut copy = Copy::begin(&old, &new_path, &[SCHEMA], *self, progress)?;
        copy.carry_in_steps()?;
        // Nobody writes here.
        copy.carry_snapshot(Duration::MAX)?;
        copy.compare()?;
        copy.check(all_lanes())?;
        let (rows, kept) = copy.finish(None)?;
        let after = sizes_at(&new_path)?;
        rename(path, &old_path)?;
        rename(&new_path, path)?;
        drop(old);
        remove(&old_path)?;
        Ok(Compacted { rows, kept, before, after })
    }
}

fn rows(sizes: &Sizes) -> u64 {
    sizes.trees.iter().map(|tree| tree.rows).sum()
}

fn sizes_at(path: &Path) -> Result<Sizes, CopyError> {
    Sizes::of(&DatabaseView::open(path)?)
}

fn rename(from: &Path, to: &Path) -> Result<(), CopyError> {
    beside::rename(from, to).map_err(|error| CopyError::io(from, error))
}

fn remove(path: &Path) -> Result<(), CopyError> {
    beside::remove(path).map_err(|error| CopyError::io(path, error))
}
