//! One object of a writer's tail as the place where a directory is to end: exactly there, or not at all.
//!
//! The hard idea: a follower waits for what is missing and looks for ways around it; here there is nothing to wait for. Each
//! object is there, continues the one before and is taken whole, and the head that the last one names is in the directory then.
//! What is older than the tail comes from segments, from no more of them than the writer had finalized when it told the object:
//! all of their blocks were told, or sealed, before it.

use std::ops::ControlFlow;

use lamella_archive::{ObjectName, TailFile, TailLink, WriterId};
use lamella_chain::{Progress, TailPosition};
use lamella_tables::{Read as _, Slots};
use lamella_types::{Checkpoint, Slot};

use super::{FollowError, Replica, Taken, place::link_before};
use crate::{error::ShippingError, remote::Remote};

/// Where a directory is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailEnd {
    /// Whose tail.
    pub writer: WriterId,
    /// The object's number.
    pub sequence: u64,
    /// The writer's head after it.
    pub head: Checkpoint,
    finalized: Slot,
}

impl TailEnd {
    /// Reads the object; the writer may be left out where there is one alone.
    ///
    /// # Errors
    /// It is not there, or damaged; or which writer is meant is not clear.
    pub fn find(
        remote: &Remote,
        writer: Option<WriterId>,
        sequence: u64,
    ) -> Result<Self, ShippingError> {
        let writer = which(remote, writer)?;
        let tail = read(remote, writer, sequence)?.into_tail();
        Ok(Self { writer, sequence, head: tail.head, finalized: tail.finalized.slot })
    }

    /// The slot before which segments lead there.
    #[must_use]
    pub fn segments_before(&self) -> Slot {
        self.finalized.min(self.head.slot)
    }

    /// Imports what is missing of the tail up to the object; says how many blocks were new. Killed at any instant, it goes on.
    ///
    /// # Errors
    /// An object is not there, damaged, or does not continue the one before; a block is invalid, or the head is not here then.
    pub fn reach<R: Replica>(
        &self,
        remote: &Remote,
        replica: &R,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<u64, FollowError<R::Error>> {
        let Self { writer, sequence: last, .. } = *self;
        let mut position = followed(replica)?;
        let mut imported = 0;
        loop {
            let next = match position {
                Some(position) => position.next,
                None => self.first(remote)?,
            };
            if next > last {
                break;
            }
            if progress(Progress { stage: "tail", done: next, total: last + 1 }).is_break() {
                return Err(ShippingError::Stopped.into());
            }
            let file = read(remote, writer, next)?;
            if let Some(position) = &position {
                let follows = file.check_follows(link_before(position));
                follows.map_err(|error| remote.damaged(error))?;
            }
            let TailLink { sequence, digest } = file.link();
            let reached = TailPosition { writer: writer.0, next: sequence + 1, digest };
            let taken = replica.take(file.into_tail().blocks, &reached);
            match taken.map_err(FollowError::Replica)? {
                Taken::Imported(blocks) => imported += blocks,
                Taken::Refused { root, reason } => {
                    let what = format!(
                        "block {root} in object {sequence} of writer {writer} is invalid: {reason}"
                    );
                    return Err(self.none(remote, what).into());
                }
            }
            position = Some(reached);
        }
        self.check_head(remote, replica)?;
        Ok(imported)
    }

    /// The tail's oldest object that is there.
    fn first(&self, remote: &Remote) -> Result<u64, ShippingError> {
        let tails = remote.tails([(self.writer, 0)])?;
        let first = tails.get(&self.writer).and_then(|tail| tail.first_from(0));
        Ok(first.unwrap_or(self.sequence))
    }

    fn check_head<R: Replica>(
        &self,
        remote: &Remote,
        replica: &R,
    ) -> Result<(), FollowError<R::Error>> {
        let txn = replica.chain().read().map_err(ShippingError::from)?;
        if txn.get::<Slots>(&self.head.root).map_err(ShippingError::from)?.is_some() {
            return Ok(());
        }
        let (Checkpoint { root, slot }, writer) = (self.head, self.writer);
        let what = format!(
            "the head {root} of writer {writer} at slot {slot} is not here after object {}: blocks before it are in no object and in no segment that is finalized by then",
            self.sequence
        );
        Err(self.none(remote, what).into())
    }

    fn none(&self, remote: &Remote, what: String) -> ShippingError {
        ShippingError::NoTarget { url: remote.url(), what }
    }
}

/// The writer that is meant.
fn which(remote: &Remote, named: Option<WriterId>) -> Result<WriterId, ShippingError> {
    let writers = remote.writers()?;
    let found: Vec<_> = writers.iter().map(ToString::to_string).collect();
    let found = found.join(", ");
    let what = match (named, &writers[..]) {
        (Some(named), writers) if writers.contains(&named) => return Ok(named),
        (None, [only]) => return Ok(*only),
        (_, []) => "no tail is there".to_owned(),
        (None, _) => format!("several tails are there: {found}; say which with --writer"),
        (Some(named), _) => format!("there is no tail of writer {named}; there are: {found}"),
    };
    Err(ShippingError::NoTarget { url: remote.url(), what })
}

fn read(remote: &Remote, writer: WriterId, sequence: u64) -> Result<TailFile, ShippingError> {
    let name = ObjectName::Tail { writer, sequence };
    let hint = "the directory ends after an object only if all of the tail before it is there; choose one that is listed, or --finalized";
    let missing = || ShippingError::Missing { url: remote.url(), name, hint };
    let bytes = remote.get_late(&name)?.ok_or_else(missing)?;
    remote.decode_tail(&name, &bytes).map_err(|error| remote.damaged(error))
}

fn followed<R: Replica>(replica: &R) -> Result<Option<TailPosition>, ShippingError> {
    Ok(TailPosition::followed(&replica.chain().read()?)?)
}
