//! Block building: leanSpec `block_production.py` `build_block`.
//!
//! The hard idea: a vote may only build on a justified source, and packing votes is what justifies sources. So votes
//! are chosen in rounds, each on the justified checkpoint that the last one reached, until a round reaches no other.
//!
//! Where this differs from leanSpec:
//! - A candidate without voters is skipped; leanSpec lets it use up one of the eight places.
//! - [`BlockRequest::participants_max`] bounds the signers of the whole block: proof schemes that do not compress
//!   have a block proof of bounded size. A candidate gives way to smaller ones behind it.
//! - Proofs of one vote are combined when the vote is chosen and not at the end, and where that fails the largest
//!   stands alone. So every trial block is the block that would be published.

use std::{collections::BTreeSet, sync::Arc};

use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, RejectionReason,
    Root, SingleMessageAggregate, Slot, State, ValidatorIndex,
    coverage::select_proofs_for_coverage, limits::MAX_ATTESTATIONS_DATA,
};

use crate::transition::{process_block, process_slots};

/// A vote that a block may carry, with the proofs known for it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The vote. Of two candidates with the same vote the first that is chosen counts.
    pub data: AttestationData,
    /// Proofs of who signed it.
    pub proofs: Vec<Arc<SingleMessageAggregate>>,
}

/// Which block to build.
#[derive(Clone, Copy)]
pub struct BlockRequest<'a> {
    /// The block's slot, after the parent state's.
    pub slot: Slot,
    /// The validator scheduled for the slot.
    pub proposer_index: ValidatorIndex,
    /// Root of the parent block.
    pub parent_root: Root,
    /// Whether a block is known here; votes for other heads are left out.
    pub known_block: &'a dyn Fn(&Root) -> bool,
    /// Most signers over all attestations of the block together.
    pub participants_max: usize,
}

/// A block with what its producer needs to prove and to publish it.
#[derive(Debug, Clone)]
pub struct BuiltBlock {
    /// The block, with its state root.
    pub block: Block,
    /// Its post-state.
    pub post_state: State,
    /// One proof for each attestation of the body, in the same order and for the same voters.
    pub proofs: Vec<Arc<SingleMessageAggregate>>,
}

/// Folds several proofs of one vote into one over the union of their voters; `None` if that cannot be done.
pub type Combine<'a> = dyn FnMut(&AttestationData, &[Arc<SingleMessageAggregate>]) -> Option<Arc<SingleMessageAggregate>>
    + 'a;

/// Builds a valid block on `parent_state`: leanSpec `build_block`.
///
/// # Errors
/// What [`process_slots`] and [`process_block`] refuse: a slot that is not in the future, another validator's slot,
/// another parent, a candidate whose voters are not in the registry.
///
/// # Cost
/// A transition for each round. A round either moves justification or is the last, and each but the last chooses at
/// least one of at most eight votes, so there are at most nine.
pub fn build_block(
    parent_state: &State,
    request: &BlockRequest<'_>,
    candidates: &[Candidate],
    combine: &mut Combine<'_>,
) -> Result<BuiltBlock, RejectionReason> {
    let advanced_state = process_slots(parent_state, request.slot)?;
    let mut by_target_slot: Vec<&Candidate> = candidates.iter().collect();
    by_target_slot.sort_by_key(|candidate| candidate.data.target.slot);

    let mut selection = Selection::default();
    let mut block = selection.block(request)?;
    // What a vote is checked against: the post-state of the block as it stands, at first without votes. Its history
    // ends with the parent, its window covers every slot before the block's, and genesis is justified in it.
    let mut post_state = process_block(&advanced_state, &block)?;
    while selection.choose(&post_state, request, &by_target_slot, combine)? {
        block = selection.block(request)?;
        let next = process_block(&advanced_state, &block)?;
        let moved = next.latest_justified != post_state.latest_justified
            || next.latest_finalized.slot != post_state.latest_finalized.slot;
        post_state = next;
        if !moved {
            break;
        }
    }
    block.state_root = post_state.root();
    let proofs = selection.chosen.into_iter().map(|(_, proof)| proof).collect();
    Ok(BuiltBlock { block, post_state, proofs })
}

/// The votes chosen so far.
#[derive(Default)]
struct Selection {
    chosen: Vec<(AttestationData, Arc<SingleMessageAggregate>)>,
    chosen_data: BTreeSet<AttestationData>,
    participants: usize,
}

impl Selection {
    /// One round over the candidates. Whether it chose any.
    fn choose(
        &mut self,
        post_state: &State,
        request: &BlockRequest<'_>,
        candidates: &[&Candidate],
        combine: &mut Combine<'_>,
    ) -> Result<bool, RejectionReason> {
        let chosen_before = self.chosen.len();
        for Candidate { data, proofs } in candidates {
            if self.chosen.len() >= MAX_ATTESTATIONS_DATA {
                break;
            }
            if self.chosen_data.contains(data) || !is_eligible(post_state, request, data)? {
                continue;
            }
            let room = request.participants_max.saturating_sub(self.participants);
            if let Some(proof) = one_proof(data, proofs, room, combine) {
                self.participants += proof.participants.count_ones();
                self.chosen_data.insert(*data);
                self.chosen.push((*data, proof));
            }
        }
        Ok(self.chosen.len() > chosen_before)
    }

    /// The block of what is chosen, without its state root.
    fn block(&self, request: &BlockRequest<'_>) -> Result<Block, RejectionReason> {
        let attestation = |(data, proof): &(AttestationData, Arc<SingleMessageAggregate>)| {
            AggregatedAttestation { aggregation_bits: proof.participants.clone(), data: *data }
        };
        let body = BlockBody::new(self.chosen.iter().map(attestation).collect());
        Ok(Block {
            slot: request.slot,
            proposer_index: request.proposer_index,
            parent_root: request.parent_root,
            state_root: Root::ZERO,
            body: body.ok_or(RejectionReason::TooManyAttestationData)?,
        })
    }
}

/// Whether a vote adds to the block whose post-state is given.
fn is_eligible(
    post_state: &State,
    request: &BlockRequest<'_>,
    data: &AttestationData,
) -> Result<bool, RejectionReason> {
    let AttestationData { source, target, head, .. } = data;
    let finalized_slot = post_state.latest_finalized.slot;
    let justified_slots = &post_state.justified_slots;
    if !(request.known_block)(&head.root)
        || source.slot != post_state.latest_justified.slot
        || !data.lies_on_chain(&post_state.historical_block_hashes)
        || !justified_slots.is_slot_justified(finalized_slot, source.slot)?
    {
        return Ok(false);
    }
    // A vote from genesis for genesis justifies nothing, but fork choice counts its head.
    if source.slot == 0 && target.slot == 0 {
        return Ok(true);
    }
    Ok(!justified_slots.is_slot_justified(finalized_slot, target.slot)?)
}

/// One proof for a vote, covering as many voters as `room` allows; `None` if there is none.
fn one_proof(
    data: &AttestationData,
    proofs: &[Arc<SingleMessageAggregate>],
    room: usize,
    combine: &mut Combine<'_>,
) -> Option<Arc<SingleMessageAggregate>> {
    let (selected, _) = select_proofs_for_coverage(&[proofs]);
    let mut fitting: Vec<Arc<SingleMessageAggregate>> = Vec::new();
    let mut covered = AggregationBits::default();
    for proof in selected {
        let union = union(&covered, &proof.participants);
        if union.count_ones() <= room {
            covered = union;
            fitting.push(proof);
        }
    }
    match fitting.as_slice() {
        [] => None,
        [only] => Some(Arc::clone(only)),
        [largest, ..] => combine(data, &fitting)
            .filter(|combined| combined.participants.count_ones() <= room)
            .or_else(|| Some(Arc::clone(largest))),
    }
}

fn union(left: &AggregationBits, right: &AggregationBits) -> AggregationBits {
    let mut union = left.clone();
    if right.len() > union.len() {
        union.resize(right.len());
    }
    for index in right.ones() {
        union.set(index, true);
    }
    union
}
