//! Verifying a whole archive, and saying exactly what that showed.

use std::ops::ControlFlow;

use lamella_archive::ObjectName;
use lamella_chain::Progress;
use lamella_types::{Checkpoint, Root, Slot};

use crate::{
    error::ShippingError,
    proven::{Proven, keys},
    remote::{Remote, first_slot},
};

/// What was verified, and what was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The block whose root everything was proven under.
    pub root: Checkpoint,
    /// Whether the caller named that root.
    pub is_trusted: bool,
    /// Segments whose content is proven.
    pub segments: u64,
    /// Slots below this are proven.
    pub below: Slot,
    /// Blocks, headers and bodies.
    pub blocks: u64,
    /// States that were rebuilt and hashed.
    pub states: u64,
    /// Frontier objects that do not verify.
    pub bad_frontiers: Vec<String>,
    /// Segments that are there and that the frontier does not reach.
    pub beyond: u64,
    /// Objects that no root covers: block proofs and tails.
    pub unproven: u64,
    /// Objects whose names say nothing.
    pub unknown: u64,
}

/// Verifies every segment under the greatest frontier, each header, body and empty slot; `deep`: every state too.
/// With a root that the caller trusts, what it proves: everything up to its slot.
///
/// # Errors
/// The first thing that is not as it should be: a gap, a damaged object, two chains. Nothing verified is an error too.
pub fn verify(
    remote: &Remote,
    trusted: Option<Root>,
    deep: bool,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Verified, ShippingError> {
    let proven = Proven::find(remote, trusted)?;
    let mut root = proven.block();
    // A root within the segments proves what is before it only by its own state's history.
    let inner = trusted.filter(|trusted| *trusted != root.root);
    let inner = inner.map(|trusted| proven.block_of(trusted)).transpose()?;
    if let Some(inner) = inner {
        root = Checkpoint { root: inner.root, slot: inner.slot };
    }
    let deep = deep || inner.is_some();
    let (mut segments, mut blocks, mut states) = (0, 0, 0);
    let total =
        inner.map_or(proven.segments(), |inner| inner.slot / crate::remote::SEGMENT_SLOTS + 1);
    for index in (0..).take_while(|index| u64::from(*index) < total) {
        if progress(Progress { stage: "segments", done: segments, total }).is_break() {
            return Err(ShippingError::Stopped);
        }
        let segment = proven.segment(index)?;
        let is_covered = |slot: Slot| inner.is_none_or(|inner| slot <= inner.slot);
        blocks += keys(&segment).filter(|key| is_covered(key.slot)).count() as u64;
        if deep {
            let verified = segment.verify_states(proven.before(index));
            verified.map_err(|error| remote.damaged(error))?;
            states += keys(&segment).filter(|key| is_covered(key.slot)).count() as u64;
        }
        segments += 1;
    }
    if segments == 0 {
        let what = "0 segments verified: none is sealed yet".to_owned();
        return Err(ShippingError::Zero { url: remote.url(), what });
    }
    let objects = proven.inventory.objects.keys();
    let unproven = objects
        .filter(|name| matches!(name, ObjectName::Proofs { .. } | ObjectName::Tail { .. }))
        .count();
    let beyond = proven.inventory.segments();
    let beyond = beyond.filter(|(index, _)| u64::from(*index) >= proven.segments()).count();
    Ok(Verified {
        root,
        is_trusted: trusted.is_some(),
        segments,
        below: inner.map_or(first_slot(segments), |inner| inner.slot + 1),
        blocks,
        states,
        bad_frontiers: proven.bad_frontiers,
        beyond: beyond as u64,
        unproven: unproven as u64,
        unknown: proven.inventory.unknown.len() as u64,
    })
}
