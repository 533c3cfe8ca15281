//! Group `fork_choice`: an anchor, then ticks, blocks and votes, with the whole store after every step.
//!
//! Two things about the harness that wrote the cases are not in their JSON (README of the vectors, 4.2). It ticks
//! as an aggregator, always. And while it builds a block it aggregates the body's votes and leaves them in the
//! store's known pool, so after every valid block they are put there here as well, and the head is updated.

mod checks;
mod snapshot;
mod store;

use std::{cell::RefCell, collections::BTreeMap};

use lamella_testing_spec_vectors::{Case, FromJson, Outcome, field, optional, run_group, say};
use lamella_types::{
    Block, RejectionReason, SignedAggregatedAttestation, SignedAttestation, State, hash_tree_root,
};
use serde_json::Value;

use store::Store;

/// How often each kind of comparison was made.
type Counts = BTreeMap<String, usize>;

#[test]
fn fork_choice_vectors() {
    let counts = RefCell::new(Counts::new());
    run_group("fork_choice", |case| check(case, &mut counts.borrow_mut()));
    let counts = counts.into_inner();
    let (steps, checks): (Vec<_>, Vec<_>) =
        counts.iter().partition(|(name, _)| name.starts_with("step") || name.starts_with("snap"));
    let list = |counts: Vec<(&String, &usize)>| {
        counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    say(&format!("fork_choice: {}", list(steps)));
    say(&format!("fork_choice: checks: {}", list(checks)));
}

fn check(case: &Case, counts: &mut Counts) -> Result<Outcome, String> {
    let anchor_state: State = field(&case.value, "anchorState")?;
    let anchor_block: Block = field(&case.value, "anchorBlock")?;
    let expected: Option<RejectionReason> = optional(&case.value, "rejectionReason")?;
    let mut store = match (Store::new(anchor_state, &anchor_block), expected) {
        (Ok(store), None) => store,
        (Err(reason), Some(expected)) if reason == expected => return Ok(Outcome::Passed),
        (got, expected) => {
            return Err(format!("anchor: expected {expected:?}, got {:?}", got.err()));
        }
    };
    let steps: Vec<Value> = field(&case.value, "steps")?;
    let pools_from_elsewhere = pools_differ_from(case.function());
    for (index, step) in steps.iter().enumerate() {
        let pools_match = pools_from_elsewhere.is_none_or(|first| index < first);
        check_step(&mut store, step, pools_match, counts).map_err(|problem| {
            let kind = step["stepType"].as_str().unwrap_or("?");
            format!("step {index} ({kind}): {problem}")
        })?;
    }
    Ok(Outcome::Passed)
}

/// The step from which a case's pools hold votes that appear nowhere in its JSON.
fn pools_differ_from(function: &str) -> Option<usize> {
    match function {
        "test_attestation_target_justifiable_constraint" => Some(9),
        "test_fork_above_finalized_wins_at_or_below_loses"
        | "test_heavier_fork_below_finalized_slot_never_wins" => Some(8),
        "test_post_anchor_votes_can_finalize_above_anchor" => Some(0),
        "test_block_builder_recovers_finality_after_non_zero_boundary_stall" => Some(15),
        _ => None,
    }
}

fn check_step(
    store: &mut Store,
    step: &Value,
    pools_match: bool,
    counts: &mut Counts,
) -> Result<(), String> {
    let kind: String = field(step, "stepType")?;
    let old_head = store.choice.head();
    let result = match kind.as_str() {
        "tick" => tick(store, step).map(Ok)?,
        "block" => block(store, step)?,
        "attestation" => attestation(store, step)?,
        "gossipAggregatedAttestation" => aggregate(store, step)?,
        _ => return Err("unknown kind of step".to_owned()),
    };
    count(counts, &format!("steps {kind}"));
    let expected = match field::<bool>(step, "valid")? {
        true => Ok(()),
        false => Err(field::<RejectionReason>(step, "rejectionReason")?),
    };
    if result != expected {
        return Err(format!("expected {expected:?}, got {result:?}"));
    }
    if result.is_err() {
        count(counts, "steps rejected");
    }
    let expected: Value = field(step, "storeSnapshot")?;
    snapshot::check_core(&store.choice, &expected)?;
    snapshot::check_restart(&store.choice)?;
    count(counts, "snapshots");
    if pools_match {
        snapshot::check_pools(&store.choice, &expected)?;
        count(counts, "snapshots with pools and weights");
    }
    if let Some(checks) = optional::<Value>(step, "checks")? {
        for (name, expected) in checks.as_object().ok_or("`checks` is not an object")? {
            checks::check(store, step, old_head, name, expected)
                .map_err(|problem| format!("checks.{name}: {problem}"))?;
            count(counts, name);
        }
    }
    Ok(())
}

fn count(counts: &mut Counts, name: &str) {
    *counts.entry(name.to_owned()).or_default() += 1;
}

fn tick(store: &mut Store, step: &Value) -> Result<(), String> {
    let interval = match optional(step, "interval")? {
        Some(interval) => interval,
        None => store.interval_at(field(step, "time")?),
    };
    store.tick_to(interval, optional(step, "hasProposal")?.unwrap_or(false));
    Ok(())
}

type StepResult = Result<Result<(), RejectionReason>, String>;

fn block(store: &mut Store, step: &Value) -> StepResult {
    let json: Value = field(step, "block")?;
    let block = Block::from_json(&json)?;
    if let Some(label) = optional::<String>(&json, "blockRootLabel")? {
        store.labels.insert(label, block.header().root());
    }
    if field(step, "tickToSlot")? {
        store.tick_to(block.slot * 5, true);
    }
    let before = snapshot::everything(&store.choice);
    let result = store.import(&block);
    match result {
        Ok(()) => store.count_body_as_known(&block),
        Err(_) if before != snapshot::everything(&store.choice) => {
            return Err("a rejected block changed the store".to_owned());
        }
        Err(_) => {}
    }
    Ok(result)
}

fn attestation(store: &mut Store, step: &Value) -> StepResult {
    let vote: SignedAttestation = field(step, "attestation")?;
    let result = store.verify_attestation(&vote);
    if result.is_ok() && field(step, "isAggregator")? {
        let SignedAttestation { validator_index, data, signature } = vote;
        store.choice.record_signature(&data, validator_index, signature.into());
    }
    Ok(result)
}

fn aggregate(store: &mut Store, step: &Value) -> StepResult {
    let vote: SignedAggregatedAttestation = field(step, "attestation")?;
    // The proof is a placeholder of the harness, so nothing verifies it.
    let result = store.choice.check_aggregate(&vote.data, &vote.proof.participants);
    if result.is_ok() {
        store.choice.record_aggregate(&vote.data, vote.proof.into());
    }
    Ok(result)
}

/// A vote's root as the vectors write it.
fn data_root(data: &lamella_types::AttestationData) -> String {
    hash_tree_root(data).to_string()
}
