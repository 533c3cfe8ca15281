//! What must hold at the end of a run, each with its numbers.
//!
//! Agreement, finality and states are asked of the running nodes over HTTP; databases and checksums are read from
//! disk after they have stopped.

use std::{collections::BTreeSet, ops::ControlFlow, path::PathBuf};

use lamella_inspect as inspect;
use lamella_state_store::ANCHOR_INTERVAL_SLOTS;
use lamella_types::{BlockHashes, BlockHeader, Decode, Root, Slot, State, hash_tree_root};
use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng as _, SeedableRng as _},
};
use serde::Serialize;

use super::{
    client::{Client, ClientError},
    health::{FINALITY_DISTANCE_MAX, HEAD_DISTANCE_MAX, Picture, TYPICAL_DISTANCE_MAX},
};

/// Random slots whose states are compared, beside all anchors.
const SAMPLES: usize = 16;

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Whether it holds.
    pub passed: bool,
    /// The numbers, or what is wrong.
    pub what: String,
}

impl Check {
    pub(super) fn of(name: &'static str, outcome: Result<String, String>) -> Self {
        let passed = outcome.is_ok();
        Self { name, passed, what: outcome.unwrap_or_else(|wrong| wrong) }
    }
}

/// A node that can be asked.
pub(super) type Asked = (String, Client);

/// All heads are on one chain, and so are the finalized blocks.
pub(super) fn agreement(picture: &Picture, clients: &[Asked]) -> Check {
    Check::of("agreement", agree(picture, clients))
}

fn agree(picture: &Picture, clients: &[Asked]) -> Result<String, String> {
    let mut highest = None;
    for (node, (_, client)) in picture.nodes.iter().zip(clients) {
        let view = node.view.as_ref().map_err(|error| format!("{}: {error}", node.node_id))?;
        if highest.is_none_or(|(slot, _)| view.head_slot > slot) {
            highest = Some((view.head_slot, client));
        }
    }
    let (head_slot, chain) = highest.ok_or("no node")?;
    for (node, view) in picture.nodes.iter().zip(picture.views()) {
        let blocks = [
            ("head", view.head_slot, view.head),
            ("finalized block", view.finalized_slot, view.finalized),
        ];
        for (what, slot, root) in blocks {
            let served = chain.header(slot).map_err(text)?.map(|(root, _)| root);
            if served != Some(root) {
                return Err(format!(
                    "{} has {what} {root} at slot {slot}, the chain of {} has {}",
                    node.node_id,
                    chain.url(),
                    served.map_or("no block there".into(), |root| root.to_string()),
                ));
            }
        }
    }
    let heads = picture.health().heads;
    let on = if heads == 1 { "one head".into() } else { format!("{heads} heads of one chain") };
    Ok(format!("all {} on {on} at slot {head_slot}", clients.len()))
}

/// Every node answers, the head is near the wall clock, and every node's finalized block near the head, or still has
/// time to catch up after a pause.
pub(super) fn finality(picture: &Picture) -> Check {
    let health = picture.health();
    let (distance, late) = (health.finality_distance(), health.head_distance);
    let (answered, nodes) = (health.answered, health.nodes);
    let text = format!(
        "slot {} finalized on {answered} of {nodes} nodes, {distance} below the head (at most {FINALITY_DISTANCE_MAX}){}; head {late} \
         slots behind the clock (at most {HEAD_DISTANCE_MAX})",
        health.finalized_slot,
        health.catching_up(),
    );
    let is_good = answered == nodes && health.is_finality_good() && late <= HEAD_DISTANCE_MAX;
    Check::of("finality", if is_good { Ok(text) } else { Err(text) })
}

/// Finality was close behind the head in most slots, not at the end alone. `distances` has one entry for each slot in
/// which it had nothing to catch up with. Where validators come and go their slots are empty, and finality waits for them.
pub(super) fn distance(mut distances: Vec<u64>, has_churn: bool) -> Check {
    let max = if has_churn { FINALITY_DISTANCE_MAX } else { TYPICAL_DISTANCE_MAX };
    distances.sort_unstable();
    let (slots, worst) = (distances.len(), distances.last().copied().unwrap_or(0));
    let median = distances.get(slots / 2).copied().unwrap_or(0);
    let text = format!(
        "finality {median} slots behind the head in the median of {slots} slots (at most {max}), {worst} at worst"
    );
    Check::of("distance", if median <= max { Ok(text) } else { Err(text) })
}

/// Every node serves the same bytes for every anchor and for random states, and each hashes to its block's state root.
pub(super) fn states(clients: &[Asked], finalized: Slot, seed: u64) -> Check {
    Check::of("states", same_states(clients, finalized, seed))
}

fn same_states(clients: &[Asked], finalized: Slot, seed: u64) -> Result<String, String> {
    let (node_id, first) = clients.first().ok_or("no node")?;
    let history = history(first, finalized)
        .map_err(|wrong| format!("state of slot {finalized} from {node_id}: {wrong}"))?;
    let boundaries = finalized / ANCHOR_INTERVAL_SLOTS + 1;
    let boundary = |number| block_from(&history, number * ANCHOR_INTERVAL_SLOTS, finalized);
    // One block is the anchor of every boundary that the gap before it goes over.
    let mut slots: BTreeSet<Slot> = (0..boundaries).map(boundary).collect();
    let anchors = slots.len();
    let mut random = SplitMix64::seed_from_u64(seed);
    // The remainder favours low slots by finalized / 2^64, which is no matter here.
    let mut sample = || block_from(&history, random.next_u64() % (finalized + 1), finalized);
    slots.extend((0..SAMPLES).map(|_| sample()));
    let mut bytes = 0;
    for slot in &slots {
        bytes += same_state(clients, *slot)?;
    }
    Ok(format!(
        "{} states ({anchors} anchors at {boundaries} boundaries, {} random with --seed {seed}) byte-identical on {} \
         nodes and hash to their state_root, {bytes} bytes compared",
        slots.len(),
        slots.len() - anchors,
        clients.len(),
    ))
}

/// The chain before this slot, as its state proves it.
fn history(client: &Client, slot: Slot) -> Result<BlockHashes, String> {
    let (root, bytes) = client.state(slot).map_err(text)?.ok_or("no block")?;
    let (_, header) = client.header(slot).map_err(text)?.ok_or("no block")?;
    let history = proves_itself(root, &header, &bytes)?.historical_block_hashes;
    if history.len() as u64 != slot {
        return Err(format!("its history has {} slots", history.len()));
    }
    Ok(history)
}

/// The first slot from `slot` on that has a block; `last` has one.
fn block_from(history: &BlockHashes, slot: Slot, last: Slot) -> Slot {
    let has_block = |slot: &Slot| history.get(*slot).is_some_and(|root| root != Root::ZERO);
    (slot..last).find(has_block).unwrap_or(last)
}

/// Bytes that were compared.
fn same_state(clients: &[Asked], slot: Slot) -> Result<usize, String> {
    let mut expected: Option<(Root, Vec<u8>)> = None;
    let mut compared = 0;
    for (node_id, client) in clients {
        let wrong = |what: String| format!("state of slot {slot} from {node_id}: {what}");
        let answer = |error: ClientError| wrong(error.to_string());
        let (root, bytes) =
            client.state(slot).map_err(answer)?.ok_or_else(|| wrong("no block".into()))?;
        let (_, header) =
            client.header(slot).map_err(answer)?.ok_or_else(|| wrong("no block".into()))?;
        match &expected {
            Some(first) if *first != (root, bytes.clone()) => {
                return Err(wrong(format!("differs from the one of {}", clients[0].0)));
            }
            Some(_) => {}
            None => drop(proves_itself(root, &header, &bytes).map_err(wrong)?),
        }
        compared += bytes.len();
        expected.get_or_insert((root, bytes));
    }
    Ok(compared)
}

/// The state hashes to the header's root, and the header to the block's.
fn proves_itself(root: Root, header: &BlockHeader, bytes: &[u8]) -> Result<State, String> {
    let block_root = hash_tree_root(header);
    if block_root != root {
        return Err(format!("its header hashes to {block_root}, not to {root}"));
    }
    let state = State::from_ssz(bytes).map_err(|error| format!("no state: {error}"))?;
    let state_root = state.root();
    if state_root != header.state_root {
        return Err(format!("it hashes to {state_root}, its block says {}", header.state_root));
    }
    Ok(state)
}

/// Every invariant of every database holds.
pub(super) fn databases(dirs: &[(String, PathBuf)]) -> Check {
    let outcome = || {
        let mut checks = 0;
        for (node_id, dir) in dirs {
            let report = inspect::verify::run(dir, &mut |_| ControlFlow::Continue(()))
                .map_err(|error| format!("{node_id}: {error}"))?;
            if let Some(finding) = report.findings.first() {
                let count = report.finding_count;
                return Err(format!("{node_id}: {count} findings, the first: {finding}"));
            }
            checks += report.check_count();
        }
        Ok(format!("{checks} checks of {} databases, no finding", dirs.len()))
    };
    Check::of("databases", outcome())
}

/// The canonical chain up to this slot is the same in every database.
pub(super) fn checksums(dirs: &[(String, PathBuf)], finalized: Slot) -> Check {
    let outcome = || {
        let mut expected = None;
        for (node_id, dir) in dirs {
            let checksum = inspect::checksum::compute(dir, Some(0), Some(finalized))
                .map_err(|error| format!("{node_id}: {error}"))?;
            let first = expected.get_or_insert_with(|| checksum.clone());
            if *first != checksum {
                return Err(format!(
                    "{node_id} has {} over {} blocks, {} has {} over {}",
                    checksum.digest, checksum.blocks, dirs[0].0, first.digest, first.blocks
                ));
            }
        }
        let sum = expected.ok_or("no node")?;
        let (blocks, digest) = (sum.blocks, sum.digest);
        Ok(format!("{blocks} blocks up to slot {finalized} are {digest} on {} nodes", dirs.len()))
    };
    Check::of("checksum", outcome())
}

fn text(error: ClientError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::NodePicture;

    #[test]
    fn a_gap_over_a_boundary_leaves_out_no_anchor() {
        let mut history = BlockHashes::default();
        for slot in 0..5000 {
            // Empty: a boundary and 200 slots after it, then two boundaries.
            let is_empty = (1000..1224).contains(&slot) || (2000..4000).contains(&slot);
            history.push(if is_empty { Root::ZERO } else { Root::new([1; 32]) }).unwrap();
        }
        let anchors = [0, 1024, 2048, 3072, 4096].map(|slot| block_from(&history, slot, 5000));
        assert_eq!(anchors, [0, 1224, 4000, 4000, 4096]);
        assert_eq!(block_from(&history, 5000, 5000), 5000);
    }

    #[test]
    fn finality_is_close_if_it_is_in_most_slots() {
        assert!(distance(vec![], false).passed);
        assert!(distance(vec![3, 30, 3, 30, 4], false).passed);
        assert!(distance(vec![5, 3, 5], true).passed);
        let far = distance(vec![5, 3, 5], false);
        assert!(!far.passed);
        assert!(far.what.starts_with("finality 5 slots behind"), "{}", far.what);
    }

    #[test]
    fn a_silent_node_has_finalized_nothing() {
        let silent = NodePicture {
            node_id: "lamella_0".into(),
            pid: 1,
            url: String::new(),
            view: Err("gone".into()),
        };
        let picture =
            Picture { slot: 3, until_genesis_s: 0, catch_up_until: 0, nodes: vec![silent] };
        let check = finality(&picture);
        assert!(!check.passed && check.what.contains("on 0 of 1 nodes"), "{}", check.what);
    }
}
