//! `storeSnapshot`: the whole store after a step.

use lamella_fork_choice::{ForkChoice, pool::Pool};
use lamella_testing_spec_vectors::field;
use lamella_types::{AggregationBits, Checkpoint, Root};
use serde_json::{Value, json};

use super::data_root;

/// Time, checkpoints, head and blocks, which are equal after every step of every case.
pub(super) fn check_core(choice: &ForkChoice, expected: &Value) -> Result<(), String> {
    expect("time", choice.time(), field(expected, "time")?)?;
    expect("headRoot", choice.head(), field(expected, "headRoot")?)?;
    expect("safeTargetRoot", choice.safe_target(), field(expected, "safeTargetRoot")?)?;
    let justified: Checkpoint = field(expected, "latestJustified")?;
    expect("latestJustified", choice.latest_justified(), justified)?;
    let finalized: Checkpoint = field(expected, "latestFinalized")?;
    expect("latestFinalized", choice.latest_finalized(), finalized)?;
    let mut roots: Vec<Root> = choice.nodes().map(|block| block.root).collect();
    roots.sort_unstable();
    expect("blockRoots", roots, field(expected, "blockRoots")?)
}

/// Weights and the three pools.
pub(super) fn check_pools(choice: &ForkChoice, expected: &Value) -> Result<(), String> {
    let ours = everything(choice);
    for name in [
        "blockWeights",
        "attestationSignatures",
        "newAggregatedPayloads",
        "knownAggregatedPayloads",
    ] {
        expect(name, &ours[name], &expected[name])?;
    }
    Ok(())
}

/// A restart at this point would give the same view, and the head that the next update gives.
pub(super) fn check_restart(choice: &ForkChoice) -> Result<(), String> {
    let restored = ForkChoice::restore(choice.snapshot()).map_err(|error| error.to_string())?;
    expect("snapshot after a restart", restored.snapshot(), choice.snapshot())?;
    let weights = |choice: &ForkChoice| everything(choice)["blockWeights"].clone();
    expect("weights after a restart", weights(&restored), weights(choice))?;
    let mut updated = choice.clone();
    updated.update_head();
    expect("head after a restart", restored.head(), updated.head())
}

pub(super) fn expect<T: PartialEq + std::fmt::Debug>(
    what: &str,
    got: T,
    expected: T,
) -> Result<(), String> {
    if got == expected {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, got {got:?}"))
    }
}

/// The store in the vectors' own form.
pub(super) fn everything(choice: &ForkChoice) -> Value {
    let checkpoint = |checkpoint: Checkpoint| json!([checkpoint.root.to_string(), checkpoint.slot]);
    let weights = choice.block_weights().map(|(block, weight)| {
        (block.root.to_string(), json!({ "root": block.root.to_string(), "weight": weight }))
    });
    let signatures = choice.signature_pool().iter().map(|(data, signatures)| {
        let indices: Vec<_> = signatures.keys().collect();
        let root = data_root(data);
        (root.clone(), json!({ "dataRoot": root, "validatorIndices": indices }))
    });
    let roots = choice.nodes().map(|block| (block.root.to_string(), json!(block.root.to_string())));
    json!({
        "time": choice.time(),
        "headRoot": choice.head().to_string(),
        "safeTargetRoot": choice.safe_target().to_string(),
        "latestJustified": checkpoint(choice.latest_justified()),
        "latestFinalized": checkpoint(choice.latest_finalized()),
        "blockRoots": sorted(roots),
        "blockWeights": sorted(weights),
        "attestationSignatures": sorted(signatures),
        "newAggregatedPayloads": payloads(choice.pending_pool()),
        "knownAggregatedPayloads": payloads(choice.known_pool()),
    })
}

fn payloads(pool: &Pool) -> Value {
    sorted(pool.iter().map(|entry| {
        let sets = entry.proofs.iter().map(|proof| participants(&proof.participants));
        let mut sets: Vec<_> = sets.collect();
        sets.sort();
        let root = data_root(&entry.data);
        (root.clone(), json!({ "dataRoot": root, "participantSets": sets }))
    }))
}

pub(super) fn participants(bits: &AggregationBits) -> Vec<u64> {
    bits.ones().map(|index| index as u64).collect()
}

fn sorted(entries: impl Iterator<Item = (String, Value)>) -> Value {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by(|left, right| left.0.cmp(&right.0));
    entries.into_iter().map(|(_, value)| value).collect()
}
