//! Places in a writer's tail: the object that comes next, and the digest of the one before.

use lamella_archive::{ObjectName, TailLink, WriterId};
use lamella_chain::TailPosition;
use lamella_types::Root;

/// A place with which reading begins: what is before it was not read, so nothing is known that it must continue.
pub(super) const fn beginning_at(writer: WriterId, sequence: u64) -> TailPosition {
    TailPosition { writer: writer.0, next: sequence, digest: Root::ZERO }
}

/// The object before this place, if it was read.
pub(super) fn link_before(position: &TailPosition) -> Option<TailLink> {
    let (sequence, digest) = (position.next.checked_sub(1)?, position.digest);
    (!digest.is_zero()).then_some(TailLink { sequence, digest })
}

/// The object that comes next.
pub(super) const fn name_of(position: &TailPosition) -> ObjectName {
    ObjectName::Tail { writer: WriterId(position.writer), sequence: position.next }
}
