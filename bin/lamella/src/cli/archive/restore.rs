//! `lamella archive restore`.

use lamella_archive::WriterId;
use lamella_inspect::database_path;
use lamella_shipping::restorer::{Restore, Target};
use serde_json::json;

use super::{ArchiveCommandError, CommandError, TargetFlags, job, open, print_line, trust};
use crate::follow::{ReplicaConfig, restore_exactly};

pub(super) fn run(
    config: ReplicaConfig,
    target: TargetFlags,
    proofs: bool,
    json: bool,
) -> Result<(), CommandError> {
    let data_dir = config.data_dir.display().to_string();
    let is_trusted = config.trusted.is_some();
    let restored = job(move |tell| {
        let target = match (target.slot, target.root) {
            (Some(slot), _) => Target::Slot(slot),
            (None, Some(root)) => Target::Root(root),
            (None, None) => Target::Finalized,
        };
        let database = database_path(&config.data_dir);
        let restore = Restore {
            database: &database,
            target,
            trusted: config.trusted,
            slot_ms: config.slot_ms,
            proof_scheme: config.proof_scheme.name(),
        };
        let remote = open(&config.source, config.network)?;
        if proofs { restore.run_with_proofs(&remote, tell) } else { restore.run(&remote, tell) }
    })?;
    if json {
        return print_line(&json!({
            "slot": restored.target.slot,
            "root": restored.target.root.to_string(),
            "frontier_slot": restored.frontier.slot,
            "frontier_root": restored.frontier.root.to_string(),
            "root_is_trusted": is_trusted,
            "blocks": restored.blocks,
            "segments_read": restored.segments,
            "resumed": restored.resumed,
            "proofs_from_slot": restored.proofs_from.map(|block| block.slot),
        }));
    }
    let trust = trust(is_trusted);
    let proofs = match restored.proofs_from {
        Some(from) => format!("; proofs from slot {} on, unchecked", from.slot),
        None => String::new(),
    };
    let not = match restored.proofs_from {
        Some(from) if from.slot <= 1 => "",
        Some(_) => "older proofs, ",
        None => "proofs of blocks, ",
    };
    let resumed = if restored.resumed { ", begun by an earlier run" } else { "" };
    print_line(&format!(
        "restored: {data_dir} ends at block {} at slot {}, {} blocks and states, every invariant checked{resumed}; proven under root {} at slot {} ({trust}){proofs}; not restored: {not}forks, votes, the sign guard",
        restored.target.root,
        restored.target.slot,
        restored.blocks,
        restored.frontier.root,
        restored.frontier.slot,
    ))
}

/// Restores up to an object of a tail.
pub(super) fn run_to_object(
    config: ReplicaConfig,
    writer: Option<WriterId>,
    sequence: u64,
    json: bool,
) -> Result<(), CommandError> {
    let (data_dir, is_trusted) = (config.data_dir.display().to_string(), config.trusted.is_some());
    let restored = job(move |tell| Ok(restore_exactly(&config, writer, sequence, tell)))?;
    let restored = restored.map_err(ArchiveCommandError::from)?;
    let (writer, head, segments) = (restored.writer, restored.head, restored.segments);
    if json {
        return print_line(&json!({
            "writer": writer.to_string(),
            "sequence": sequence,
            "slot": head.slot,
            "root": head.root.to_string(),
            "blocks_of_tail": restored.blocks,
            "blocks_of_segments": segments.map(|segments| segments.blocks),
            "frontier_slot": segments.map(|segments| segments.frontier.slot),
            "frontier_root": segments.map(|segments| segments.frontier.root.to_string()),
            "root_is_trusted": is_trusted,
        }));
    }
    let begun = segments.map_or_else(
        || "begun by an earlier run, or with genesis".to_owned(),
        |segments| {
            let (blocks, frontier) = (segments.blocks, segments.frontier);
            let trust = trust(is_trusted);
            format!(
                "{blocks} blocks of segments before it, proven under root {} at slot {} ({trust})",
                frontier.root, frontier.slot
            )
        },
    );
    print_line(&format!(
        "restored: {data_dir} ends with object {sequence} of writer {writer}, its head block {} at slot {}, {} blocks of the tail imported, every invariant checked; {begun}; not restored: forks before the tail, votes outside of blocks, the sign guard",
        head.root, head.slot, restored.blocks,
    ))
}
