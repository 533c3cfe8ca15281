//! What to ask whom, and in which order blocks go to the importer. Pure: time is an argument, and so is the chain.
//!
//! The node tells a [`Syncer`] what happens ([`peer_status`](Syncer::peer_status), [`orphan`](Syncer::orphan),
//! [`response`](Syncer::response), [`imported`](Syncer::imported), ...) and afterwards does what
//! [`poll`](Syncer::poll) says until it says nothing. Waits end by themselves, so it is polled at least each second.
//!
//! | a node that | does |
//! |---|---|
//! | is more than [`limits::BEHIND_SLOTS`] behind a believed head | asks for ranges, of several peers at once (`ranges`) |
//! | lacks a head within that, or the parent of a block | asks for blocks by root, downwards (`orphans`) |
//! | lacks more than [`limits::ORPHAN_DEPTH_MAX`] parents | asks for ranges, of the peer that has that chain |
//!
//! Nothing that a peer says is believed for longer than it is shown (`claims`), and one request at a time goes to each
//! peer, so that a liar or a staller delays itself. Whether a block is valid is the importer's to say. Block choice,
//! proofs and disks are not known here.

mod answers;
mod claims;
mod held;
pub mod limits;
mod message;
mod orphans;
mod ranges;
mod session;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
    sync::Arc,
};

use lamella_types::{Checkpoint, Root, SignedBlock, Slot, Status, limits::SIGNED_BLOCK_BYTES_MAX};

pub use self::message::{Action, BatchId, Has, Outcome, Report, State, View};
use self::{
    claims::Claims,
    held::Held,
    limits::*,
    orphans::{Orphans, TooDeep, Why},
    ranges::Ranges,
};
use crate::requests::{BlocksRequest, RequestFailure, RequestId};

/// What a request in flight is for.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Range,
    Root(Root),
}

/// Blocks at the importer.
#[derive(Debug)]
struct Batch<P> {
    id: BatchId,
    blocks: Vec<Held<P>>,
    /// Whether they came from a range.
    is_range: bool,
    /// Not handed over before; `None` while the importer has it.
    due_ms: Option<u64>,
}

/// The machine.
#[derive(Debug)]
pub struct Syncer<P> {
    view: View,
    batch_blocks_max: usize,
    claims: Claims<P>,
    session: Option<Ranges<P>>,
    orphans: Orphans<P>,
    /// A chain that a session is to follow, when none follows another.
    deep: Option<TooDeep<P>>,
    batch: Option<Batch<P>>,
    /// With the time of asking.
    requests: BTreeMap<RequestId, (P, Asked, u64)>,
    next_id: u64,
    /// Judgements and reports, said before anything else.
    said: VecDeque<Action<P>>,
    reported_ms: Option<u64>,
    /// What the last peer said that has pruned something.
    said_unavailable: String,
    state: State,
}

impl<P: Copy + Ord + Debug> Syncer<P> {
    /// A machine without peers. The importer takes at most `batch_blocks_max` blocks a batch, at least one.
    #[must_use]
    pub fn new(view: View, batch_blocks_max: usize) -> Self {
        Self {
            view,
            batch_blocks_max: batch_blocks_max.max(1),
            claims: Claims::new(),
            session: None,
            orphans: Orphans::new(),
            deep: None,
            batch: None,
            requests: BTreeMap::new(),
            next_id: 0,
            said: VecDeque::new(),
            reported_ms: None,
            said_unavailable: String::new(),
            state: State::Idle,
        }
    }

    /// How far the node is behind, as of the last poll that said nothing.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Our chain or the slot changed.
    pub const fn chain(&mut self, view: View) {
        self.view = view;
    }

    /// A peer connected, or said again where its chain is.
    pub fn peer_status(&mut self, peer: P, status: Status, now_ms: u64) {
        self.claims.heard(peer, status, now_ms);
    }

    /// A peer is connected and has not said where its chain is. It is asked again: one question may be lost, or come when the
    /// peer is too busy.
    pub fn peer_silent(&mut self, peer: P, now_ms: u64) {
        self.claims.silent(peer, now_ms);
    }

    /// A peer is gone, and so are its requests: outcomes that still come are of no interest.
    pub fn peer_gone(&mut self, peer: P, now_ms: u64) {
        let of_peer = self.requests.iter().filter(|(_, (asked, ..))| *asked == peer);
        let of_peer: Vec<RequestId> = of_peer.map(|(request, _)| *request).collect();
        for request in of_peer {
            self.failed(request, RequestFailure::Disconnected, now_ms);
        }
        self.claims.gone(&peer);
    }

    /// A block was gossiped whose parent is not here; whether it is kept until that is. One that is finalized away, of
    /// the future, or of a peer that brought too many is not.
    pub fn orphan(&mut self, peer: P, root: Root, block: Arc<SignedBlock>, has: Has<'_>) -> bool {
        let slot = block.block.slot;
        let slot_max = self.view.current_slot.saturating_add(FUTURE_SLOTS_MAX);
        let is_of_this_time = slot > self.view.finalized.slot && slot <= slot_max;
        let held = Held::named(root, block, peer);
        let is_kept = is_of_this_time
            && self.orphans.of_peer(&peer) < ORPHANS_PER_PEER
            && self.orphans.bytes_of_peer(&peer) + held.bytes <= ORPHAN_BYTES_PER_PEER;
        if is_kept {
            self.add_orphan(held, 0, has);
        }
        is_kept
    }

    /// What to do next, if anything. `has` knows every block of our tree.
    pub fn poll(&mut self, now_ms: u64, has: Has<'_>) -> Option<Action<P>> {
        if let Some(said) = self.said.pop_front() {
            return Some(said);
        }
        let had_session = self.session.is_some();
        let action = self.next(now_ms, has);
        // A session that ended as its front was taken may make way for another.
        let is_over = had_session && self.session.is_none() && action.is_none();
        if is_over { self.next(now_ms, has) } else { action }
    }

    fn next(&mut self, now_ms: u64, has: Has<'_>) -> Option<Action<P>> {
        self.expire(now_ms);
        self.believe(now_ms, has);
        self.tidy(now_ms, has);
        self.step_session(now_ms);
        let action = self.next_import(now_ms, has);
        let action = action.or_else(|| self.next_range(now_ms));
        let action = action.or_else(|| self.next_root(now_ms));
        let action = action.or_else(|| self.said.pop_front());
        action.or_else(|| self.claims.next_refresh(now_ms).map(|peer| Action::AskStatus { peer }))
    }

    /// Gives up requests whose outcome was lost on its way here.
    fn expire(&mut self, now_ms: u64) {
        let is_lost = |asked_ms: u64| asked_ms.saturating_add(REQUEST_MS_MAX) <= now_ms;
        let lost = self.requests.iter().filter(|(_, (.., asked_ms))| is_lost(*asked_ms));
        let lost: Vec<RequestId> = lost.map(|(request, _)| *request).collect();
        for request in lost {
            self.failed(request, RequestFailure::Disconnected, now_ms);
        }
    }

    /// Votes that a validator signed name a head that is not here: the peer that brought them should have it.
    pub fn heard_of(&mut self, peer: P, head: Checkpoint) {
        let slot_max = self.view.current_slot.saturating_add(FUTURE_SLOTS_MAX);
        let is_of_this_time = head.slot > self.view.finalized.slot && head.slot <= slot_max;
        if is_of_this_time && !self.orphans.expects(&head.root) {
            self.orphans.look_for(head.root, peer, head.slot, 1, Why::Votes);
        }
    }

    /// Finds out how far we are behind.
    fn believe(&mut self, now_ms: u64, has: Has<'_>) {
        self.claims.compare(has);
        let believed = || self.claims.believed(now_ms, self.view.current_slot);
        let ahead: Vec<(Slot, bool)> = believed()
            .filter(|(_, claimant, head)| !claimant.is_level && self.is_behind(head))
            .map(|(_, claimant, head)| (head.slot, claimant.is_doubted()))
            .collect();
        // One that is alone in its claim and failed to show it holds nobody up.
        let count = believed().count();
        let most_are_ahead = 2 * ahead.len() > count;
        let counts = ahead.iter().filter(|(_, is_doubted)| most_are_ahead || !is_doubted);
        self.state = match counts.map(|(slot, _)| *slot).max() {
            Some(target) => State::Syncing { head: self.view.head.slot, target },
            None if count == 0 => State::Idle,
            None => State::Synced,
        };
    }

    /// Whether a head is so far ahead that ranges are asked for.
    const fn is_behind(&self, head: &Checkpoint) -> bool {
        head.slot > self.view.head.slot.saturating_add(BEHIND_SLOTS)
    }

    fn tidy(&mut self, now_ms: u64, has: Has<'_>) {
        let claims = &self.claims;
        let current_slot = self.view.current_slot;
        self.orphans.tidy(self.view.finalized.slot, has, |missing| {
            let mut believed = claims.believed(now_ms, current_slot);
            believed.any(|(peer, ..)| missing.may_ask(&peer))
        });
    }

    /// Keeps an orphan; a gap below it that is too deep becomes a range session.
    fn add_orphan(&mut self, held: Held<P>, depth: u32, has: Has<'_>) {
        self.deep = self.orphans.add(held, depth, has).or(self.deep.take());
    }

    /// The lowest slot worth asking for.
    const fn floor(&self) -> Slot {
        self.view.finalized.slot.saturating_add(1)
    }

    fn next_import(&mut self, now_ms: u64, has: Has<'_>) -> Option<Action<P>> {
        if self.batch.is_none() {
            let mut blocks = self.take_range_run(now_ms, has);
            let is_range = !blocks.is_empty();
            if !is_range {
                blocks = self.orphans.take_run(self.batch_blocks_max, has);
            }
            if !blocks.is_empty() {
                self.batch = Some(Batch { id: 0, blocks, is_range, due_ms: Some(now_ms) });
            }
        }
        let batch = self.batch.as_mut()?;
        batch.due_ms.take_if(|due_ms| *due_ms <= now_ms)?;
        self.next_id += 1;
        batch.id = self.next_id;
        let mut peers: Vec<P> = batch.blocks.iter().map(|held| held.peer).collect();
        peers.sort_unstable();
        peers.dedup();
        let blocks = batch.blocks.iter().map(|held| held.block.clone()).collect();
        Some(Action::Import { batch: batch.id, blocks, peers })
    }

    /// A block that is looked for, or a head that is close enough to be.
    fn next_root(&mut self, now_ms: u64) -> Option<Action<P>> {
        // Far above our head the ranges in flight bring them sooner.
        let slot_max = match self.session {
            Some(_) => self.view.head.slot.saturating_add(BEHIND_SLOTS),
            None => Slot::MAX,
        };
        let claims = &self.claims;
        let current_slot = self.view.current_slot;
        let (root, peer) = self.orphans.next_missing(slot_max, |missing| {
            let is_source = |peer: &P| *peer == missing.source && missing.may_ask(peer);
            let pick = SIGNED_BLOCK_BYTES_MAX;
            claims.pick(pick, now_ms, |peer, _| is_source(peer)).or_else(|| {
                claims.pick(pick, now_ms, |peer, claimant| {
                    missing.may_ask(peer) && claimant.head(now_ms, current_slot).is_some()
                })
            })
        })?;
        let blocks = BlocksRequest::Roots(vec![root]);
        self.claims.take(&peer, &blocks, now_ms);
        let request = self.new_request(peer, Asked::Root(root), now_ms);
        self.orphans.asked(&root, request);
        Some(Action::Request { request, peer, blocks })
    }

    fn say(&mut self, action: Action<P>) {
        if self.said.len() < SAID_MAX {
            self.said.push_back(action);
        }
    }

    fn new_request(&mut self, peer: P, asked: Asked, now_ms: u64) -> RequestId {
        self.next_id += 1;
        self.requests.insert(self.next_id, (peer, asked, now_ms));
        self.next_id
    }
}
