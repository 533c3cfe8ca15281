//! What the log says. One line for each thing acknowledged; names and fields that tools of the field look for.

use std::time::Duration;

use lamella_chain::{Opened, Persisted, Recovered};
use lamella_fork_choice::ForkChoice;
use lamella_network_dir::ValidatorKeys;
use lamella_types::{Root, Slot, ValidatorIndex};
use tracing::{info, warn};

use crate::{config::NodeConfig, import::NewBlock};

/// What was found on disk, and what was decided.
pub(super) fn opened(config: &NodeConfig, opened: &Opened, keys: &ValidatorKeys) {
    let row = &opened.fork_choice;
    let found = match (opened.created, opened.head_slot) {
        (false, _) => "a chain, resumed",
        (true, 0) => "nothing, began at genesis",
        (true, _) => "nothing, began at a checkpoint",
    };
    let gossip = &config.gossip;
    info!(
        node_id = config.node_id,
        database = %config.database().display(),
        found,
        head = %row.head,
        head_slot = opened.head_slot,
        justified = row.justified.slot,
        finalized = row.finalized.slot,
        votes = opened.votes,
        live_blocks = opened.live_blocks,
        pages_checked = opened.page_check.pages,
        file_bytes = opened.page_check.file_bytes,
        page_check_ms = opened.page_check.elapsed.as_millis(),
        validators = keys.validators.len(),
        is_aggregator = config.is_aggregator,
        proof_scheme = config.proof_scheme.name(),
        genesis_time = config.genesis.genesis_time,
        node_key = %gossip.identity.source,
        bootnodes = gossip.dial.len(),
        subnets = ?gossip.subnets,
        subnet_count = gossip.committee_count,
        "Started"
    );
    recovered(&opened.recovered);
}

/// What a start derived again: rows that were damaged, lost or stale, and how many.
fn recovered(recovered: &Recovered) {
    if recovered.is_something() {
        warn!(
            votes_dropped = recovered.votes,
            slots = recovered.slots,
            canonical = recovered.canonical,
            fork_choice = recovered.fork_choice,
            "Derived again what was damaged or disagreed; run `lamella db verify` for the rest"
        );
    }
}

/// A block is permanent.
pub(super) fn imported(slot: Slot, proposer: ValidatorIndex, attestations: usize, new: &NewBlock) {
    let persisted = &new.persisted;
    let view = &persisted.after;
    info!(
        slot,
        block_root = %new.root,
        proposer,
        attestations,
        head = %view.head(),
        head_slot = view.head_summary().slot,
        justified = view.latest_justified().slot,
        finalized = view.latest_finalized().slot,
        votes = votes(view),
        proof_us = micros(new.effort.proof),
        transition_us = micros(new.effort.transition),
        write_us = micros(persisted.timings.write),
        commit_us = micros(persisted.timings.commit),
        "Block imported successfully"
    );
    consequences(persisted);
}

/// A run of blocks is permanent, by one commit.
pub(super) fn imported_run(persisted: &Persisted, time: Duration) {
    let view = &persisted.after;
    let slot = |root: Option<&Root>| root.and_then(|root| view.get(root)).map(|block| block.slot);
    info!(
        blocks = persisted.imported.len(),
        first_slot = slot(persisted.imported.first()),
        last_slot = slot(persisted.imported.last()),
        head = %view.head(),
        head_slot = view.head_summary().slot,
        justified = view.latest_justified().slot,
        finalized = view.latest_finalized().slot,
        import_us = micros(time),
        write_us = micros(persisted.timings.write),
        commit_us = micros(persisted.timings.commit),
        "Blocks imported successfully"
    );
    consequences(persisted);
}

fn consequences(persisted: &Persisted) {
    reorg(persisted.reorg_depth, &persisted.before, &persisted.after);
    if let Err(error) = &persisted.pruned_signatures {
        warn!(%error, "Signatures are not pruned");
    }
    match &persisted.pruned_states {
        Ok(step) if step.deleted > 0 && !step.more => {
            info!(states_from_slot = step.floor, "States are pruned");
        }
        Ok(_) => {}
        Err(error) => warn!(%error, "States are not pruned"),
    }
    checkpoints(&persisted.before, &persisted.after);
}

/// The head changed its chain, if `depth` is not 0.
pub(super) fn reorg(depth: usize, before: &ForkChoice, after: &ForkChoice) {
    if depth > 0 {
        let (old, slot) = (before.head(), after.head_summary().slot);
        warn!(slot, depth, old_head = %old, new_head = %after.head(), "Reorg");
    }
}

/// An interval changed the view, and that is permanent.
pub(super) fn ticked(before: &ForkChoice, after: &ForkChoice) {
    let moved = before.head() != after.head()
        || before.safe_target() != after.safe_target()
        || votes(before) != votes(after);
    if moved {
        info!(
            interval = after.time(),
            head = %after.head(),
            head_slot = after.head_summary().slot,
            justified = after.latest_justified().slot,
            finalized = after.latest_finalized().slot,
            safe_target = after.get(&after.safe_target()).map_or(0, |block| block.slot),
            votes = votes(after),
            "Fork choice updated"
        );
        checkpoints(before, after);
    }
}

fn checkpoints(before: &ForkChoice, after: &ForkChoice) {
    let (old, new) = (before.latest_finalized(), after.latest_finalized());
    if old.slot < new.slot {
        info!(slot = new.slot, block_root = %new.root, "Finalized");
    } else if old != new {
        warn!(from = old.slot, to = new.slot, "Finality moved back with the head");
    }
}

/// Distinct votes in the pools.
fn votes(view: &ForkChoice) -> usize {
    view.known_pool().len() + view.pending_pool().len()
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
