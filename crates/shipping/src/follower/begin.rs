//! A follower's directory, before it follows.

use std::{ops::ControlFlow, path::Path};

use lamella_archive::Network;
use lamella_chain::{Chain, ChainOpenError, Progress, restore::RestoreError};
use lamella_types::{Checkpoint, Root, Slot};

use crate::{
    error::ShippingError,
    proven::{Proven, keys},
    remote::{Remote, SEGMENT_SLOTS},
    restorer::{Restore, Restored, Target},
};

/// How a replica's directory begins.
#[derive(Debug)]
pub enum Begun {
    /// With what is sealed.
    Restored(Restored),
    /// With genesis: nothing is sealed yet.
    Genesis(Box<Network>),
}

/// Begins a directory with what the archive's whole segments hold before a slot, or says that it begins with genesis. Killed at
/// any instant, it goes on.
///
/// # Errors
/// [`ShippingError`]; there is no directory then.
pub fn begin(
    remote: &Remote,
    restore: &Restore<'_>,
    before: Slot,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Begun, ShippingError> {
    let proven = Proven::find(remote, restore.trusted)?;
    let segments = proven.segments().min(before / SEGMENT_SLOTS);
    let Some(newest) = newest(&proven, segments)? else {
        if let Some(trusted) = restore.trusted {
            check_trusted(&proven, trusted)?;
        }
        if let Err(ChainOpenError::Restoring { path }) = Chain::find(restore.database) {
            return Err(ShippingError::NoneLeft { url: remote.url(), path });
        }
        return Ok(Begun::Genesis(Box::new(proven.network)));
    };
    drop(proven);
    let restore = Restore { target: Target::Slot(newest), ..restore.clone() };
    match restore.run(remote, progress) {
        // Begun when fewer segments were sealed: it ends there, and the tail leads on.
        Err(ShippingError::Restore(error)) => match *error {
            RestoreError::OtherTarget { begun, .. } => {
                let target = Target::Slot(begun.slot);
                Restore { target, ..restore }.run(remote, progress).map(Begun::Restored)
            }
            error => Err(error.into()),
        },
        done => done.map(Begun::Restored),
    }
}

/// Genesis and registry are hashed into a frontier's own root. A root before it says nothing of them here, since no state is
/// rebuilt that it could be compared with: whoever forges a frontier can list any root in it.
fn check_trusted(proven: &Proven<'_>, trusted: Root) -> Result<(), ShippingError> {
    let Checkpoint { root, slot } = proven.block();
    if trusted == root {
        return Ok(());
    }
    if !proven.frontier.tail_roots().contains(&trusted) {
        proven.block_of(trusted)?;
    }
    let what = format!(
        "the trusted root {trusted} is before the frontier, and nothing is restored that it proves: only a frontier's own root proves genesis and registry; give {root}, of slot {slot}, if a node that you trust has it"
    );
    Err(ShippingError::NoTarget { url: proven.remote.url(), what })
}

/// Slot of the newest block of so many segments.
fn newest(proven: &Proven<'_>, segments: u64) -> Result<Option<Slot>, ShippingError> {
    for index in (0..segments).rev() {
        let segment = proven.segment(u32::try_from(index).unwrap_or(u32::MAX))?;
        if let Some(newest) = keys(&segment).last() {
            return Ok(Some(newest.slot));
        }
    }
    Ok(None)
}

/// Where a database is to be, for [`begin`].
#[must_use]
pub fn beginning<'a>(
    database: &'a Path,
    trusted: Option<Root>,
    slot_ms: u64,
    proof_scheme: &'a str,
) -> Restore<'a> {
    Restore { database, target: Target::Finalized, trusted, slot_ms, proof_scheme }
}
