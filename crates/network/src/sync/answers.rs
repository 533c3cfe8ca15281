//! What comes back: answers of peers, outcomes of imports.

use std::{collections::VecDeque, fmt::Debug, sync::Arc};

use lamella_types::{RejectionReason, Root, SignedBlock};

use super::{
    Action, Asked, BatchId, Has, Outcome, Syncer,
    held::Held,
    limits::*,
    orphans::Why,
    ranges::{Stage, check_range},
};
use crate::{
    peers::Offence,
    requests::{RequestFailure, RequestId},
};

impl<P: Copy + Ord + Debug> Syncer<P> {
    /// What became of a request. Unknown ids are of peers that are gone.
    pub fn response(
        &mut self,
        request: RequestId,
        outcome: Result<Vec<SignedBlock>, RequestFailure>,
        now_ms: u64,
        has: Has<'_>,
    ) {
        let blocks = match outcome {
            Ok(blocks) => blocks,
            Err(failure) => return self.failed(request, failure, now_ms),
        };
        let Some((peer, asked)) = self.settle(request) else { return };
        let blocks: VecDeque<Held<P>> =
            blocks.into_iter().map(|block| Held::new(Arc::new(block), peer)).collect();
        if let Some(claimant) = self.claims.get_mut(&peer) {
            claimant.answered();
            claimant.brought(blocks.iter().map(|held| held.bytes).sum(), now_ms);
        }
        match asked {
            Asked::Range => self.range_answer(request, peer, blocks, now_ms),
            Asked::Root(root) => self.root_answer(request, peer, root, blocks, now_ms, has),
        }
    }

    /// The block that a request is for, unless it is for a range.
    #[must_use]
    pub fn asked_root(&self, request: RequestId) -> Option<Root> {
        match self.requests.get(&request)? {
            (_, Asked::Root(root), _) => Some(*root),
            _ => None,
        }
    }

    /// An answer brought a second block of a proposer for one slot. It is taken if votes or a child of it made us ask;
    /// on the word of one peer it is not, and the peer is not to blame. Returns whether it was declined.
    pub fn decline_claimed(&mut self, request: RequestId) -> bool {
        let Some(root) = self.asked_root(request) else { return false };
        if !self.orphans.is_claim(&root) {
            return false;
        }
        if let Some((peer, _)) = self.settle(request)
            && let Some(claimant) = self.claims.get_mut(&peer)
        {
            claimant.answered();
        }
        self.orphans.answered(&root, request);
        self.orphans.decline(&root);
        true
    }

    /// What became of a batch. The node tells its new [`View`](super::View) first.
    pub fn imported(&mut self, batch: BatchId, outcome: Outcome, now_ms: u64) {
        let is_it = |held: &mut super::Batch<P>| held.id == batch && held.due_ms.is_none();
        let Some(mut batch) = self.batch.take_if(is_it) else { return };
        match outcome {
            Outcome::Known => {}
            Outcome::Imported => {
                for held in batch.blocks {
                    self.claims.get_mut(&held.peer).map(super::claims::Claimant::clear);
                }
            }
            Outcome::Paused => {
                batch.due_ms = Some(now_ms + PAUSE_MS);
                self.batch = Some(batch);
            }
            Outcome::Rejected { index, reason } => {
                let bad = batch.blocks.drain(index.min(batch.blocks.len())..).next();
                if let Some(bad) = bad {
                    if batch.is_range {
                        self.session = None;
                    }
                    self.rejected(&bad, reason, now_ms);
                }
                if !batch.blocks.is_empty() {
                    batch.due_ms = Some(now_ms);
                    self.batch = Some(batch);
                }
            }
        }
    }

    fn rejected(&mut self, bad: &Held<P>, reason: RejectionReason, now_ms: u64) {
        // A root does not cover the proof: the block may be good, and is looked for again where something needs it.
        if reason != RejectionReason::InvalidBlockProof {
            self.orphans.remove_descendants(&bad.root);
        }
        let (root, slot, peer) = (bad.root, bad.slot(), bad.peer);
        if reason == RejectionReason::UnknownParentBlock {
            // The tree was pruned since it was asked: a branch from so far down is of no use.
            return self.doubt(peer, "a branch that is finalized away", now_ms);
        }
        let why = format!("block {root} of slot {slot}: {reason}");
        if bad.is_relayed {
            // Whoever made it, the peer's chain is another matter.
            return self.say(Action::Penalise { peer, offence: Offence::Invalid, why });
        }
        self.distrust(peer, Offence::InvalidAnswer, why, now_ms);
    }

    /// Ends a request.
    fn settle(&mut self, request: RequestId) -> Option<(P, Asked)> {
        let (peer, asked, _) = self.requests.remove(&request)?;
        if let Some(claimant) = self.claims.get_mut(&peer) {
            claimant.is_busy = false;
        }
        Some((peer, asked))
    }

    fn range_answer(
        &mut self,
        request: RequestId,
        peer: P,
        blocks: VecDeque<Held<P>>,
        now_ms: u64,
    ) {
        let slice = self.session.as_mut().and_then(|session| session.asked(request));
        let Some(slice) = slice else { return };
        let (start, last) = (slice.start, slice.last_slot());
        if let Err(why) = check_range(&blocks, start, slice.count) {
            slice.stage = Stage::Wanted;
            return self.broke_protocol(peer, why, now_ms);
        }
        let is_empty = blocks.is_empty();
        let roots: Vec<Root> = blocks.iter().map(|held| held.root).collect();
        slice.stage = Stage::Here { peer, blocks };
        let current_slot = self.view.current_slot;
        let Some(claimant) = self.claims.get_mut(&peer) else { return };
        claimant.was_in_time();
        let head = claimant.head(now_ms, current_slot);
        if !is_empty {
            claimant.said_something();
        } else if claimant.said_empty(now_ms) {
            let why = format!("{EMPTY_RANGES_MAX} empty ranges below the head it claims");
            self.say(Action::Penalise { peer, offence: Offence::Lied, why });
        }
        if head
            .is_some_and(|head| (start..=last).contains(&head.slot) && !roots.contains(&head.root))
        {
            self.doubt(peer, "a head that its own range does not have", now_ms);
        }
    }

    fn root_answer(
        &mut self,
        request: RequestId,
        peer: P,
        root: Root,
        mut blocks: VecDeque<Held<P>>,
        now_ms: u64,
        has: Has<'_>,
    ) {
        let Some(missing) = self.orphans.answered(&root, request) else { return };
        let (slot_max, depth) = (missing.slot_max, missing.depth);
        let is_claim = missing.why == Why::Claim;
        let Some(held) = blocks.pop_front() else { return self.not_there(root, peer, now_ms) };
        if held.root != root || !blocks.is_empty() {
            self.not_there(root, peer, now_ms);
            let why = format!("other blocks than {root}, which was asked for");
            return self.broke_protocol(peer, why, now_ms);
        }
        if held.slot() > slot_max || held.slot() <= self.view.finalized.slot {
            // A child that is not above its parent, a claim of another slot, or a chain that left ours below finality.
            self.orphans.remove_descendants(&root);
            if is_claim {
                self.doubt(peer, "a head that is not what it says", now_ms);
            }
            return;
        }
        self.add_orphan(held, depth, has);
    }

    fn not_there(&mut self, root: Root, peer: P, now_ms: u64) {
        if let Some(liar) = self.orphans.not_there(&root, peer) {
            self.doubt(liar, "a head that it does not have", now_ms);
        }
    }

    /// A request that brought nothing: what it was for is asked of others, and the peer is left alone for a while.
    pub(super) fn failed(&mut self, request: RequestId, failure: RequestFailure, now_ms: u64) {
        let Some((peer, asked)) = self.settle(request) else { return };
        let start = match asked {
            Asked::Range => self.want_again(request),
            Asked::Root(root) => {
                let missing = self.orphans.answered(&root, request);
                if missing.is_some_and(|missing| missing.why != Why::Claim) {
                    self.not_there(root, peer, now_ms);
                }
                None
            }
        };
        match failure {
            RequestFailure::Unavailable(text) => {
                self.said_unavailable = text;
                let claimant = self.claims.get_mut(&peer);
                match (start, claimant) {
                    (Some(start), Some(claimant)) => claimant.said_unavailable(start, now_ms),
                    _ => self.back_off(peer, now_ms),
                }
            }
            RequestFailure::Timeout => {
                if let (Asked::Range, Some(claimant)) = (asked, self.claims.get_mut(&peer)) {
                    claimant.was_late();
                }
                let why = "no answer to a request for blocks".to_owned();
                self.say(Action::Penalise { peer, offence: Offence::Stalled, why });
                self.back_off(peer, now_ms);
            }
            RequestFailure::Disconnected | RequestFailure::Refused(_) => {
                self.back_off(peer, now_ms)
            }
            RequestFailure::Misbehaved(why) => self.broke_protocol(peer, why, now_ms),
        }
    }

    fn broke_protocol(&mut self, peer: P, why: String, now_ms: u64) {
        self.say(Action::Penalise { peer, offence: Offence::BrokeProtocol, why });
        self.back_off(peer, now_ms);
        self.doubt(peer, "answers that break the protocol", now_ms);
    }

    fn back_off(&mut self, peer: P, now_ms: u64) {
        let Some(claimant) = self.claims.get_mut(&peer) else { return };
        if claimant.failed(now_ms) {
            let why = format!("{FAILURES_MAX} requests in a row failed");
            self.say(Action::Penalise { peer, offence: Offence::Stalled, why });
        }
    }
}
