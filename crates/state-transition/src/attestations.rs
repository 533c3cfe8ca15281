//! Votes: justification and finality under 3SF-mini, leanSpec `process_attestations`.

use std::collections::BTreeSet;

use lamella_types::{
    AggregatedAttestation, AttestationData, Checkpoint, RejectionReason, Slot, State,
    limits::MAX_ATTESTATIONS_DATA,
    slot::{is_justifiable_after, justified_index_after},
};

use crate::tally::Tally;

/// Applies votes to a state whose latest header is their block's: leanSpec `process_attestations`.
///
/// leanSpec's assertions about the pre-state are rejections here, and one is stricter: a tally whose last run of
/// votes is cut short is refused, where leanSpec reads it as a smaller registry.
///
/// # Errors
/// `TOO_MANY_ATTESTATION_DATA` first; then, of the tally, `ZERO_HASH_JUSTIFICATION_ROOT`,
/// `EMPTY_VALIDATOR_REGISTRY` or `JUSTIFICATION_VOTES_LENGTH_MISMATCH`; then, vote by vote,
/// `JUSTIFIED_SLOT_OUT_OF_RANGE`, and for those that pass the filters `EMPTY_AGGREGATION_BITS`,
/// `VALIDATOR_INDEX_OUT_OF_RANGE` and, where finality moves, `UNKNOWN_JUSTIFICATION_ROOT`.
///
/// # Cost
/// The votes, plus a copy of the tally if one of them changed it. The history since the finalized slot is read
/// only when finality moves.
pub fn process_attestations(
    state: &State,
    attestations: &[AggregatedAttestation],
) -> Result<State, RejectionReason> {
    let mut state = state.clone();
    apply_attestations(&mut state, attestations)?;
    Ok(state)
}

/// Leaves `state` half-changed on an error; callers own it and drop it.
pub(crate) fn apply_attestations(
    state: &mut State,
    attestations: &[AggregatedAttestation],
) -> Result<(), RejectionReason> {
    let distinct: BTreeSet<&AttestationData> =
        attestations.iter().map(|attestation| &attestation.data).collect();
    if distinct.len() > MAX_ATTESTATIONS_DATA {
        return Err(RejectionReason::TooManyAttestationData);
    }
    let first_unfinalized_slot = state.latest_finalized.slot.saturating_add(1);
    let mut tally = Tally::new(&state.justifications, state.validators.len())?;
    for AggregatedAttestation { aggregation_bits, data } in attestations {
        if !passes_filters(state, data)? {
            continue;
        }
        if aggregation_bits.count_ones() == 0 {
            return Err(RejectionReason::EmptyAggregationBits);
        }
        if aggregation_bits.ones().any(|index| index >= state.validators.len()) {
            return Err(RejectionReason::ValidatorIndexOutOfRange);
        }
        let votes = tally.vote(data.target.root, aggregation_bits.as_bytes());
        if 3 * votes >= 2 * state.validators.len() {
            tally.remove(data.target.root);
            justify(state, data.target);
            if finalizes(data, state.latest_finalized.slot) {
                finalize(state, data.source);
                tally.prune(
                    &state.historical_block_hashes,
                    first_unfinalized_slot,
                    state.latest_finalized.slot,
                )?;
            }
        }
    }
    state.justifications = tally.into_justifications()?;
    Ok(())
}

/// Whether a vote counts. Votes that do not are ignored: they were honest once, or are harmless.
pub(crate) fn passes_filters(
    state: &State,
    data: &AttestationData,
) -> Result<bool, RejectionReason> {
    let AttestationData { source, target, .. } = data;
    let finalized_slot = state.latest_finalized.slot;
    let justified_slots = &state.justified_slots;

    // A vote builds on a justified source, and adds nothing to a target justified already. Either slot may be past
    // the tracked window, which rejects the block; the target is only looked at if the source is justified.
    Ok(justified_slots.is_slot_justified(finalized_slot, source.slot)?
        && !justified_slots.is_slot_justified(finalized_slot, target.slot)?
        && data.lies_on_chain(&state.historical_block_hashes)
        && target.slot > source.slot
        && is_justifiable_after(target.slot, finalized_slot))
}

fn justify(state: &mut State, target: Checkpoint) {
    // Targets of one block may come in any order; an earlier one does not take the checkpoint back.
    state.latest_justified = state.latest_justified.advance_to(target);
    if let Some(index) = justified_index_after(target.slot, state.latest_finalized.slot) {
        // In range: the filter has read this bit.
        state.justified_slots.set(index, true);
    }
}

/// Whether justifying the vote's target finalizes its source: nothing between them could be justified.
///
/// # Cost
/// Gaps between justifiable slots grow with the square root of the distance to finality, so the search for one
/// ends within about 512 slots.
pub(crate) fn finalizes(data: &AttestationData, finalized_slot: Slot) -> bool {
    let mut between = data.source.slot.saturating_add(1)..data.target.slot;
    data.source.slot > finalized_slot
        && !between.any(|slot| is_justifiable_after(slot, finalized_slot))
}

fn finalize(state: &mut State, source: Checkpoint) {
    // The window begins one past the finalized slot, so it moves by the same distance. The source's bit was read by
    // the filter, so the distance fits.
    let moved = justified_index_after(source.slot, state.latest_finalized.slot);
    state.justified_slots = state.justified_slots.without_first(moved.map_or(0, |index| index + 1));
    state.latest_finalized = source;
}
