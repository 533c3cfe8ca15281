//! Votes in and votes out: recording what was verified, and what a validator votes for.

use std::sync::Arc;

use lamella_types::{
    AttestationData, Checkpoint, SingleMessageAggregate, Slot, ValidatorIndex,
    limits::JUSTIFICATION_LOOKBACK_SLOTS, slot::is_justifiable_after,
};

use crate::{
    fork_choice::ForkChoice,
    limits::{PENDING_DATA_MAX, POOL_PROOF_BYTES_MAX},
    pool::{Pool, Recorded},
};

impl ForkChoice {
    /// Keeps a verified signature for the next aggregation. Only aggregators do.
    pub fn record_signature(
        &mut self,
        data: &AttestationData,
        validator_index: ValidatorIndex,
        signature: Arc<[u8]>,
    ) -> Recorded {
        self.signatures.record(data, validator_index, signature)
    }

    /// Puts a verified aggregate into the pending pool, where it counts towards the safe target and, once
    /// accepted, towards the head.
    pub fn record_aggregate(
        &mut self,
        data: &AttestationData,
        proof: Arc<SingleMessageAggregate>,
    ) -> Recorded {
        if self.pending.get(data).is_none() {
            if self.pending.len() >= PENDING_DATA_MAX {
                return Recorded::Full;
            }
            let order = self.take_back();
            self.pending.place(data, order);
        }
        self.unsaved.insert(*data);
        self.pending.add_proof(data, &proof)
    }

    /// Puts an aggregate into the known pool at once; the head follows at the next update. leanSpec's test
    /// harness does this with the votes of a block it built. A node has no use for it: its aggregates pass
    /// through the pending pool.
    pub fn insert_known_aggregate(
        &mut self,
        data: &AttestationData,
        proof: Arc<SingleMessageAggregate>,
    ) -> Recorded {
        let mut aggregates = Pool::default();
        aggregates.place(data, 0);
        let recorded = match self.known.proofs(data).contains(&proof) {
            true => Recorded::Known,
            false => aggregates.add_proof(data, &proof),
        };
        self.merge_into_known(&aggregates);
        recorded
    }

    /// Promotes the pending pool into the known one and recomputes the head. leanSpec
    /// `accept_new_attestations`.
    ///
    /// # Cost
    /// One step for each pending participant and one pass over the tree.
    pub fn accept_new_attestations(&mut self) -> crate::HeadChange {
        let pending = std::mem::take(&mut self.pending);
        self.merge_into_known(&pending);
        self.update_head()
    }

    /// Adds aggregates to the known pool: new data behind all other, in the order it has here.
    pub(crate) fn merge_into_known(&mut self, aggregates: &Pool) {
        if aggregates.is_empty() {
            return;
        }
        if self.known.proof_bytes().saturating_add(aggregates.proof_bytes()) > POOL_PROOF_BYTES_MAX
        {
            self.known.shed_proofs(POOL_PROOF_BYTES_MAX.saturating_sub(aggregates.proof_bytes()));
        }
        let mut deltas = self.tree.no_deltas();
        for added in aggregates.iter() {
            let data = &added.data;
            if self.known.get(data).is_none() {
                let order = self.take_back();
                self.known.place(data, order);
            }
            self.known.count(data, &added.participants);
            for proof in &added.proofs {
                self.known.add_proof(data, proof);
            }
            self.unsaved.insert(*data);
            if data.head.slot > self.latest_finalized.slot
                && let Some(entry) = self.known.get(data)
            {
                let head = self.tree.link(&data.head.root);
                self.votes.cast_and_move(entry, &added.participants, head, &mut deltas);
            }
        }
        self.tree.apply(deltas);
        self.limit_known();
    }

    /// The place behind everything in both pools.
    pub(crate) const fn take_back(&mut self) -> i64 {
        let order = self.next_back;
        self.next_back += 1;
        order
    }

    /// The block to vote for as target: at most three blocks back from the head towards the safe target, then
    /// back to a slot that can be justified. leanSpec `get_attestation_target`.
    ///
    /// The walk ends at the tree's root where leanSpec's would find the finalized block.
    #[must_use]
    pub fn attestation_target(&self) -> Checkpoint {
        let finalized_slot = self.latest_finalized.slot;
        let lower_bound_slot = self.tree.get(self.safe_target).slot.max(finalized_slot);
        let mut node = self.head;
        for _ in 0..JUSTIFICATION_LOOKBACK_SLOTS {
            match self.tree.parent(node) {
                Some(parent) if self.tree.get(node).slot > lower_bound_slot => node = parent,
                _ => break,
            }
        }
        let may_be_target =
            |slot: Slot| slot <= finalized_slot || is_justifiable_after(slot, finalized_slot);
        while !may_be_target(self.tree.get(node).slot)
            && let Some(parent) = self.tree.parent(node)
        {
            node = parent;
        }
        self.tree.get(node).checkpoint()
    }

    /// What to vote for at `slot`; `None` while the head's justified checkpoint is after the target, which every
    /// peer would refuse (an assertion in leanSpec `produce_attestation_data`).
    ///
    /// The source is the head's justified checkpoint, not the store's: that may be on a fork the head is not on.
    #[must_use]
    pub fn attestation_data(&self, slot: Slot) -> Option<AttestationData> {
        let head = self.head_summary().checkpoint();
        let target = self.attestation_target();
        let mut source = self.head_summary().justified;
        // Genesis justifies the zero root, because its own root is not known to its state.
        if source.root.is_zero() {
            source.root = head.root;
        }
        (source.slot <= target.slot).then_some(AttestationData { slot, head, target, source })
    }

    /// Votes that a block may carry: the known pool in insertion order, without entries that have no proof.
    #[must_use]
    pub fn block_candidates(&self) -> Vec<(AttestationData, Vec<Arc<SingleMessageAggregate>>)> {
        let provable = self.known.iter().filter(|entry| !entry.proofs.is_empty());
        provable.map(|entry| (entry.data, entry.proofs.clone())).collect()
    }
}
