//! `lamella archive restore`.

use std::path::PathBuf;

use lamella_archive::NetworkId;
use lamella_inspect::database_path;
use lamella_shipping::restorer::{Restore, Target};
use lamella_types::Root;
use serde_json::json;

use super::{CommandError, TargetFlags, job, open, print_line};

/// What is asked for.
pub(super) struct Asked {
    pub(super) target: TargetFlags,
    pub(super) trusted: Option<Root>,
    pub(super) data_dir: PathBuf,
    pub(super) slot_ms: u64,
    pub(super) proof_scheme: String,
    pub(super) proofs: bool,
}

pub(super) fn run(
    from: &str,
    network: Option<NetworkId>,
    asked: Asked,
    json: bool,
) -> Result<(), CommandError> {
    let from = from.to_owned();
    let data_dir = asked.data_dir.display().to_string();
    let is_trusted = asked.trusted.or(asked.target.root).is_some();
    let restored = job(move |tell| {
        let target = match (asked.target.slot, asked.target.root) {
            (Some(slot), _) => Target::Slot(slot),
            (None, Some(root)) => Target::Root(root),
            (None, None) => Target::Finalized,
        };
        let database = database_path(&asked.data_dir);
        let restore = Restore {
            database: &database,
            target,
            trusted: asked.trusted.or(asked.target.root),
            slot_ms: asked.slot_ms,
            proof_scheme: &asked.proof_scheme,
        };
        let remote = open(&from, network)?;
        if asked.proofs {
            restore.run_with_proofs(&remote, tell)
        } else {
            restore.run(&remote, tell)
        }
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
    let trust = match is_trusted {
        true => "the root you gave",
        false => "no root was given: compare this one with a node that you trust",
    };
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
