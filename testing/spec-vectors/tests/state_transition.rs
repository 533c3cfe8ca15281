//! Group `state_transition`: a pre-state, unsigned blocks, and the post-state or the reason why the last is refused.

use lamella_state_transition::{process_block, process_slots, state_transition};
use lamella_testing_spec_vectors::{Case, FromJson, Outcome, field, optional, run_group};
use lamella_types::{
    Block, Checkpoint, Decode, RejectionReason, Root, State, Validators, slot::proposer_for_slot,
};
use serde_json::Value;

#[test]
fn state_transition_vectors() {
    run_group("state_transition", check);
}

fn check(case: &Case) -> Result<Outcome, String> {
    let pre: State = field(&case.value, "pre")?;
    let blocks: Vec<Block> = field(&case.value, "blocks")?;
    round_trip(&pre)?;
    match optional::<RejectionReason>(&case.value, "rejectionReason")? {
        Some(reason) => check_rejection(case.function(), &pre, &blocks, reason)?,
        None => check_post_state(&case.value, &pre, &blocks)?,
    }
    Ok(Outcome::Passed)
}

fn check_post_state(case: &Value, pre: &State, blocks: &[Block]) -> Result<(), String> {
    let mut state = pre.clone();
    for block in blocks {
        state = state_transition(&state, block)
            .map_err(|reason| format!("block at slot {}: got {reason}", block.slot))?;
    }
    let expected: Root = field(case, "postStateRoot")?;
    if state.root() != expected {
        return Err(format!("post-state root: expected {expected}, got {}", state.root()));
    }
    round_trip(&state)?;
    if let Some(post) = optional::<Value>(case, "post")? {
        check_readable_fields(&post, &state)?;
    }
    Ok(())
}

fn check_rejection(
    function: &str,
    pre: &State,
    blocks: &[Block],
    expected: RejectionReason,
) -> Result<(), String> {
    // The JSON of these four says too little: the harness skipped slot processing, or was refused before it had a
    // block to write down. The step that refused is named in the README of the vectors.
    let got = match function {
        "test_block_with_wrong_slot"
        | "test_block_at_parent_slot_rejected_when_slot_processing_skipped" => {
            run_all(pre, blocks, process_block)
        }
        "test_process_slots_target_equal_to_state_slot_rejected" => {
            process_slots(pre, pre.slot).map_err(|reason| (0, reason))
        }
        "test_proposer_scheduling_on_empty_registry_rejected" => {
            return check_empty_registry(pre, expected);
        }
        _ => run_all(pre, blocks, state_transition),
    };
    let last = blocks.len().saturating_sub(1);
    match got {
        Err((index, reason)) if reason == expected && index == last => Ok(()),
        Err((index, reason)) => {
            Err(format!("expected {expected} at block {last}, got {reason} at block {index}"))
        }
        Ok(_) => Err(format!("expected {expected}, got a post-state")),
    }
}

/// The post-state of the last block, or the index of the block that is refused and why.
fn run_all(
    pre: &State,
    blocks: &[Block],
    step: impl Fn(&State, &Block) -> Result<State, RejectionReason>,
) -> Result<State, (usize, RejectionReason)> {
    let mut state = pre.clone();
    for (index, block) in blocks.iter().enumerate() {
        state = step(&state, block).map_err(|reason| (index, reason))?;
    }
    Ok(state)
}

/// No proposer can be scheduled, and so every block is refused for that.
fn check_empty_registry(pre: &State, expected: RejectionReason) -> Result<(), String> {
    let block = Block { slot: pre.slot + 1, ..Block::default() };
    let got = state_transition(pre, &block);
    let proposer = proposer_for_slot(block.slot, pre.validators.len() as u64);
    if got == Err(expected) && proposer.is_none() {
        Ok(())
    } else {
        Err(format!("expected {expected}, got proposer {proposer:?} and {got:?}"))
    }
}

fn round_trip(state: &State) -> Result<(), String> {
    let bytes = state.to_ssz();
    let decoded = State::from_ssz(&bytes).map_err(|error| format!("state bytes: {error}"))?;
    if decoded == *state && decoded.root() == state.root() && decoded.to_ssz() == bytes {
        Ok(())
    } else {
        Err("the state's bytes decode to another state".to_owned())
    }
}

/// Every key of `post` but the labels, which name blocks of the Python test and cannot be resolved.
fn check_readable_fields(post: &Value, state: &State) -> Result<(), String> {
    let fields = post.as_object().ok_or("`post` is not an object")?;
    for (name, expected) in fields {
        if name.ends_with("Label") || name.ends_with("Labels") {
            continue;
        }
        check_readable_field(name, expected, state)
            .map_err(|problem| format!("post.{name}: {problem}"))?;
    }
    Ok(())
}

fn check_readable_field(name: &str, expected: &Value, state: &State) -> Result<(), String> {
    let State { latest_block_header: header, historical_block_hashes: history, .. } = state;
    let (justified, finalized) = (&state.latest_justified, &state.latest_finalized);
    match name {
        "slot" => number(expected, state.slot),
        "configGenesisTime" => number(expected, state.config.genesis_time),
        "validatorCount" => number(expected, state.validators.len() as u64),
        "validators" => same(&Validators::from_json(expected)?, &state.validators),
        "latestJustifiedSlot" | "latestJustifiedRoot" => checkpoint(name, expected, justified),
        "latestFinalizedSlot" | "latestFinalizedRoot" => checkpoint(name, expected, finalized),
        "latestBlockHeaderSlot" => number(expected, header.slot),
        "latestBlockHeaderProposerIndex" => number(expected, header.proposer_index),
        "latestBlockHeaderParentRoot" => root(expected, header.parent_root),
        "latestBlockHeaderStateRoot" => root(expected, header.state_root),
        "latestBlockHeaderBodyRoot" => root(expected, header.body_root),
        "historicalBlockHashesCount" => number(expected, history.len() as u64),
        "historicalBlockHashes" => {
            let all: Option<Vec<Root>> =
                (0..history.len() as u64).map(|slot| history.get(slot)).collect();
            same(&Some(Vec::from_json(expected)?), &all)
        }
        "justifiedSlots" => {
            bits(expected, state.justified_slots.len(), |index| state.justified_slots.get(index))
        }
        "justificationsRootsCount" => number(expected, state.justifications.roots().len() as u64),
        "justificationsRoots" => {
            same(&Vec::from_json(expected)?, &state.justifications.roots().to_vec())
        }
        "justificationsValidatorsCount" => {
            number(expected, state.justifications.votes().len() as u64)
        }
        "justificationsValidators" => {
            let votes = state.justifications.votes();
            bits(expected, votes.len(), |index| votes.get(index))
        }
        _ => Err("this runner does not know the key".to_owned()),
    }
}

fn checkpoint(name: &str, expected: &Value, actual: &Checkpoint) -> Result<(), String> {
    if name.ends_with("Slot") { number(expected, actual.slot) } else { root(expected, actual.root) }
}

fn number(expected: &Value, actual: u64) -> Result<(), String> {
    same(&u64::from_json(expected)?, &actual)
}

fn root(expected: &Value, actual: Root) -> Result<(), String> {
    same(&Root::from_json(expected)?, &actual)
}

fn bits(
    expected: &Value,
    length: usize,
    bit: impl Fn(usize) -> Option<bool>,
) -> Result<(), String> {
    let expected = Vec::<bool>::from_json(expected)?;
    same(&expected, &(0..length).filter_map(bit).collect())
}

fn same<T: PartialEq + std::fmt::Debug>(expected: &T, actual: &T) -> Result<(), String> {
    if expected == actual { Ok(()) } else { Err(format!("expected {expected:?}, got {actual:?}")) }
}
