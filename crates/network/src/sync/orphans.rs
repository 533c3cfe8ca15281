//! Blocks whose parent is not here, and the missing blocks that would connect them.
//!
//! An orphan waits here until its parent is; the parent is asked for by root, of the orphan's sender first, and may be
//! an orphan itself. What nobody has, what is finalized away and what is too much goes, with all that builds on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use lamella_types::{Root, Slot};

use super::{held::Held, limits::*, message::Has};
use crate::requests::RequestId;

/// A block that is looked for.
#[derive(Debug)]
pub(super) struct Missing<P> {
    /// Who should have it: asked first.
    pub(super) source: P,
    /// Why it is looked for.
    pub(super) why: Why,
    /// The slot of its child, or of the claim: it is not above this.
    pub(super) slot_max: Slot,
    /// Missing blocks found one by one above it.
    pub(super) depth: u32,
    /// Who does not have it.
    tried: Vec<P>,
    asked: Option<RequestId>,
    /// It came, and is not wanted on the word of one peer: nobody is asked until votes or a child name it.
    is_declined: bool,
}

/// Why a block is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is the parent of a block that is kept.
    Parent,
    /// The source says that it is its head, and nobody else is asked.
    Claim,
    /// Votes name it.
    Votes,
}

/// The pool.
#[derive(Debug)]
pub(super) struct Orphans<P> {
    blocks: BTreeMap<(Slot, Root), Held<P>>,
    slots: BTreeMap<Root, Slot>,
    bytes: usize,
    missing: BTreeMap<Root, Missing<P>>,
}

/// A gap too deep to fill block by block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooDeep<P> {
    /// Who has the chain.
    pub(super) peer: P,
    /// The lowest slot that was reached.
    pub(super) slot: Slot,
}

impl<P: Copy + Ord + Debug> Orphans<P> {
    pub(super) const fn new() -> Self {
        Self { blocks: BTreeMap::new(), slots: BTreeMap::new(), bytes: 0, missing: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    #[cfg(test)]
    pub(super) fn missing_count(&self) -> usize {
        self.missing.len()
    }

    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Blocks that a peer brought.
    pub(super) fn of_peer(&self, peer: &P) -> usize {
        self.blocks.values().filter(|held| held.peer == *peer).count()
    }

    pub(super) fn contains(&self, root: &Root) -> bool {
        self.slots.contains_key(root)
    }

    /// Bytes of the blocks that a peer brought.
    pub(super) fn bytes_of_peer(&self, peer: &P) -> usize {
        self.blocks.values().filter(|held| held.peer == *peer).map(|held| held.bytes).sum()
    }

    /// Whether this block is here or looked for.
    pub(super) fn expects(&self, root: &Root) -> bool {
        let is_wanted = |missing: &Missing<P>| !missing.is_declined;
        self.contains(root) || self.missing.get(root).is_some_and(is_wanted)
    }

    /// Whether this block came and was not wanted.
    pub(super) fn has_declined(&self, root: &Root) -> bool {
        self.missing.get(root).is_some_and(|missing| missing.is_declined)
    }

    /// Whether this block is looked for on the word of one peer alone.
    pub(super) fn is_claim(&self, root: &Root) -> bool {
        self.missing.get(root).is_some_and(|missing| missing.why == Why::Claim)
    }

    /// A block that came on the word of one peer is not wanted for that alone.
    pub(super) fn decline(&mut self, root: &Root) {
        if let Some(missing) = self.missing.get_mut(root) {
            missing.is_declined = true;
        }
    }

    /// Keeps a block, `depth` missing blocks below the first orphan of its chain, and looks for its parent.
    pub(super) fn add(&mut self, held: Held<P>, depth: u32, has: Has<'_>) -> Option<TooDeep<P>> {
        let (root, parent, slot, peer) = (held.root, held.parent(), held.slot(), held.peer);
        self.missing.remove(&root);
        if self.contains(&root) {
            return None;
        }
        self.bytes += held.bytes;
        self.slots.insert(root, slot);
        self.blocks.insert((slot, root), held);
        while self.len() > ORPHANS_MAX || self.bytes > ORPHAN_BYTES_MAX {
            let oldest = self.blocks.first_key_value().map(|(key, _)| key.1);
            let Some(oldest) = oldest else { break };
            self.remove(&oldest);
            self.remove_descendants(&oldest);
        }
        if has(&parent) || self.contains(&parent) || !self.contains(&root) {
            return None;
        }
        if depth >= ORPHAN_DEPTH_MAX {
            self.remove_descendants(&parent);
            return Some(TooDeep { peer, slot });
        }
        self.look_for(parent, peer, slot.saturating_sub(1), depth + 1, Why::Parent);
        None
    }

    /// Looks for a block that a peer should have.
    pub(super) fn look_for(&mut self, root: Root, source: P, slot_max: Slot, depth: u32, why: Why) {
        if why == Why::Claim {
            // Of what a peer claimed before, nothing need be remembered.
            self.missing.retain(|_, missing| !missing.is_declined || missing.source != source);
        } else if self.has_declined(&root) {
            self.missing.remove(&root);
        }
        let of_source = self.missing.values().filter(|missing| missing.source == source).count();
        if self.missing.len() < MISSING_MAX && of_source < MISSING_PER_PEER {
            let tried = Vec::new();
            self.missing.entry(root).or_insert(Missing {
                source,
                why,
                slot_max,
                depth,
                tried,
                asked: None,
                is_declined: false,
            });
        }
    }

    /// Drops what is finalized away, what need not be looked for any more, and what nobody is left to be asked for.
    pub(super) fn tidy(
        &mut self,
        finalized_slot: Slot,
        has: Has<'_>,
        may_be_had: impl Fn(&Missing<P>) -> bool,
    ) {
        let keep = self.blocks.split_off(&(finalized_slot.saturating_add(1), Root::ZERO));
        for held in std::mem::replace(&mut self.blocks, keep).into_values() {
            self.bytes -= held.bytes;
            self.slots.remove(&held.root);
        }
        let here: Vec<Root> = self.slots.keys().filter(|root| has(root)).copied().collect();
        here.iter().for_each(|root| drop(self.remove(root)));
        let parents: BTreeSet<Root> = self.blocks.values().map(Held::parent).collect();
        self.missing.retain(|root, missing| {
            let is_useful = missing.why != Why::Parent || parents.contains(root);
            is_useful && missing.slot_max > finalized_slot && !has(root)
        });
        // What was not looked for because too much was, came as a copy that is no good, or is finalized away by now.
        let open = self.blocks.values().filter(|held| {
            let parent = held.parent();
            !has(&parent) && !self.expects(&parent)
        });
        let open: Vec<_> = open.map(|held| (held.parent(), held.peer, held.slot())).collect();
        for (parent, peer, slot) in open {
            let slot_max = slot.saturating_sub(1);
            if slot_max > finalized_slot {
                self.look_for(parent, peer, slot_max, 1, Why::Parent);
            } else {
                self.remove_descendants(&parent);
            }
        }
        let hopeless = self.missing.iter().filter(|(_, m)| m.asked.is_none() && !may_be_had(m));
        let hopeless: Vec<Root> = hopeless.map(|(root, _)| *root).collect();
        hopeless.iter().for_each(|root| self.remove_descendants(root));
    }

    /// Takes a run of blocks, each the child of the one before, the first of them the child of a block that is here.
    pub(super) fn take_run(&mut self, blocks_max: usize, has: Has<'_>) -> Vec<Held<P>> {
        let first = self.blocks.values().find(|held| has(&held.parent())).map(|held| held.root);
        let mut run: Vec<Held<P>> = first.and_then(|root| self.remove(&root)).into_iter().collect();
        while let Some(last) = run.last().filter(|_| run.len() < blocks_max) {
            let child = self.blocks.values().find(|held| held.parent() == last.root);
            let Some(child) = child.map(|held| held.root) else { break };
            run.extend(self.remove(&child));
        }
        run
    }

    /// Drops all blocks that build on this one, and stops looking for it.
    pub(super) fn remove_descendants(&mut self, root: &Root) {
        self.missing.remove(root);
        let mut parents = vec![*root];
        while let Some(parent) = parents.pop() {
            let children = self.blocks.values().filter(|held| held.parent() == parent);
            let children: Vec<Root> = children.map(|held| held.root).collect();
            for child in children {
                self.remove(&child);
                parents.push(child);
            }
        }
    }

    /// A missing block to ask for now, not above `slot_max`, and who has not been asked for it.
    pub(super) fn next_missing(
        &self,
        slot_max: Slot,
        pick: impl Fn(&Missing<P>) -> Option<P>,
    ) -> Option<(Root, P)> {
        let in_flight = self.missing.values().filter(|missing| missing.asked.is_some()).count();
        if in_flight >= ROOTS_IN_FLIGHT_MAX {
            return None;
        }
        let is_open = |missing: &Missing<P>| missing.asked.is_none() && !missing.is_declined;
        let open = self.missing.iter().filter(|(_, missing)| is_open(missing));
        let mut open = open.filter(|(_, missing)| missing.slot_max <= slot_max);
        open.find_map(|(root, missing)| Some((*root, pick(missing)?)))
    }

    /// A request for a missing block is on its way.
    pub(super) fn asked(&mut self, root: &Root, request: RequestId) {
        if let Some(missing) = self.missing.get_mut(root) {
            missing.asked = Some(request);
        }
    }

    /// The missing block that a request was for, if it is still missing.
    pub(super) fn answered(&mut self, root: &Root, request: RequestId) -> Option<&Missing<P>> {
        let missing = self.missing.get_mut(root).filter(|m| m.asked == Some(request))?;
        missing.asked = None;
        Some(missing)
    }

    /// A peer does not have a missing block. When it was the last to be tried, all that builds on the block goes, and
    /// the peer whose head it should have been is returned.
    pub(super) fn not_there(&mut self, root: &Root, peer: P) -> Option<P> {
        let missing = self.missing.get_mut(root)?;
        missing.tried.push(peer);
        if missing.tried.len() < ROOT_TRIES_MAX && missing.why != Why::Claim {
            return None;
        }
        let claimed_by = (missing.why == Why::Claim).then_some(missing.source);
        self.remove_descendants(root);
        claimed_by
    }

    fn remove(&mut self, root: &Root) -> Option<Held<P>> {
        let slot = self.slots.remove(root)?;
        let held = self.blocks.remove(&(slot, *root))?;
        self.bytes -= held.bytes;
        Some(held)
    }
}

impl<P: Copy + Ord> Missing<P> {
    /// Whether this peer may still be asked for it.
    pub(super) fn may_ask(&self, peer: &P) -> bool {
        !self.tried.contains(peer) && (self.why != Why::Claim || *peer == self.source)
    }
}
