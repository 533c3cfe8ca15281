//! `block_to_neighbours_head`: from the proposer's commit to the neighbour's, of each block in turn.

use std::{collections::BTreeMap, env, fs, path::Path, thread, time::Duration};

use lamella_benches::Times;
use lamella_devnet::{
    ports::Ports,
    process::{NodeCommand, NodeProcess},
};
use lamella_network_dir::genesis::{GenesisOptions, create};

use crate::{
    by_clock,
    log::{At, field},
};

/// Slots before the first that counts: finality has begun, and the blocks are full.
const WARM_UP_SLOTS: u64 = 10;

/// Slots that count.
const SLOTS: u64 = 50;

/// Seconds from the last key to slot 0.
const LEAD_S: u64 = 3;

/// Two nodes with half of the validators each propose in turn.
pub fn measure(name: String, validators: u64, slot_ms: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut ports = Ports::free(2).unwrap();
    let last_slot = WARM_UP_SLOTS + SLOTS;
    let options = GenesisOptions {
        nodes: 2,
        validators,
        out: dir.path().join("network"),
        genesis_time: None,
        slot_ms,
        lead_s: LEAD_S,
        ports: Some(ports.numbers()),
        key_slots: last_slot + 20,
    };
    create(&options, &|_| {}).unwrap();
    let mut nodes = Vec::new();
    for place in &mut ports.0 {
        place.release();
        let command = NodeCommand {
            program: env::current_exe().unwrap(),
            network_dir: options.out.clone(),
            node_id: place.node_id.clone(),
            data_dir: dir.path().join(&place.node_id),
            log: dir.path().join(format!("{}.log", place.node_id)),
            slot_ms,
            ports: place.ports,
            environment: vec![("RUST_LOG".to_owned(), "info".to_owned())],
            flags: Vec::new(),
        };
        nodes.push(NodeProcess::start(command).unwrap());
    }
    let logs: Vec<_> = nodes.iter().map(|node| node.command().log.clone()).collect();
    loop {
        thread::sleep(Duration::from_millis(slot_ms));
        nodes.iter_mut().for_each(|node| assert_eq!(node.ended().unwrap(), None, "{name}"));
        if logs.iter().all(|log| imports(log).keys().any(|(slot, _)| *slot > last_slot)) {
            break;
        }
    }
    drop(nodes);
    let [one, other] = [0, 1].map(|at| imports(&logs[at]));
    let mut times = Times::new(name.clone());
    for (block, at) in
        one.iter().filter(|((slot, _), _)| (WARM_UP_SLOTS..=last_slot).contains(slot))
    {
        // The proposer's commit comes first. Both log after it, before they do anything else.
        let Some(there) = other.get(block) else { continue };
        let (first, second) = if at < there { (at, there) } else { (there, at) };
        times.add(by_clock(first.until(*second)));
    }
    times.record();
}

/// When each block, by slot and root, was in the database and the head chosen.
fn imports(log: &Path) -> BTreeMap<(u64, String), At> {
    let text = fs::read_to_string(log).unwrap();
    let imported = text.lines().filter(|line| line.contains(" Block imported "));
    imported
        .filter_map(|line| {
            let block = (field(line, "slot")?.parse().ok()?, field(line, "block_root")?.to_owned());
            Some((block, At::of(line)?))
        })
        .collect()
}
