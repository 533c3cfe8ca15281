//! `checks`: what a case says in particular about the store after a step. Every key is known or an error.

use std::collections::BTreeSet;

use lamella_fork_choice::{ForkChoice, pool::Pool};
use lamella_testing_spec_vectors::{FromJson, field, optional};
use lamella_types::{AttestationData, Block, Root};
use serde_json::{Value, json};

use super::{
    snapshot::{expect, participants},
    store::Store,
};

pub(super) fn check(
    store: &Store,
    step: &Value,
    old_head: Root,
    name: &str,
    expected: &Value,
) -> Result<(), String> {
    let choice = &store.choice;
    let head = choice.head_summary();
    let label = |root: Root| match label_root(store, expected) {
        Ok(labelled) => expect("root", root, labelled),
        Err(problem) => Err(problem),
    };
    let value = |got: Value| expect("value", &got, expected);
    match name {
        "time" => value(json!(choice.time())),
        "headSlot" => value(json!(head.slot)),
        "headRootLabel" => label(head.root),
        "latestJustifiedSlot" => value(json!(choice.latest_justified().slot)),
        "latestJustifiedRootLabel" => label(choice.latest_justified().root),
        "latestFinalizedSlot" => value(json!(choice.latest_finalized().slot)),
        "latestFinalizedRootLabel" => label(choice.latest_finalized().root),
        "safeTargetSlot" => value(json!(choice.get(&choice.safe_target()).map(|block| block.slot))),
        "safeTargetRootLabel" => label(choice.safe_target()),
        "attestationTargetSlot" => value(json!(choice.attestation_target().slot)),
        "attestationTargetRootLabel" => label(choice.attestation_target().root),
        "filledBlockRootLabel" => label(block(step)?.header().root()),
        "blockAttestationCount" => value(json!(block(step)?.attestations().len())),
        "blockAttestations" => check_block_attestations(&block(step)?, expected),
        "attestationChecks" => each(expected, |check| check_attestation(store, check)),
        "attestationSignatureTargetSlots" => {
            value(target_slots(choice.signature_pool().iter().map(|(data, _)| data)))
        }
        "latestNewAggregatedTargetSlots" => value(target_slots(data(choice.pending_pool()))),
        "latestKnownAggregatedTargetSlots" => value(target_slots(data(choice.known_pool()))),
        "newPoolProofParticipants" => check_participants(choice.pending_pool(), expected),
        "lexicographicHeadAmong" => check_tie(store, expected),
        "labelsInStore" => each(expected, |label| {
            let root = label_root(store, label)?;
            expect("in store", choice.contains(&root), true)
        }),
        "reorgDepth" => value(json!(reorg_depth(choice, old_head))),
        _ => Err("unknown check".to_owned()),
    }
}

fn each(list: &Value, check: impl FnMut(&Value) -> Result<(), String>) -> Result<(), String> {
    list.as_array().ok_or("not a list")?.iter().try_for_each(check)
}

fn label_root(store: &Store, label: &Value) -> Result<Root, String> {
    let label = String::from_json(label)?;
    store.labels.get(&label).copied().ok_or_else(|| format!("no block is labelled {label}"))
}

fn block(step: &Value) -> Result<Block, String> {
    Ok(field(step, "block")?)
}

fn data(pool: &Pool) -> impl Iterator<Item = &AttestationData> {
    pool.iter().map(|entry| &entry.data)
}

fn target_slots<'a>(data: impl Iterator<Item = &'a AttestationData>) -> Value {
    json!(data.map(|data| data.target.slot).collect::<BTreeSet<_>>())
}

/// The body has an attestation with exactly these participants, of this slot and target where they are given.
fn check_block_attestations(block: &Block, expected: &Value) -> Result<(), String> {
    each(expected, |check| {
        let voters: Vec<u64> = field(check, "participants")?;
        let slot: Option<u64> = optional(check, "attestationSlot")?;
        let target: Option<u64> = optional(check, "targetSlot")?;
        let found = block.attestations().iter().any(|attestation| {
            participants(&attestation.aggregation_bits) == voters
                && slot.is_none_or(|slot| attestation.data.slot == slot)
                && target.is_none_or(|target| attestation.data.target.slot == target)
        });
        if found { Ok(()) } else { Err(format!("no attestation like {check}")) }
    })
}

/// A validator's vote of the highest slot in one of the pools.
fn check_attestation(store: &Store, check: &Value) -> Result<(), String> {
    let validator: u64 = field(check, "validator")?;
    let location: String = field(check, "location")?;
    let choice = &store.choice;
    let votes = match location.as_str() {
        "new" => votes_of(choice.pending_pool(), validator),
        "known" => votes_of(choice.known_pool(), validator),
        "signatures" => {
            let pool = choice.signature_pool().iter();
            let signed = pool.filter(|(_, signatures)| signatures.contains_key(&validator));
            signed.map(|(data, _)| *data).collect()
        }
        _ => return Err(format!("unknown location {location}")),
    };
    let vote =
        votes.into_iter().reduce(|best, vote| if vote.slot > best.slot { vote } else { best });
    let vote = vote.ok_or_else(|| format!("validator {validator} has no vote in {location}"))?;
    for (name, expected) in check.as_object().ok_or("not an object")? {
        let got = match name.as_str() {
            "validator" | "location" => continue,
            "attestationSlot" => json!(vote.slot),
            "headSlot" => json!(vote.head.slot),
            "sourceSlot" => json!(vote.source.slot),
            "targetSlot" => json!(vote.target.slot),
            "sourceRootLabel" => {
                expect(name, vote.source.root, label_root(store, expected)?)?;
                continue;
            }
            _ => return Err(format!("unknown key {name}")),
        };
        expect(name, &got, expected)?;
    }
    Ok(())
}

fn votes_of(pool: &Pool, validator: u64) -> Vec<AttestationData> {
    let voted = pool.iter().filter(|entry| participants(&entry.participants).contains(&validator));
    voted.map(|entry| entry.data).collect()
}

/// `{"<target slot>": [participants of all its proofs]}`.
fn check_participants(pool: &Pool, expected: &Value) -> Result<(), String> {
    for (target, expected) in expected.as_object().ok_or("not an object")? {
        let entries = pool.iter().filter(|entry| entry.data.target.slot.to_string() == *target);
        let union: BTreeSet<_> =
            entries.flat_map(|entry| participants(&entry.participants)).collect();
        expect(target, &json!(union), expected)?;
    }
    Ok(())
}

/// These forks weigh the same, and the largest root among them is the head.
fn check_tie(store: &Store, labels: &Value) -> Result<(), String> {
    let labels = labels.as_array().ok_or("not a list")?;
    let roots =
        labels.iter().map(|label| label_root(store, label)).collect::<Result<Vec<_>, _>>()?;
    let weights: BTreeSet<_> = store
        .choice
        .block_weights()
        .filter(|(block, _)| roots.contains(&block.root))
        .map(|(_, weight)| weight)
        .collect();
    expect("distinct weights", weights.len(), 1)?;
    expect("head", Some(store.choice.head()), roots.into_iter().max())
}

fn reorg_depth(choice: &ForkChoice, old_head: Root) -> usize {
    let new_head = choice.head();
    choice.chain(&old_head).filter(|block| !choice.is_ancestor(&block.root, &new_head)).count()
}
