//! The votes for each root that is not justified yet, as changes over the state's own packed tally.
//!
//! While finality stalls the tally grows to thousands of roots of 512 bytes each, and a block touches a handful of
//! them. So the pre-state's tally stays as it is (binary search finds a root in it) and changed runs lie over it.
//! If none is left at the end, the post-state gets the very same allocation.

use std::collections::{BTreeMap, BTreeSet};

use lamella_types::{
    BlockHashes, JustificationValidators, Justifications, RejectionReason, Root, Slot,
    bits::count_ones, limits::HISTORICAL_ROOTS_LIMIT,
};

/// A tally under change.
pub(crate) struct Tally {
    /// Roots strictly ascending, one run of `validator_count` bits each.
    base: Justifications,
    validator_count: usize,
    /// Packed votes that replace those of `base`, or `None` for a root that is gone.
    changes: BTreeMap<Root, Option<Vec<u8>>>,
}

impl Tally {
    /// The tally of a state with a registry of `validator_count`.
    pub(crate) fn new(
        justifications: &Justifications,
        validator_count: usize,
    ) -> Result<Self, RejectionReason> {
        let roots = justifications.roots();
        if roots.iter().any(Root::is_zero) {
            return Err(RejectionReason::ZeroHashJustificationRoot);
        }
        if validator_count == 0 {
            return Err(RejectionReason::EmptyValidatorRegistry);
        }
        if roots.len().checked_mul(validator_count) != Some(justifications.votes().len()) {
            return Err(RejectionReason::JustificationVotesLengthMismatch);
        }
        // Transitions write the roots in order, so only a state made by hand is out of it.
        let base = if roots.is_sorted_by(|left, right| left < right) {
            justifications.clone()
        } else {
            in_order(justifications, validator_count)
        };
        Ok(Self { base, validator_count, changes: BTreeMap::new() })
    }

    /// Adds `voters` (packed, within the registry) to the votes for `root` and returns how many there are now.
    pub(crate) fn vote(&mut self, root: Root, voters: &[u8]) -> usize {
        let before = self.votes_for(&root);
        let mut votes = before.clone().unwrap_or_else(|| vec![0; self.validator_count.div_ceil(8)]);
        for (byte, more) in votes.iter_mut().zip(voters) {
            *byte |= more;
        }
        let count = count_ones(&votes);
        if before.as_ref() != Some(&votes) {
            self.changes.insert(root, Some(votes));
        }
        count
    }

    /// Forgets `root`: it is justified.
    pub(crate) fn remove(&mut self, root: Root) {
        if self.base.roots().binary_search(&root).is_ok() {
            self.changes.insert(root, None);
        } else {
            self.changes.remove(&root);
        }
    }

    /// Forgets every root at or below the new finalized slot.
    ///
    /// # Errors
    /// `UNKNOWN_JUSTIFICATION_ROOT` for a root that `history` does not hold from `first_slot` on.
    ///
    /// # Cost
    /// One read for each slot from the end of `history` down to the oldest tracked root, at most to `first_slot`.
    pub(crate) fn prune(
        &mut self,
        history: &BlockHashes,
        first_slot: Slot,
        finalized_slot: Slot,
    ) -> Result<(), RejectionReason> {
        let mut unseen: BTreeSet<Root> = self.roots();
        let mut finalized = Vec::new();
        // Backwards, so that of a root that stands twice (in a state made by hand) the later slot counts.
        for slot in (first_slot..history.len() as Slot).rev() {
            if unseen.is_empty() {
                break;
            }
            let root = history.get(slot).unwrap_or_default();
            if unseen.remove(&root) && slot <= finalized_slot {
                finalized.push(root);
            }
        }
        if !unseen.is_empty() {
            return Err(RejectionReason::UnknownJustificationRoot);
        }
        for root in finalized {
            self.remove(root);
        }
        Ok(())
    }

    /// The tally of the post-state: the pre-state's own allocation if no vote changed it.
    ///
    /// # Errors
    /// `HISTORY_LIMIT_REACHED` for more roots than a history has slots, possible only in a state made by hand.
    pub(crate) fn into_justifications(self) -> Result<Justifications, RejectionReason> {
        if self.changes.is_empty() {
            return Ok(self.base);
        }
        let roots = self.roots();
        if roots.len() > HISTORICAL_ROOTS_LIMIT {
            return Err(RejectionReason::HistoryLimitReached);
        }
        let mut votes = JustificationValidators::default();
        for root in &roots {
            let run = self.votes_for(root).unwrap_or_default();
            votes.extend_packed(&run, self.validator_count);
        }
        Ok(Justifications::new(roots.into_iter().collect(), votes))
    }

    fn roots(&self) -> BTreeSet<Root> {
        let kept = self.base.roots().iter().filter(|root| !self.changes.contains_key(root));
        let changed = self.changes.iter().filter(|(_, votes)| votes.is_some());
        kept.chain(changed.map(|(root, _)| root)).copied().collect()
    }

    fn votes_for(&self, root: &Root) -> Option<Vec<u8>> {
        if let Some(change) = self.changes.get(root) {
            return change.clone();
        }
        let index = self.base.roots().binary_search(root).ok()?;
        self.base.votes_of(index, self.validator_count)
    }
}

/// The same tally with ascending roots. Of a root that stands twice the later votes count, as in a Python `dict`.
fn in_order(justifications: &Justifications, validator_count: usize) -> Justifications {
    let runs: BTreeMap<Root, Vec<u8>> = justifications
        .roots()
        .iter()
        .enumerate()
        .filter_map(|(index, root)| Some((*root, justifications.votes_of(index, validator_count)?)))
        .collect();
    let mut votes = JustificationValidators::default();
    for run in runs.values() {
        votes.extend_packed(run, validator_count);
    }
    Justifications::new(runs.into_keys().collect(), votes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_root_that_stands_twice_in_the_history_the_later_slot_counts() {
        let [once, twice] = [1, 2].map(|byte| Root::new([byte; 32]));
        let mut history = BlockHashes::default();
        for root in [once, twice, Root::ZERO, twice] {
            history.push(root).unwrap();
        }
        let mut tally = Tally::new(&Justifications::default(), 3).unwrap();
        assert_eq!((tally.vote(once, &[1]), tally.vote(twice, &[1])), (1, 1));
        tally.prune(&history, 0, 2).unwrap();
        assert_eq!(tally.roots(), BTreeSet::from([twice]));
    }
}
