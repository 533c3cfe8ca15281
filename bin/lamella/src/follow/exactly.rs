//! A directory that ends with one object of a writer's tail, exactly, or none.
//!
//! The hard idea: it is a follower that stops. It grows beside the directory's place, with its position in each commit, so a
//! kill at any instant costs nothing; it gets its name when it has taken that object, none after it, and every invariant holds.
//! Where it grows says where it is to end, so nobody goes on with another's.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use lamella_archive::WriterId;
use lamella_chain::{Progress, beside::RESTORING_TAIL, restore::RestoreError, verify};
use lamella_inspect::database_path;
use lamella_shipping::{
    ShippingError,
    follower::{FollowError as StepError, Replica as _, TailEnd},
    remote::Remote,
    restorer::Restored,
    store::{Access, Store},
};
use lamella_types::Checkpoint;

use super::{FollowError, ImportingReplica, ReplicaConfig, begin, resume};
use crate::import::Importer;

/// What was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoredTail {
    /// Whose tail.
    pub writer: WriterId,
    /// Its last object.
    pub sequence: u64,
    /// The head after it, by the blocks that are here.
    pub head: Checkpoint,
    /// Blocks that came from the tail, in this run.
    pub blocks: u64,
    /// What came from segments, in this run.
    pub segments: Option<Restored>,
}

/// Makes a directory of the sealed segments and a writer's tail up to this object; the writer may be left out where there is
/// one alone.
///
/// # Errors
/// [`FollowError`]; there is no directory then, and the same call goes on.
pub fn restore_exactly(
    config: &ReplicaConfig,
    writer: Option<WriterId>,
    sequence: u64,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<RestoredTail, FollowError> {
    let database = database_path(&config.data_dir);
    if database.exists() {
        return Err(ShippingError::from(RestoreError::InTheWay { path: database }).into());
    }
    let store = Store::open(&config.source, Access::Read).map_err(ShippingError::from)?;
    let remote = Remote::find(store, config.network)?;
    let end = TailEnd::find(&remote, writer, sequence)?;
    let folder = beside(&config.data_dir, &end);
    let growing = database_path(&folder);
    let segments = begin::once(config, &growing, end.segments_before(), progress)?;
    let (chain, _) = resume(config, &growing)?;
    let importer = Importer::new(Arc::new(chain), config.proof_scheme.scheme());
    let replica = ImportingReplica::new(importer, Box::new(|_| ()));
    let blocks = end.reach(&remote, &replica, progress).map_err(|error| match error {
        StepError::Source(error) => FollowError::Source(error),
        StepError::Replica(error) => FollowError::Store(Box::new(error)),
    })?;
    let head = replica.chain().fork_choice().head_summary().checkpoint();
    let report = verify(replica.chain().database(), progress).map_err(ShippingError::from)?;
    if report.stopped {
        return Err(ShippingError::Stopped.into());
    }
    let count = report.finding_count;
    if let Some(first) = report.findings.into_iter().next() {
        return Err(
            ShippingError::from(RestoreError::Findings { count, first, path: growing }).into()
        );
    }
    drop(replica);
    begin::rename(&growing, &database)?;
    fs::remove_dir(&folder).map_err(|source| FollowError::Io { path: folder, source })?;
    Ok(RestoredTail { writer: end.writer, sequence, head, blocks, segments })
}

/// Where it grows.
fn beside(data_dir: &Path, end: &TailEnd) -> PathBuf {
    data_dir.join(format!("{RESTORING_TAIL}{}-{:012}", end.writer, end.sequence))
}
