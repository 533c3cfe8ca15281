//! The objects of an archive that a chain can give, made when they are asked for.
//!
//! The hard idea: what is finalized does not change, so neither do these objects, and a node that keeps all its history is
//! an archive already. Nothing of it is stored: a segment is read in short transactions and encoded, a frontier is made of
//! the state that it proves. Whoever asks verifies what it gets, as from any other store.

use std::ops::ControlFlow;

use lamella_archive::{FORMAT, Frontier, Network, NetworkId, ObjectName};
use lamella_block_store as block_store;
use lamella_chain::Chain;
use lamella_tables::SlotRoot;
use lamella_types::{Checkpoint, Root, Slot};
use serde::Serialize;

use super::{
    ends,
    error::InspectError,
    seal::{Held, SEGMENT_SLOTS, SealError, Settled, Shipped},
    served_tail::ServedTail,
    stored,
    tails::TailError,
};

/// Objects on one page of a list.
pub const PAGE_OBJECTS_MAX: usize = 1_000;

/// Folder of the tails.
const TAIL: &str = "tail/";

/// Why there is no object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The name is that of no object that this chain has now.
    #[error("{name} is not here: {why}")]
    NotThere {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
    /// The directory lacks blocks of the segment.
    #[error(
        "{name} cannot be sealed here: this node has {held} with their states; ask a node that began earlier and keeps all"
    )]
    BeforeBootstrap {
        /// The segment.
        name: ObjectName,
        /// What it has.
        held: Held,
    },
    /// It was not made.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// An object of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedObject {
    /// Its name, from the network's folder on.
    pub name: String,
    /// Its bytes, where they are known before it is made.
    pub bytes: Option<u64>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Objects in the order of their names.
    pub objects: Vec<ListedObject>,
    /// Whether there are objects after the last of these.
    pub more: bool,
}

/// The objects of a chain.
#[derive(Clone, Copy)]
pub struct Objects<'a> {
    chain: &'a Chain,
    shipped: Shipped<'a>,
    tail: &'a ServedTail,
}

impl<'a> Objects<'a> {
    /// Those of this chain, and of the tail that is told of it.
    #[must_use]
    pub fn of(chain: &'a Chain, tail: &'a ServedTail) -> Self {
        let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
        Self { chain, shipped, tail }
    }

    /// Name of its network, and of the folder that they are in.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        let identity = self.chain.identity();
        NetworkId::of(identity.genesis_time, &identity.registry_root)
    }

    /// The objects whose names begin so, after a name.
    ///
    /// # Errors
    /// Damage, or the engine.
    ///
    /// # Cost
    /// The finalized state, which is cached as a rule; 259 names at most, and the tail's. Listing the tail tells it.
    pub fn page(&self, prefix: &str, after: &str) -> Result<Page, SealError> {
        let mut listed = self.all()?;
        if prefix.starts_with(TAIL) || TAIL.starts_with(prefix) {
            let tail = self.tail.list(self.chain)?.into_iter();
            listed.extend(tail.map(|(name, bytes)| (name, Some(bytes))));
        }
        let mut objects: Vec<_> = listed
            .into_iter()
            .map(|(name, bytes)| ListedObject { name: name.to_string(), bytes })
            .filter(|object| object.name.starts_with(prefix) && *object.name > *after)
            .collect();
        objects.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let more = objects.len() > PAGE_OBJECTS_MAX;
        objects.truncate(PAGE_OBJECTS_MAX);
        Ok(Page { objects, more })
    }

    fn all(&self) -> Result<Vec<(ObjectName, Option<u64>)>, SealError> {
        let settled = self.shipped.settled()?;
        let held = self.shipped.held()?;
        let Checkpoint { slot, root } = settled.block();
        let registry = ObjectName::Registry { root: self.chain.identity().registry_root };
        let mut all = vec![
            (ObjectName::Format, Some(FORMAT.len() as u64)),
            (ObjectName::Frontier { slot, root }, None),
            (registry, None),
        ];
        let roots = settled.segment_roots();
        let segments = (0..).zip(roots).filter(|(index, _)| held.can_seal((*index).into()));
        all.extend(segments.map(|(index, root)| (ObjectName::Segment { index, root }, None)));
        Ok(all)
    }

    /// An object.
    ///
    /// # Errors
    /// [`ObjectError`]: absent, not held, damaged.
    ///
    /// # Cost
    /// A segment: 1,024 headers, bodies and diffs, 64 to a transaction.
    pub fn get(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        let not_there =
            |why: &str| ObjectError::NotThere { name: name.to_owned(), why: why.to_owned() };
        let parsed: ObjectName =
            name.parse().map_err(|_| not_there("no object has such a name"))?;
        match parsed {
            ObjectName::Format => Ok(FORMAT.as_bytes().to_vec()),
            ObjectName::Registry { root } => {
                let network = self.shipped.network()?;
                let own = network.registry_root() == root;
                own.then(|| network.validators().as_ssz().to_vec())
                    .ok_or_else(|| not_there("this network has another registry"))
            }
            ObjectName::Segment { index, root } => self.segment(parsed, index, root),
            ObjectName::Frontier { slot, root } => {
                let frontier = self.frontier(slot, root)?;
                Ok(frontier.ok_or_else(|| not_there("it is not finalized on this chain"))?.encode())
            }
            ObjectName::Tail { writer, sequence } => {
                let told = self.tail.get(self.chain, writer, sequence).map_err(SealError::from)?;
                told.ok_or_else(|| not_there("it was not told yet, or cannot be told any more"))
            }
            ObjectName::Proofs { .. } => Err(not_there("a node serves no such objects")),
        }
    }

    fn segment(&self, name: ObjectName, index: u32, root: Root) -> Result<Vec<u8>, ObjectError> {
        let settled = self.shipped.settled()?;
        let not_there = |why: String| ObjectError::NotThere { name: name.to_string(), why };
        let roots = settled.segment_roots();
        let own = roots.get(index as usize).ok_or_else(|| {
            let end = (u64::from(index) + 1) * SEGMENT_SLOTS;
            let slot = settled.block().slot;
            not_there(format!(
                "a segment is sealed when a block from slot {end} on is finalized, and slot {slot} is"
            ))
        })?;
        if *own != root {
            return Err(not_there(format!("this chain's segment {index} has root {own}")));
        }
        let held = self.shipped.held()?;
        if !held.can_seal(index.into()) {
            return Err(ObjectError::BeforeBootstrap { name, held });
        }
        let network: Network = self.shipped.network()?;
        let sealed = self.shipped.seal(&network, index, &mut || ControlFlow::Continue(()))?;
        if sealed.root != root {
            let what = format!(
                "segment {index} of the database has root {}, the finalized state says {root}; run `lamella db verify`",
                sealed.root
            );
            return Err(SealError::NotSealable(what).into());
        }
        Ok(sealed.bytes)
    }

    /// The proof of everything before a finalized block of the chain: not only the newest, which may be another one by the
    /// time that somebody who saw the list asks for it.
    fn frontier(&self, slot: Slot, root: Root) -> Result<Option<Frontier>, SealError> {
        let settled = self.shipped.settled()?;
        if settled.block() == (Checkpoint { slot, root }) {
            return settled.frontier().map(Some);
        }
        let txn = self.chain.database().read()?;
        let is_settled =
            slot < settled.block().slot && block_store::canonical_root(&txn, slot)? == Some(root);
        if !is_settled {
            return Ok(None);
        }
        let header = ends::named(&txn, "canonical", root)?;
        stored::check_state(&txn, &SlotRoot::new(slot, root)).map_err(SealError::from)?;
        let state = self.chain.states().state(&txn, &root)?;
        let settled = state.map(|state| Settled { header, state });
        settled.map(|settled| settled.frontier()).transpose()
    }
}

impl From<TailError> for SealError {
    fn from(error: TailError) -> Self {
        match error {
            TailError::Lookup(error) => InspectError::from(error).into(),
            TailError::Build(error) => {
                Self::NotSealable(format!("the tail cannot be told: {error}"))
            }
        }
    }
}
