//! A follower's directory, before it follows.

use std::{ops::ControlFlow, path::Path};

use lamella_archive::Network;
use lamella_chain::{Progress, restore::RestoreError};
use lamella_types::Root;

use crate::{
    error::ShippingError,
    proven::Proven,
    remote::Remote,
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

/// Begins a directory with what the archive's segments hold, or says that it begins with genesis. Killed at any instant, it
/// goes on.
///
/// # Errors
/// [`ShippingError`]; there is no directory then.
pub fn begin(
    remote: &Remote,
    restore: &Restore<'_>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Begun, ShippingError> {
    let proven = Proven::find(remote, restore.trusted)?;
    if proven.segments() == 0 {
        return Ok(Begun::Genesis(Box::new(proven.network)));
    }
    match restore.run(remote, progress) {
        // Begun when fewer segments were sealed: it ends there, and the tail leads on.
        Err(ShippingError::Restore(error)) => match *error {
            RestoreError::OtherTarget { begun, .. } => {
                let target = Target::Slot(begun.slot);
                Restore { target, ..restore.clone() }.run(remote, progress).map(Begun::Restored)
            }
            error => Err(error.into()),
        },
        done => done.map(Begun::Restored),
    }
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
