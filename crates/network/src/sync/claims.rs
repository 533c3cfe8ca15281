//! What each peer claims to have, and how far that is believed.
//!
//! A claim is believed until the peer fails to show it. An empty range is no proof of a lie (slots may be empty), so
//! doubts add up: [`DOUBTS_MAX`] answers that do not bring what was claimed, [`EMPTY_RANGES_MAX`] empty ones in a row
//! or [`FAILURES_MAX`] requests in a row that fail, and all that the peer claims is ignored for [`IGNORE_MS`]. New
//! blocks from a peer clear its name.

use std::{collections::BTreeMap, fmt::Debug};

use lamella_types::{Checkpoint, Slot, Status};

use super::{limits::*, message::Has};
use crate::{bucket::Bucket, requests::BlocksRequest};

/// A peer's claims and its record.
#[derive(Debug)]
pub(super) struct Claimant {
    status: Option<Status>,
    /// Whether its head is in our tree: it has nothing more for us.
    pub(super) is_level: bool,
    /// Whether a session began anew because it had passed by this head. Once for each head.
    pub(super) was_passed: bool,
    status_at_ms: u64,
    /// When it last said anything.
    heard_at_ms: u64,
    asked_status_at_ms: Option<u64>,
    /// Whether it did not show what it claims: its chain may have changed since it said so, and it is asked for no range
    /// until it says again where it is.
    is_to_confirm: bool,
    /// Whether it is connected and has not said where its chain is.
    is_silent: bool,
    /// One request at a time.
    pub(super) is_busy: bool,
    /// Blocks asked of it in all: work is spread by it.
    asked_blocks: u64,
    pace: Bucket,
    /// Slots of a range that it answers in time.
    pub(super) range_slots: u64,
    failures: u32,
    retry_at_ms: u64,
    doubts: u32,
    empty_ranges: u32,
    ignored_until_ms: u64,
    /// Ranges that begin at or below this slot it has pruned, it says.
    unavailable: Option<(Slot, u64)>,
}

impl Claimant {
    fn new(now_ms: u64) -> Self {
        Self {
            status: None,
            is_level: false,
            was_passed: false,
            status_at_ms: 0,
            heard_at_ms: now_ms,
            asked_status_at_ms: None,
            is_to_confirm: false,
            is_silent: false,
            is_busy: false,
            asked_blocks: 0,
            range_slots: RANGE_SLOTS,
            pace: Bucket::new(PACE_BYTES_BURST, PACE_BYTES_PER_SECOND, now_ms),
            failures: 0,
            retry_at_ms: 0,
            doubts: 0,
            empty_ranges: 0,
            ignored_until_ms: 0,
            unavailable: None,
        }
    }

    /// Whether it is connected and has said where its chain is: one that is gone says nothing any more.
    const fn is_here(&self) -> bool {
        self.status.is_some()
    }

    /// Its head, if it says one that may be: not ignored, not of the future, not of one that fell silent.
    pub(super) fn head(&self, now_ms: u64, current_slot: Slot) -> Option<Checkpoint> {
        let head = self.status?.head;
        let may_be = head.slot <= current_slot.saturating_add(FUTURE_SLOTS_MAX);
        let speaks = now_ms < self.heard_at_ms.saturating_add(SILENCE_MS);
        (may_be && speaks && self.ignored_until_ms <= now_ms).then_some(head)
    }

    /// How far it says that its chain is finalized.
    pub(super) fn finalized_slot(&self) -> Slot {
        self.status.map_or(0, |status| status.finalized.slot)
    }

    /// Whether it claims a chain that goes on from this slot, and we do not have that chain.
    pub(super) fn has_range(&self, start: Slot, now_ms: u64, current_slot: Slot) -> bool {
        let head = self.head(now_ms, current_slot);
        !self.is_level && !self.is_to_confirm && head.is_some_and(|head| head.slot >= start)
    }

    /// Whether it has failed to show what it claims, so far without consequence.
    pub(super) const fn is_doubted(&self) -> bool {
        self.doubts > 0 || self.empty_ranges > 0 || self.failures > 0
    }

    /// Whether it may be asked now for what may be so many bytes.
    fn is_ready(&self, bytes_max: usize, now_ms: u64) -> bool {
        let mut pace = self.pace;
        let is_free = self.is_here() && !self.is_busy && self.retry_at_ms <= now_ms;
        is_free && pace.has(bytes_max as u64, now_ms)
    }

    /// Whether it says that a range beginning here is gone.
    pub(super) fn lacks(&self, start: Slot, now_ms: u64) -> bool {
        self.unavailable.is_some_and(|(slot, until_ms)| start <= slot && now_ms < until_ms)
    }

    /// It says that it pruned a range that begins here.
    pub(super) fn said_unavailable(&mut self, start: Slot, now_ms: u64) {
        let slot = self.unavailable.map_or(start, |(slot, _)| slot.max(start));
        self.unavailable = Some((slot, now_ms + UNAVAILABLE_MS));
    }

    /// A request failed: the next one waits, twice as long each time.
    pub(super) fn failed(&mut self, now_ms: u64) -> bool {
        let wait_ms = BACK_OFF_MS << self.failures.min(16);
        self.retry_at_ms = now_ms + wait_ms.min(BACK_OFF_MS_MAX);
        self.failures += 1;
        let is_over = self.failures >= FAILURES_MAX;
        if is_over {
            self.ignore(now_ms);
        }
        is_over
    }

    /// An answer came, of whatever worth.
    pub(super) const fn answered(&mut self) {
        self.failures = 0;
    }

    /// It had so many bytes.
    pub(super) fn brought(&mut self, bytes: usize, now_ms: u64) {
        self.heard_at_ms = now_ms;
        self.pace.take(bytes as u64, now_ms);
    }

    /// A range did not come in time: the link may be slow, or the proofs large.
    pub(super) const fn was_late(&mut self) {
        self.range_slots = if self.range_slots > 1 { self.range_slots / 2 } else { 1 };
    }

    /// A range came in time.
    pub(super) fn was_in_time(&mut self) {
        self.range_slots = (2 * self.range_slots).min(RANGE_SLOTS);
    }

    /// An answer did not bring what was claimed; whether that was once too often.
    pub(super) fn doubt(&mut self, now_ms: u64) -> bool {
        self.doubts += 1;
        let is_over = self.doubts >= DOUBTS_MAX;
        if is_over {
            self.ignore(now_ms);
        }
        is_over
    }

    /// A range below its head was empty; whether that was once too often.
    pub(super) fn said_empty(&mut self, now_ms: u64) -> bool {
        self.empty_ranges += 1;
        let is_over = self.empty_ranges >= EMPTY_RANGES_MAX;
        if is_over {
            self.ignore(now_ms);
        }
        is_over
    }

    /// It brought blocks, of whatever worth.
    pub(super) const fn said_something(&mut self) {
        self.empty_ranges = 0;
    }

    /// Blocks from it were new and valid, or its head is known by now.
    pub(super) const fn clear(&mut self) {
        (self.doubts, self.empty_ranges, self.failures) = (0, 0, 0);
    }

    /// Believe nothing it claims for a while.
    pub(super) const fn ignore(&mut self, now_ms: u64) {
        self.ignored_until_ms = now_ms + IGNORE_MS;
        self.clear();
    }
}

/// Everyone who is connected, and of those who are gone what a new connection must not make us forget.
#[derive(Debug)]
pub(super) struct Claims<P>(BTreeMap<P, Claimant>);

impl<P: Copy + Ord + Debug> Claims<P> {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn heard(&mut self, peer: P, status: Status, now_ms: u64) {
        let Some(claimant) = self.meet(peer, now_ms) else { return };
        claimant.is_silent = false;
        let is_new = claimant.status.is_none_or(|before| before.head != status.head);
        claimant.was_passed &= !is_new;
        claimant.is_level &= !is_new;
        claimant.status = Some(status);
        claimant.is_to_confirm = false;
        (claimant.status_at_ms, claimant.heard_at_ms) = (now_ms, now_ms);
    }

    /// A peer is connected, and the answer to the connection's own question for its status has not come.
    pub(super) fn silent(&mut self, peer: P, now_ms: u64) {
        let Some(claimant) = self.meet(peer, now_ms) else { return };
        if !claimant.is_here() && !claimant.is_silent {
            (claimant.is_silent, claimant.asked_status_at_ms) = (true, Some(now_ms));
        }
    }

    /// The record of a peer, made if there is room for one.
    fn meet(&mut self, peer: P, now_ms: u64) -> Option<&mut Claimant> {
        if self.0.len() >= PEERS_MAX && !self.0.contains_key(&peer) && !self.forget_one() {
            return None;
        }
        Some(self.0.entry(peer).or_insert_with(|| Claimant::new(now_ms)))
    }

    /// A peer is gone. What it did, and when it may be asked again, is kept while there is room.
    pub(super) fn gone(&mut self, peer: &P) {
        if let Some(claimant) = self.0.get_mut(peer) {
            (claimant.status, claimant.is_busy, claimant.is_level) = (None, false, false);
            (claimant.is_silent, claimant.is_to_confirm) = (false, false);
        }
    }

    /// Makes room where somebody who is gone has some.
    fn forget_one(&mut self) -> bool {
        let gone = self.0.iter().filter(|(_, claimant)| !claimant.is_here() && !claimant.is_silent);
        let ends_ms = |claimant: &Claimant| claimant.ignored_until_ms.max(claimant.heard_at_ms);
        let first = gone.min_by_key(|(_, claimant)| ends_ms(claimant)).map(|(peer, _)| *peer);
        first.is_some_and(|first| self.0.remove(&first).is_some())
    }

    pub(super) fn get(&self, peer: &P) -> Option<&Claimant> {
        self.0.get(peer)
    }

    pub(super) fn get_mut(&mut self, peer: &P) -> Option<&mut Claimant> {
        self.0.get_mut(peer)
    }

    /// Peers whose claims are believed, with their heads.
    pub(super) fn believed(
        &self,
        now_ms: u64,
        current_slot: Slot,
    ) -> impl Iterator<Item = (P, &Claimant, Checkpoint)> {
        self.0.iter().filter_map(move |(peer, claimant)| {
            Some((*peer, claimant, claimant.head(now_ms, current_slot)?))
        })
    }

    /// Finds out who is level with us, and forgives those who were right about their heads.
    pub(super) fn compare(&mut self, has: Has<'_>) {
        for claimant in self.0.values_mut() {
            claimant.is_level = claimant.status.is_some_and(|status| has(&status.head.root));
            if claimant.is_level {
                claimant.clear();
            }
        }
    }

    /// The peer to ask: of those that are `wanted` and may be asked now, one that failed least and did least.
    pub(super) fn pick(
        &self,
        bytes_max: usize,
        now_ms: u64,
        wanted: impl Fn(&P, &Claimant) -> bool,
    ) -> Option<P> {
        let ready = self.0.iter().filter(|(_, claimant)| claimant.is_ready(bytes_max, now_ms));
        let wanted = ready.filter(|(peer, claimant)| wanted(peer, claimant));
        let least = |claimant: &Claimant| {
            let Claimant { failures, doubts, empty_ranges, asked_blocks, .. } = claimant;
            (*failures, *doubts, *empty_ranges, *asked_blocks)
        };
        wanted.min_by_key(|(_, claimant)| least(claimant)).map(|(peer, _)| *peer)
    }

    /// Takes what asking costs of the share of a peer that was picked for a request.
    pub(super) fn take(&mut self, peer: &P, request: &BlocksRequest, now_ms: u64) {
        if let Some(claimant) = self.0.get_mut(peer) {
            claimant.pace.take(request.asking_bytes(), now_ms);
            claimant.is_busy = true;
            let blocks = request.blocks_max() as u64;
            claimant.asked_blocks = claimant.asked_blocks.saturating_add(blocks);
        }
    }

    /// Ask this peer's status again as soon as that is polite.
    pub(super) fn refresh(&mut self, peer: &P) {
        if let Some(claimant) = self.0.get_mut(peer) {
            claimant.is_to_confirm = true;
        }
    }

    /// A peer whose status is to be asked for now.
    pub(super) fn next_refresh(&mut self, now_ms: u64) -> Option<P> {
        let due = self.0.iter_mut().find(|(_, claimant)| {
            let since_ms = claimant.asked_status_at_ms.unwrap_or(claimant.status_at_ms);
            if claimant.is_silent {
                return since_ms + STATUS_AGE_MS <= now_ms;
            }
            let is_old = claimant.status_at_ms + STATUS_AGE_MS <= now_ms;
            let is_wanted = is_old || claimant.is_to_confirm;
            claimant.is_here() && is_wanted && since_ms + STATUS_ASK_MS <= now_ms
        });
        let (peer, claimant) = due?;
        claimant.asked_status_at_ms = Some(now_ms);
        Some(*peer)
    }
}
