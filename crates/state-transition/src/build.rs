//! Block building: a block that leanSpec's `build_block` could have built, but for which votes it carries.
//!
//! The hard idea: a block has eight places and, where proofs do not compress, room for some two hundred signers. Filled
//! with votes that the chain has counted already it is valid and worth nothing, and so is every block after it: the
//! proposers go round in circles while everyone votes. So a vote is chosen for what it adds to the chain *as the
//! choices before it leave it*: first whoever finalizes, then whoever justifies, then whoever may yet help a target
//! over two thirds, then the most new voters, then the newest. One that adds no voter is never chosen. Each block
//! therefore moves justification, or its tally, whenever any vote known here can.
//!
//! Where this differs from leanSpec, which takes the oldest targets on the justified source first:
//! - What a vote may build on is what the transition counts: any justified source, not the last one alone.
//! - Votes that the transition would ignore are left out, those from genesis for genesis included.
//! - [`BlockRequest::participants_max`] bounds the signers of the whole block, and only a vote's *new* voters are asked
//!   of its proofs.
//! - Proofs of one vote are combined when the vote is chosen and not at the end, and where that fails the largest
//!   stands alone. So what is counted is what would be published.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, RejectionReason,
    Root, SingleMessageAggregate, Slot, State, ValidatorIndex,
    coverage::select_proofs_for_coverage, limits::MAX_ATTESTATIONS_DATA,
};

use crate::{
    attestations::{apply_attestations, finalizes, passes_filters},
    transition::{process_block, process_slots},
};

/// A vote that a block may carry, with the proofs known for it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The vote. Of two candidates with the same vote one is chosen.
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

/// One proof of one vote, made of the given ones, over the voters named; of more if the scheme cannot leave any out.
/// `None` if that cannot be done.
pub type Combine<'a> = dyn FnMut(
        &AttestationData,
        &[Arc<SingleMessageAggregate>],
        &AggregationBits,
    ) -> Option<Arc<SingleMessageAggregate>>
    + 'a;

/// Builds a valid block on `parent_state`.
///
/// # Errors
/// What [`process_slots`] and [`process_block`] refuse: a slot that is not in the future, another validator's slot,
/// another parent.
///
/// # Cost
/// One look at every candidate's voters for each of at most eight votes, and a transition of each of these.
pub fn build_block(
    parent_state: &State,
    request: &BlockRequest<'_>,
    candidates: &[Candidate],
    combine: &mut Combine<'_>,
) -> Result<BuiltBlock, RejectionReason> {
    let advanced_state = process_slots(parent_state, request.slot)?;
    // What a vote is checked against: the post-state of the block as it stands, at first without votes. Its history
    // ends with the parent, its window covers every slot before the block's, and genesis is justified in it.
    let post_state = process_block(&advanced_state, &block_of(request, Vec::new())?)?;
    let mut selection = Selection::new(post_state, request, candidates);
    while selection.chosen.len() < MAX_ATTESTATIONS_DATA
        && let Some(vote) = selection.take_best()
    {
        selection.choose(&vote, combine)?;
    }
    let (attestations, proofs) = selection.chosen.into_iter().unzip();
    let mut block = block_of(request, attestations)?;
    let post_state = process_block(&advanced_state, &block)?;
    block.state_root = post_state.root();
    Ok(BuiltBlock { block, post_state, proofs })
}

/// The block of these votes, without its state root.
fn block_of(
    request: &BlockRequest<'_>,
    attestations: Vec<AggregatedAttestation>,
) -> Result<Block, RejectionReason> {
    Ok(Block {
        slot: request.slot,
        proposer_index: request.proposer_index,
        parent_root: request.parent_root,
        state_root: Root::ZERO,
        body: BlockBody::new(attestations).ok_or(RejectionReason::TooManyAttestationData)?,
    })
}

/// A candidate on its way into the block.
struct Vote<'a> {
    candidate: &'a Candidate,
    /// Everyone whom its proofs cover.
    voters: AggregationBits,
}

/// What a vote adds, best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    finalizes: bool,
    justifies: bool,
    /// Whether all votes known for its target, together with what the chain has counted, would justify it.
    is_within_reach: bool,
    new_voters: usize,
    slot: Slot,
}

/// A target that open votes are for.
struct Target {
    /// Whom the chain has counted for it, with the votes chosen so far.
    counted: AggregationBits,
    /// How many they are,
    votes: usize,
    /// and with everyone whom an open vote would add.
    within_reach: usize,
}

/// The votes chosen so far, and what they leave.
struct Selection<'a> {
    /// Candidates in their order, without what can never be chosen.
    open: Vec<Vote<'a>>,
    chosen: Vec<(AggregatedAttestation, Arc<SingleMessageAggregate>)>,
    /// Post-state of the block as it stands, but for its header.
    post_state: State,
    /// Signers that still fit.
    room: usize,
}

impl<'a> Selection<'a> {
    fn new(post_state: State, request: &BlockRequest<'_>, candidates: &'a [Candidate]) -> Self {
        let may_count = |data: &AttestationData| {
            // First of all, since it bounds every slot that is looked up later.
            data.lies_on_chain(&post_state.historical_block_hashes)
                && (request.known_block)(&data.head.root)
        };
        let with_voters = |candidate: &'a Candidate| {
            let mut voters = AggregationBits::default();
            for proof in &candidate.proofs {
                voters.add_all(&proof.participants);
            }
            let last = voters.ones().last()?;
            (last < post_state.validators.len()).then_some(Vote { candidate, voters })
        };
        let open = candidates.iter().filter(|candidate| may_count(&candidate.data));
        let open = open.filter_map(with_voters).collect();
        Self { open, chosen: Vec::new(), post_state, room: request.participants_max }
    }

    /// The vote that adds most, taken out of the open ones; `None` if none adds anything.
    fn take_best(&mut self) -> Option<Vote<'a>> {
        let targets = self.targets();
        let scored = self.open.iter().enumerate();
        let scored = scored.filter_map(|(index, vote)| Some((self.score(vote, &targets)?, index)));
        // On a tie the first candidate.
        let best = scored.max_by_key(|(score, index)| (*score, Reverse(*index)));
        best.map(|(_, index)| self.open.remove(index))
    }

    /// The targets of the open votes.
    fn targets(&self) -> HashMap<Root, Target> {
        let mut with_open: HashMap<Root, AggregationBits> = HashMap::new();
        for Vote { candidate, voters } in &self.open {
            let root = candidate.data.target.root;
            with_open.entry(root).or_insert_with(|| self.counted(&root)).add_all(voters);
        }
        let target = |(root, all): (Root, AggregationBits)| {
            let counted = self.counted(&root);
            (root, Target { votes: counted.count_ones(), within_reach: all.count_ones(), counted })
        };
        with_open.into_iter().map(target).collect()
    }

    fn score(&self, vote: &Vote<'_>, targets: &HashMap<Root, Target>) -> Option<Score> {
        let data = &vote.candidate.data;
        let Target { counted, votes, within_reach } = targets.get(&data.target.root)?;
        let new_voters = added(&vote.voters, counted).min(self.room);
        if new_voters == 0 || !passes_filters(&self.post_state, data).unwrap_or(false) {
            return None;
        }
        let is_enough = |votes: usize| 3 * votes >= 2 * self.post_state.validators.len();
        let justifies = is_enough(votes + new_voters);
        Some(Score {
            finalizes: justifies && finalizes(data, self.post_state.latest_finalized.slot),
            justifies,
            is_within_reach: is_enough(*within_reach),
            new_voters,
            slot: data.slot,
        })
    }

    /// Whom the chain has counted for a target, with the votes chosen so far.
    fn counted(&self, target: &Root) -> AggregationBits {
        let State { justifications, validators, .. } = &self.post_state;
        let index = justifications.roots().binary_search(target).ok();
        let run = index.and_then(|index| justifications.votes_of(index, validators.len()));
        run.and_then(|run| AggregationBits::from_packed(run, validators.len())).unwrap_or_default()
    }

    /// Puts a vote into the block, if a proof of it can be had that fits.
    fn choose(
        &mut self,
        vote: &Vote<'_>,
        combine: &mut Combine<'_>,
    ) -> Result<(), RejectionReason> {
        let Candidate { data, proofs } = vote.candidate;
        let counted = self.counted(&data.target.root);
        let new = vote.voters.ones().filter(|voter| counted.get(*voter) != Some(true));
        let wanted = new.take(self.room).map(|voter| voter as u64);
        let wanted = AggregationBits::from_indices(wanted).unwrap_or_default();
        let Some(proof) = one_proof(data, proofs, &wanted, self.room, combine) else {
            return Ok(());
        };
        let aggregation_bits = proof.participants.clone();
        self.room = self.room.saturating_sub(aggregation_bits.count_ones());
        let attestation = AggregatedAttestation { aggregation_bits, data: *data };
        apply_attestations(&mut self.post_state, std::slice::from_ref(&attestation))?;
        self.open.retain(|other| other.candidate.data != *data);
        self.chosen.push((attestation, proof));
        Ok(())
    }
}

/// One proof of a vote over the voters wanted, or the one that covers most of them; `None` if none fits.
fn one_proof(
    data: &AttestationData,
    proofs: &[Arc<SingleMessageAggregate>],
    wanted: &AggregationBits,
    room: usize,
    combine: &mut Combine<'_>,
) -> Option<Arc<SingleMessageAggregate>> {
    let adds = |proof: &SingleMessageAggregate| {
        proof.participants.ones().filter(|voter| wanted.get(*voter) == Some(true)).count()
    };
    let fits =
        |proof: &SingleMessageAggregate| adds(proof) > 0 && proof.participants.count_ones() <= room;
    if let Some(exact) = proofs.iter().find(|proof| proof.participants.ones().eq(wanted.ones())) {
        return Some(Arc::clone(exact));
    }
    let useful: Vec<_> = proofs.iter().filter(|proof| adds(proof) > 0).cloned().collect();
    let (covering, _) = select_proofs_for_coverage(&[&useful]);
    combine(data, &covering, wanted).filter(|combined| fits(combined)).or_else(|| {
        proofs.iter().filter(|proof| fits(proof)).max_by_key(|proof| adds(proof)).cloned()
    })
}

/// How many `voters` has that `counted` has not.
fn added(voters: &AggregationBits, counted: &AggregationBits) -> usize {
    let counted = counted.as_bytes().iter().copied().chain(std::iter::repeat(0));
    let new = voters.as_bytes().iter().zip(counted).map(|(voter, counted)| voter & !counted);
    new.map(|byte| byte.count_ones() as usize).sum()
}
