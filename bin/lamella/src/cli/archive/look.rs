//! `lamella archive ls`, `verify` and `clean`.

use std::collections::BTreeMap;

use lamella_archive::ObjectName;
use lamella_shipping::{
    cleaner::{self, Cleaned, Unusable},
    remote::Inventory,
    verifier::Verify,
};
use serde_json::{Value, json};

use super::{ArchiveCommandError, ArchiveFlags, CommandError, job, open, print_line, trust};

/// The folder that a kind of object lies in, as a word.
const fn kind(name: &ObjectName) -> &'static str {
    match name {
        ObjectName::Format => "format",
        ObjectName::Registry { .. } => "registry",
        ObjectName::Segment { .. } => "segments",
        ObjectName::Frontier { .. } => "frontier",
        ObjectName::Proofs { .. } => "proofs",
        ObjectName::Tail { .. } => "tail",
    }
}

pub(super) fn list(archive: ArchiveFlags, json: bool) -> Result<(), CommandError> {
    let (network, inventory) = job(move |_| {
        let remote = open(&archive.url, archive.network.network)?;
        Ok((remote.network(), remote.inventory_with_tails()?))
    })?;
    let Inventory { objects, unknown } = inventory;
    if json {
        let objects = objects.iter().map(|(name, listed)| {
            let bytes = (listed.bytes > 0).then_some(listed.bytes);
            json!({ "name": name.to_string(), "kind": kind(name), "bytes": bytes })
        });
        return print_line(&json!({
            "network": network.to_string(),
            "objects": objects.collect::<Vec<Value>>(),
            "unknown": unknown.iter().map(|listed| listed.name.as_str()).collect::<Vec<_>>(),
        }));
    }
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (name, listed) in &objects {
        // A node does not know how long a segment is before it makes it.
        let bytes = if listed.bytes > 0 { listed.bytes.to_string() } else { "?".to_owned() };
        print_line(&format!("{bytes:>10}  {name}"))?;
        let sum = sums.entry(kind(name)).or_default();
        *sum = (sum.0 + 1, sum.1 + listed.bytes);
    }
    for listed in &unknown {
        print_line(&format!("{:>10}  {}  (says nothing)", listed.bytes, listed.name))?;
    }
    let sums: Vec<_> = sums
        .iter()
        .map(|(kind, (count, bytes))| format!("{kind} {count} of {bytes} bytes"))
        .collect();
    print_line(&format!("listed, not read: network {network}: {}", sums.join(", ")))
}

pub(super) fn verify(archive: ArchiveFlags, asked: Verify, json: bool) -> Result<(), CommandError> {
    let (network, verified) = job(move |tell| {
        let remote = open(&archive.url, archive.network.network)?;
        let verified = asked.run(&remote, tell)?;
        Ok((remote.network(), verified))
    })?;
    if json {
        return print_line(&json!({
            "network": network.to_string(),
            "root": verified.root.root.to_string(),
            "root_slot": verified.root.slot,
            "root_is_trusted": verified.is_trusted,
            "segments": verified.segments,
            "slots_below": verified.below,
            "blocks": verified.blocks,
            "states": verified.states,
            "transitions": verified.transitions,
            "proofs_undamaged": asked.proofs.then_some(verified.proofs),
            "blocks_without_proof": asked.proofs.then_some(verified.without_proof),
            "bad_frontiers": verified.bad_frontiers,
            "segments_beyond": verified.beyond,
            "objects_unproven": verified.unproven,
            "objects_unknown": verified.unknown,
        }));
    }
    for bad in &verified.bad_frontiers {
        print_line(&format!("a frontier does not verify, another one was taken: {bad}"))?;
    }
    let trust = trust(verified.is_trusted);
    let states = match verified.states {
        0 => "not verified: states (--deep)".to_owned(),
        states if verified.transitions > 0 => {
            format!("{states} states, {} made again by the transition", verified.transitions)
        }
        states => format!("{states} states"),
    };
    let proofs = match asked.proofs {
        false => format!("{} objects of proofs and tails", verified.unproven),
        true => format!(
            "proofs of {} blocks, which are undamaged ({} blocks have none), {} objects of proofs and tails",
            verified.proofs, verified.without_proof, verified.unproven
        ),
    };
    print_line(&format!(
        "verified: {} segments, {} slots, {} blocks, {states}; root {} at slot {} ({trust}); not proven: {proofs}, {} segments beyond the frontier, {} objects with names that say nothing",
        verified.segments,
        verified.below,
        verified.blocks,
        verified.root.root,
        verified.root.slot,
        verified.beyond,
        verified.unknown,
    ))
}

pub(super) fn clean(archive: ArchiveFlags, delete: bool, json: bool) -> Result<(), CommandError> {
    let cleaned = job(move |tell| {
        cleaner::clean(&open(&archive.url, archive.network.network)?, delete, tell)
    })?;
    if json {
        let told = |objects: &[Unusable]| -> Vec<Value> {
            let one = |object: &Unusable| json!({ "path": object.path, "bytes": object.bytes, "why": object.why });
            objects.iter().map(one).collect()
        };
        print_line(&json!({
            "judged": cleaned.judged,
            "unusable": told(&cleaned.unusable),
            "expired": told(&cleaned.expired),
            "newer": told(&cleaned.newer),
            "not_judged": cleaned.left,
            "deleted": cleaned.deleted,
        }))?;
    } else {
        let Cleaned { unusable, expired, newer, .. } = &cleaned;
        for object in unusable.iter().chain(expired).chain(newer) {
            print_line(&format!("{:>10}  {}: {}", object.bytes, object.path, object.why))?;
        }
        let of_newer = match newer.len() {
            0 => String::new(),
            count => format!(", {count} of them a newer lamella's"),
        };
        let did = if cleaned.deleted { "deleted" } else { "found, nothing was deleted" };
        print_line(&format!(
            "{} objects judged by their content, {} unusable and {} expired {did}; not judged: {} objects{of_newer}",
            cleaned.judged,
            unusable.len(),
            expired.len(),
            cleaned.left
        ))?;
    }
    match cleaned.unusable.len() {
        count if count > 0 && !delete => Err(ArchiveCommandError::Unusable { count }.into()),
        _ => Ok(()),
    }
}
