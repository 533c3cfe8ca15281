//! What peers send is checked here, in leanSpec's order: the first failing check names the reason.

use std::collections::HashSet;

use lamella_types::{
    AggregationBits, AttestationData, Block, Checkpoint, RejectionReason, Root, ValidatorIndex,
    limits::{GOSSIP_DISPARITY_INTERVALS, INTERVALS_PER_SLOT},
};

use crate::{fork_choice::ForkChoice, tree::BlockSummary};

/// Whether a block needs importing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockStatus {
    /// It is in the tree.
    Known,
    /// It is not, and its parent is.
    New,
}

impl ForkChoice {
    /// The checks of leanSpec `on_block` before signatures and transition.
    ///
    /// # Errors
    /// `UNKNOWN_PARENT_BLOCK`, `DUPLICATE_ATTESTATION_DATA`.
    pub fn check_block(&self, root: &Root, block: &Block) -> Result<BlockStatus, RejectionReason> {
        if self.contains(root) {
            return Ok(BlockStatus::Known);
        }
        if !self.contains(&block.parent_root) {
            return Err(RejectionReason::UnknownParentBlock);
        }
        Self::check_votes_distinct(block)?;
        Ok(BlockStatus::New)
    }

    /// The part of [`ForkChoice::check_block`] that needs no tree: for a block whose parent is not in it yet, but
    /// goes before it into the same transaction.
    ///
    /// # Errors
    /// `DUPLICATE_ATTESTATION_DATA`.
    pub fn check_votes_distinct(block: &Block) -> Result<(), RejectionReason> {
        let mut distinct = HashSet::new();
        if block.attestations().iter().all(|attestation| distinct.insert(attestation.data)) {
            Ok(())
        } else {
            Err(RejectionReason::DuplicateAttestationData)
        }
    }

    /// Whether a vote names known blocks on one chain, in order, and not from the future. leanSpec
    /// `validate_attestation`.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn validate_attestation(&self, data: &AttestationData) -> Result<(), RejectionReason> {
        use RejectionReason as Reason;
        let AttestationData { slot, head, target, source } = data;
        let source_node = self.tree.find(&source.root).ok_or(Reason::UnknownSourceBlock)?;
        let target_node = self.tree.find(&target.root).ok_or(Reason::UnknownTargetBlock)?;
        let head_node = self.tree.find(&head.root).ok_or(Reason::UnknownHeadBlock)?;
        if source.slot > target.slot {
            return Err(Reason::SourceAfterTarget);
        }
        if head.slot < target.slot {
            return Err(Reason::HeadOlderThanTarget);
        }
        let slot_differs =
            |node, checkpoint: &Checkpoint| self.tree.get(node).slot != checkpoint.slot;
        if slot_differs(source_node, source) {
            return Err(Reason::SourceSlotMismatch);
        }
        if slot_differs(target_node, target) {
            return Err(Reason::TargetSlotMismatch);
        }
        if slot_differs(head_node, head) {
            return Err(Reason::HeadSlotMismatch);
        }
        if !self.tree.is_ancestor(source_node, target_node) {
            return Err(Reason::SourceNotAncestorOfTarget);
        }
        if !self.tree.is_ancestor(target_node, head_node) {
            return Err(Reason::TargetNotAncestorOfHead);
        }
        if *slot < head.slot {
            return Err(Reason::AttestationSlotBeforeHead);
        }
        // In slots, not intervals: five times a slot from the wire may not fit.
        if *slot > self.time.saturating_add(GOSSIP_DISPARITY_INTERVALS) / INTERVALS_PER_SLOT {
            return Err(Reason::AttestationTooFarInFuture);
        }
        Ok(())
    }

    /// The checks of a single vote before its signature. leanSpec `on_gossip_attestation`.
    ///
    /// # Errors
    /// Those of [`ForkChoice::validate_attestation`], then `VALIDATOR_NOT_IN_STATE`.
    pub fn check_attestation(
        &self,
        data: &AttestationData,
        validator_index: ValidatorIndex,
    ) -> Result<(), RejectionReason> {
        self.validate_attestation(data)?;
        self.check_in_registry(data, validator_index)
    }

    /// The checks of an aggregate before its proof. leanSpec `on_gossip_aggregated_attestation`.
    ///
    /// # Errors
    /// Those of [`ForkChoice::validate_attestation`], then `EMPTY_AGGREGATION_BITS`, `VALIDATOR_NOT_IN_STATE`.
    pub fn check_aggregate(
        &self,
        data: &AttestationData,
        participants: &AggregationBits,
    ) -> Result<(), RejectionReason> {
        self.validate_attestation(data)?;
        let last = participants.ones().last().ok_or(RejectionReason::EmptyAggregationBits)?;
        self.check_in_registry(data, last as u64)
    }

    /// Votes are counted against the registry of their target's post-state.
    fn check_in_registry(
        &self,
        data: &AttestationData,
        validator_index: ValidatorIndex,
    ) -> Result<(), RejectionReason> {
        let registered = |target: &BlockSummary| validator_index < target.validator_count;
        if self.get(&data.target.root).is_some_and(registered) {
            Ok(())
        } else {
            Err(RejectionReason::ValidatorNotInState)
        }
    }
}
