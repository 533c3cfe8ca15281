//! The steps of a range session: when it begins and ends, what it asks for and what it hands over.

use std::fmt::Debug;

use lamella_types::{Checkpoint, Slot};

use super::{
    Action, Asked, Has, Report, Syncer,
    claims::Claimant,
    held::Held,
    limits::*,
    orphans::Why,
    ranges::{Mismatch, Ranges, Retreat, Stage},
};
use crate::{peers::Offence, requests::BlocksRequest};

impl<P: Copy + Ord + Debug> Syncer<P> {
    /// Begins, ends or moves the session as claims and chain demand; looks for heads that are close.
    pub(super) fn step_session(&mut self, now_ms: u64) {
        if let Some(session) = &mut self.session {
            session.drop_done();
        }
        let is_over = |session: &Ranges<P>| self.is_over(session, now_ms);
        if self.session.as_ref().is_some_and(is_over) {
            self.session = None;
        }
        let believed = self.claims.believed(now_ms, self.view.current_slot);
        let unknown: Vec<(P, Checkpoint)> = believed
            .filter(|(_, claimant, head)| {
                head.slot > self.view.finalized.slot && !claimant.is_level
            })
            .map(|(peer, _, head)| (peer, head))
            .collect();
        let (far, close): (Vec<_>, Vec<_>) =
            unknown.into_iter().partition(|(_, head)| self.is_behind(head));
        if self.batch.is_none() && self.begins(&far) {
            self.session = Some(Ranges::new(self.view.head.slot.saturating_add(1)));
        }
        self.follow_deep();
        for (peer, head) in close {
            let followed = self.session.as_ref().and_then(Ranges::lead);
            let waits = self.deep.map(|deep| deep.peer);
            if followed == Some(peer) || waits == Some(peer) {
                continue;
            }
            let mut importing = self.batch.iter().flat_map(|batch| &batch.blocks);
            let is_here = importing.any(|held| held.root == head.root);
            let is_settled =
                self.orphans.expects(&head.root) || self.orphans.has_declined(&head.root);
            if !is_here && !is_settled {
                self.orphans.look_for(head.root, peer, head.slot, 0, Why::Claim);
            }
        }
    }

    /// Follows who has a chain that is too deep for single blocks, unless the session follows someone else already.
    fn follow_deep(&mut self) {
        let is_free = self.session.as_ref().is_none_or(|session| session.lead().is_none());
        let Some(deep) = self.deep.take_if(|_| is_free && self.batch.is_none()) else { return };
        let start = deep.slot.saturating_sub(STEP_BACK_SLOTS).max(self.floor());
        self.session = Some(Ranges::following(deep.peer, start));
    }

    /// Whether a session is to begin after our head, in place of the present one if there is one.
    fn begins(&mut self, far: &[(P, Checkpoint)]) -> bool {
        let Some(session) = &self.session else { return !far.is_empty() };
        if session.lead().is_some() {
            return false;
        }
        let front = session.front_slot();
        let mut begins = session.slices.is_empty() && front <= self.view.head.slot;
        // Chasing what one peer claims must not pass by what others have.
        for (peer, _) in far.iter().filter(|(_, head)| head.slot < front) {
            if let Some(claimant) = self.claims.get_mut(peer) {
                begins |= !claimant.was_passed && !claimant.is_doubted();
                claimant.was_passed = true;
            }
        }
        begins
    }

    /// Whether the window's front is nowhere to be had, and nothing is being imported that may change that.
    fn is_over(&self, session: &Ranges<P>, now_ms: u64) -> bool {
        let front = session.next_wanted().filter(|(index, _)| *index == 0 && self.batch.is_none());
        front.is_some_and(|(_, start)| !self.has_range(session.lead(), start, now_ms))
    }

    fn has_range(&self, lead: Option<P>, start: Slot, now_ms: u64) -> bool {
        self.having(lead, start, now_ms).next().is_some()
    }

    /// Who claims to have a range that begins here: of all, or only the lead.
    fn having(
        &self,
        lead: Option<P>,
        start: Slot,
        now_ms: u64,
    ) -> impl Iterator<Item = (&Claimant, Slot)> {
        let current_slot = self.view.current_slot;
        let believed = self.claims.believed(now_ms, current_slot);
        believed
            .filter(move |(peer, claimant, _)| {
                lead.is_none_or(|lead| lead == *peer)
                    && claimant.has_range(start, now_ms, current_slot)
            })
            .map(|(_, claimant, head)| (claimant, head.slot))
    }

    /// The next range to ask for, and whom.
    pub(super) fn next_range(&mut self, now_ms: u64) -> Option<Action<P>> {
        let session = self.session.as_ref()?;
        if session.in_flight() >= RANGES_IN_FLIGHT_MAX || !self.fits(session) {
            return None;
        }
        let (index, start) = session.next_wanted()?;
        let (lead, current_slot) = (session.lead(), self.view.current_slot);
        let picked = self.claims.pick(RANGE_BYTES_MAX, now_ms, |peer, claimant| {
            lead.is_none_or(|lead| lead == *peer)
                && claimant.has_range(start, now_ms, current_slot)
                && !claimant.lacks(start, now_ms)
        });
        let Some(peer) = picked else {
            self.notice_pruned(start, now_ms);
            return None;
        };
        let claimant = self.claims.get(&peer)?;
        let range_slots = claimant.range_slots;
        let last = claimant.head(now_ms, current_slot)?.slot.min(start + range_slots - 1);
        let request = self.new_request(peer, Asked::Range, now_ms);
        let (start_slot, count) = self.session.as_mut()?.ask(index, last, request);
        let blocks = BlocksRequest::Range { start_slot, count };
        self.claims.take(&peer, &blocks, now_ms);
        Some(Action::Request { request, peer, blocks })
    }

    /// Whether one more answer fits into memory, whatever is in flight. All but the front leave room for the front,
    /// so that a full buffer can always be emptied.
    fn fits(&self, session: &Ranges<P>) -> bool {
        let is_front = session.next_wanted().is_some_and(|(index, _)| index == 0);
        let answers = session.in_flight() + if is_front { 1 } else { 2 };
        let held: usize = session.held().map(|held| held.bytes).sum();
        held + self.batch_bytes() + answers * RANGE_BYTES_MAX <= RANGE_BUFFER_BYTES_MAX
    }

    /// Bytes at the importer.
    pub(super) fn batch_bytes(&self) -> usize {
        self.batch.iter().flat_map(|batch| &batch.blocks).map(|held| held.bytes).sum()
    }

    /// Reports a range that everyone who claims to have it says is pruned. A lead that pruned it leads no more.
    fn notice_pruned(&mut self, start: Slot, now_ms: u64) {
        let lead = self.session.as_ref().and_then(Ranges::lead);
        let having: Vec<(bool, Slot)> = self
            .having(lead, start, now_ms)
            .map(|(claimant, slot)| (claimant.lacks(start, now_ms), slot))
            .collect();
        let Some(target_slot) = having.iter().map(|(_, slot)| *slot).max() else { return };
        if !having.iter().all(|(lacks, _)| *lacks) {
            return;
        }
        if let Some(lead) = lead {
            // Without what it pruned, the rest of its chain cannot be connected either.
            self.session = None;
            if let Some(claimant) = self.claims.get_mut(&lead) {
                claimant.said_unavailable(target_slot, now_ms);
            }
            return;
        }
        if self.reported_ms.is_none_or(|at_ms| at_ms + REPORT_MS <= now_ms) {
            self.reported_ms = Some(now_ms);
            let said = self.said_unavailable.clone();
            let report = Report::Pruned { start_slot: start, target_slot, said };
            self.say(Action::Report(report));
        }
    }

    /// The run at the window's front; steps back from one that does not connect.
    pub(super) fn take_range_run(&mut self, now_ms: u64, has: Has<'_>) -> Vec<Held<P>> {
        let Some(session) = &mut self.session else { return Vec::new() };
        match session.take_run(self.batch_blocks_max, has) {
            Ok(run) => run,
            Err(mismatch) => {
                self.mismatched(&mismatch, now_ms);
                Vec::new()
            }
        }
    }

    fn mismatched(&mut self, mismatch: &Mismatch<P>, now_ms: u64) {
        let floor = self.floor();
        let Some(session) = &mut self.session else { return };
        match session.step_back(mismatch, floor) {
            Retreat::Further => {}
            Retreat::Foreign => {
                self.session = None;
                let Some(claimant) = self.claims.get_mut(&mismatch.peer) else { return };
                // Who was cut off may build on a fork in good faith, until it hears what we finalized meanwhile.
                if claimant.finalized_slot() < self.view.finalized.slot {
                    claimant.ignore(now_ms);
                    return;
                }
                let why = "a chain without our finalized block".to_owned();
                self.distrust(mismatch.peer, Offence::Lied, why, now_ms);
            }
            Retreat::Broken => {
                self.session = None;
                self.doubt(mismatch.peer, "ranges that do not fit together", now_ms);
            }
        }
    }

    /// Puts the slice of a failed request back.
    pub(super) fn want_again(&mut self, request: u64) -> Option<Slot> {
        let slice = self.session.as_mut()?.asked(request)?;
        slice.stage = Stage::Wanted;
        Some(slice.start)
    }

    /// Ignores a peer's claims from now on.
    pub(super) fn distrust(&mut self, peer: P, offence: Offence, why: String, now_ms: u64) {
        if let Some(claimant) = self.claims.get_mut(&peer) {
            claimant.ignore(now_ms);
        }
        self.say(Action::Penalise { peer, offence, why });
    }

    /// Counts one more claim that was not shown.
    pub(super) fn doubt(&mut self, peer: P, why: &str, now_ms: u64) {
        self.claims.refresh(&peer);
        let Some(claimant) = self.claims.get_mut(&peer) else { return };
        if claimant.doubt(now_ms) {
            let why = format!("{DOUBTS_MAX} times: {why}");
            self.say(Action::Penalise { peer, offence: Offence::Lied, why });
        }
    }
}
