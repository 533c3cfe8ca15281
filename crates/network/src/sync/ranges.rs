//! A session of range sync: the slots from somewhere up to the heads that peers claim.
//!
//! The slots that are asked for or wait for import form one contiguous window of [`Slice`]s. They are asked for in any
//! order and leave at the front, in slot order, so that what connects to the chain is imported and what does not is
//! noticed before anything is built on it.
//!
//! Peers may be on different forks. A front that does not connect makes the session step back, twice as far each time,
//! and follow the one peer that delivered it (the [`Lead`]) until it is past the slots where they parted.

use std::{collections::VecDeque, fmt::Debug};

use lamella_types::Slot;

use super::{held::Held, limits::*, message::Has};
use crate::requests::RequestId;

/// Where a slice stands.
#[derive(Debug)]
pub(super) enum Stage<P> {
    /// To be asked for.
    Wanted,
    /// Asked for.
    Asked(RequestId),
    /// Answered.
    Here {
        /// By whom.
        peer: P,
        /// The blocks that are not handed over yet.
        blocks: VecDeque<Held<P>>,
    },
}

/// Slots asked for in one request.
#[derive(Debug)]
pub(super) struct Slice<P> {
    pub(super) start: Slot,
    pub(super) count: u64,
    pub(super) stage: Stage<P>,
}

impl<P> Slice<P> {
    pub(super) const fn last_slot(&self) -> Slot {
        self.start.saturating_add(self.count - 1)
    }
}

/// The peer whose chain a session follows, after peers turned out to differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lead<P> {
    pub(super) peer: P,
    /// Where the session began to follow it.
    from: Slot,
    /// The slot up to which it is followed.
    until: Slot,
    /// Whether its chain has met ours since.
    is_met: bool,
}

/// A session.
#[derive(Debug)]
pub(super) struct Ranges<P> {
    /// First slot after the window.
    pub(super) next_slot: Slot,
    pub(super) slices: VecDeque<Slice<P>>,
    lead: Option<Lead<P>>,
    step_slots: u64,
    forks: u32,
}

/// The front of the window does not connect to our chain.
#[derive(Debug)]
pub(super) struct Mismatch<P> {
    /// Who delivered it.
    pub(super) peer: P,
    /// Where its range began.
    pub(super) start: Slot,
}

/// What follows from a [`Mismatch`]. Who caused it is not clear: the deliverer may be on a fork, or whoever had the slots
/// before left blocks out.
#[derive(Debug)]
pub(super) enum Retreat {
    /// The session goes on further down.
    Further,
    /// There is nothing further down: that peer's chain is not ours.
    Foreign,
    /// It met our chain, and now does not go on from what it said before.
    Broken,
}

impl<P: Copy + Ord + Debug> Ranges<P> {
    pub(super) const fn new(next_slot: Slot) -> Self {
        Self {
            next_slot,
            slices: VecDeque::new(),
            lead: None,
            step_slots: STEP_BACK_SLOTS,
            forks: 0,
        }
    }

    /// A session that follows one peer.
    pub(super) fn following(peer: P, next_slot: Slot) -> Self {
        Self {
            lead: Some(Lead { peer, from: next_slot, until: Slot::MAX, is_met: false }),
            ..Self::new(next_slot)
        }
    }

    /// Where the window begins.
    pub(super) fn front_slot(&self) -> Slot {
        self.slices.front().map_or(self.next_slot, |slice| slice.start)
    }

    /// The peer to follow, if only one may be asked.
    pub(super) fn lead(&self) -> Option<P> {
        let lead = self.lead.as_ref().filter(|lead| self.front_slot() <= lead.until);
        lead.map(|lead| lead.peer)
    }

    /// Range requests in flight.
    pub(super) fn in_flight(&self) -> usize {
        let asked = self.slices.iter().filter(|slice| matches!(slice.stage, Stage::Asked(_)));
        asked.count()
    }

    /// Blocks that wait.
    pub(super) fn held(&self) -> impl Iterator<Item = &Held<P>> {
        self.slices.iter().flat_map(|slice| {
            match &slice.stage {
                Stage::Here { blocks, .. } => Some(blocks.iter()),
                Stage::Wanted | Stage::Asked(_) => None,
            }
            .into_iter()
            .flatten()
        })
    }

    /// The first slice to ask for again; the window's end when there is none and it may grow.
    pub(super) fn next_wanted(&self) -> Option<(usize, Slot)> {
        let wanted = |slice: &Slice<P>| matches!(slice.stage, Stage::Wanted);
        if let Some(index) = self.slices.iter().position(wanted) {
            return Some((index, self.slices[index].start));
        }
        let len = self.slices.len();
        (len < RANGES_MAX).then_some((len, self.next_slot))
    }

    /// Asks for what [`Self::next_wanted`] named, up to slot `up_to`; the slots that the request is for.
    pub(super) fn ask(&mut self, index: usize, up_to: Slot, request: RequestId) -> (Slot, u64) {
        if index == self.slices.len() {
            let start = self.next_slot;
            let count = RANGE_SLOTS.min(up_to.saturating_sub(start).saturating_add(1));
            self.next_slot = start.saturating_add(count);
            self.slices.push_back(Slice { start, count, stage: Stage::Asked(request) });
            return (start, count);
        }
        let slice = &mut self.slices[index];
        let (start, last) = (slice.start, slice.last_slot());
        if up_to < last {
            // This peer has, or answers in time, the first part only.
            slice.count = up_to.saturating_sub(start).saturating_add(1);
            let rest =
                Slice { start: up_to.saturating_add(1), count: last - up_to, stage: Stage::Wanted };
            self.slices.insert(index + 1, rest);
        }
        let slice = &mut self.slices[index];
        slice.stage = Stage::Asked(request);
        (slice.start, slice.count)
    }

    /// The slice that a request was for, unless the session has moved on.
    pub(super) fn asked(&mut self, request: RequestId) -> Option<&mut Slice<P>> {
        self.slices
            .iter_mut()
            .find(|slice| matches!(slice.stage, Stage::Asked(asked) if asked == request))
    }

    /// Drops what is done at the window's front.
    pub(super) fn drop_done(&mut self) {
        let is_done = |slice: &mut Slice<P>| matches!(&slice.stage, Stage::Here { blocks, .. } if blocks.is_empty());
        while self.slices.pop_front_if(is_done).is_some() {}
    }

    /// Takes what may be imported next: a run of blocks, each the child of the one before, the first of them the
    /// child of a block that is here.
    pub(super) fn take_run(
        &mut self,
        blocks_max: usize,
        has: Has<'_>,
    ) -> Result<Vec<Held<P>>, Mismatch<P>> {
        let mut run: Vec<Held<P>> = Vec::new();
        while let Some(Slice { start, stage: Stage::Here { peer, blocks }, .. }) =
            self.slices.front_mut()
        {
            let (peer, start) = (*peer, *start);
            let Some(first) = blocks.front() else {
                self.slices.pop_front();
                continue;
            };
            let connects = match run.last() {
                Some(last) => last.root == first.parent(),
                None => has(&first.parent()),
            };
            match (connects, run.is_empty()) {
                (true, _) if run.len() < blocks_max => run.extend(blocks.pop_front()),
                (false, true) => return Err(Mismatch { peer, start }),
                _ => break,
            }
        }
        if !run.is_empty() {
            self.step_slots = STEP_BACK_SLOTS;
            if let Some(lead) = &mut self.lead {
                lead.is_met = true;
            }
        }
        Ok(run)
    }

    /// Steps back from a front that does not connect, to follow who delivered it.
    pub(super) fn step_back(&mut self, mismatch: &Mismatch<P>, floor: Slot) -> Retreat {
        let lead = self.lead.filter(|lead| lead.peer == mismatch.peer);
        if lead.is_some_and(|lead| lead.is_met) {
            return Retreat::Broken;
        }
        // From where all was asked of this peer.
        let from = lead.map_or(mismatch.start, |lead| lead.from);
        if from <= floor {
            return Retreat::Foreign;
        }
        self.forks += 1;
        let until = if self.forks < FORKS_MAX { mismatch.start } else { Slot::MAX };
        let until = self.lead.map_or(until, |lead| until.max(lead.until));
        self.next_slot = from.saturating_sub(self.step_slots).max(floor);
        self.step_slots = self.step_slots.saturating_mul(2);
        self.slices.clear();
        let from = self.next_slot;
        self.lead = Some(Lead { peer: mismatch.peer, from, until, is_met: false });
        Retreat::Further
    }
}

/// What an honest answer to a range keeps to, whatever the chain.
pub(super) fn check_range<P>(
    blocks: &VecDeque<Held<P>>,
    start: Slot,
    count: u64,
) -> Result<(), String> {
    if blocks.len() as u64 > count {
        return Err(format!("{} blocks for {count} slots", blocks.len()));
    }
    let last = start.saturating_add(count - 1);
    if let Some(held) = blocks.iter().find(|held| !(start..=last).contains(&held.slot())) {
        let slot = held.slot();
        return Err(format!("a block of slot {slot} in an answer for slots {start} to {last}"));
    }
    for (parent, child) in blocks.iter().zip(blocks.iter().skip(1)) {
        let (child_slot, parent_slot) = (child.slot(), parent.slot());
        if child_slot <= parent_slot {
            return Err(format!("slot {child_slot} after slot {parent_slot}"));
        }
        if child.parent() != parent.root {
            return Err(format!(
                "the block of slot {child_slot} is no child of slot {parent_slot}'s"
            ));
        }
    }
    Ok(())
}
